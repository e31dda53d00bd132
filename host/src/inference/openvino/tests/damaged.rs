//! Models that were made to break the library, in a process of their own.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{installed, source, with};
use crate::inference::onnx_writer::autoencoder;
use crate::inference::{Backend, Control, Device, InferenceLimits, Tensor, TensorKind};

const MUTATIONS: u64 = 3_000;
const CHILD: &str = "SELVEDGE_TEST_DAMAGED";

/// SplitMix64: the same mutations each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(z ^ (z >> 31)).unwrap() % below
    }
}

fn mutated(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = whole.to_vec();
    // Weights are most of it; what is not is at both ends.
    let place = |dice: &mut Dice, len: usize| match dice.roll(3) {
        0 => dice.roll(200.min(len)),
        1 => len - 1 - dice.roll(500.min(len)),
        _ => dice.roll(len),
    };
    for _ in 0..1 + dice.roll(4) {
        let at = place(&mut dice, bytes.len());
        match dice.roll(6) {
            0 => bytes.truncate(at.max(1)),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, u8::try_from(dice.roll(256)).unwrap()),
            3 => bytes[at] = [0, 0xff, 0x7f, 0x80][dice.roll(4)],
            _ => bytes[at] ^= 1 << dice.roll(8),
        }
        if bytes.len() < 2 {
            break;
        }
    }
    bytes
}

/// Loads every mutation and runs what loads; says how many did.
fn child(backend: &dyn Backend) {
    let limits = InferenceLimits::default();
    let whole = autoencoder();
    let (mut refused, mut ran) = (0, 0);
    for seed in 0..MUTATIONS {
        let model = source(mutated(&whole, seed).into());
        let Ok(graph) = backend.load(&model, Device::Cpu, &limits) else {
            refused += 1;
            continue;
        };
        let inputs = graph.inputs().iter().map(|port| {
            let dimensions = port.shape.iter().map(|dim| match dim {
                crate::inference::Dim::Fixed(size) => *size,
                _ => 2,
            });
            Tensor::zeros(dimensions.collect(), port.kind)
        });
        let Ok(inputs) = inputs.collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let control = Control::new(Instant::now() + Duration::from_secs(10));
        ran += u32::from(graph.run(&inputs, &control).is_ok());
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 300 && ran > 300, "{refused} {ran}");
    // Still in order afterwards.
    let graph = backend.load(&source(whole), Device::Cpu, &limits).unwrap();
    let control = Control::new(Instant::now() + Duration::from_secs(10));
    let input = Tensor::zeros(vec![1, 64], TensorKind::Fp32).unwrap();
    graph.run(&[input], &control).unwrap();
}

#[test]
fn three_thousand_damaged_models_never_end_the_process() {
    let Some(config) = installed() else { return };
    if std::env::var_os(CHILD).is_some() {
        child(with(&config).as_ref());
        return;
    }
    let output = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("inference::openvino::tests::damaged::three_thousand_damaged_models_never_end_the_process")
        .env(CHILD, "1")
        .stdout(output.reopen().unwrap())
        .stderr(output.reopen().unwrap())
        .status()
        .unwrap();
    let said = fs_err::read_to_string(output.path()).unwrap();
    let last = said
        .get(said.len().saturating_sub(4_000)..)
        .unwrap_or(&said);
    assert!(status.success(), "{status}: {last}");
    assert!(said.contains(" ran"), "{last}");
}
