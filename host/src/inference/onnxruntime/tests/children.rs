//! What needs a process of its own: another library, or a crash that must count
//! as a failure and not end the tests.

use std::process::{Command, ExitStatus};

use super::{
    Backends, Bytes, InferenceConfig, ModelStore, PLAIN, Provider, RunOptions, WITH_OPENVINO,
    assert_same, autoencoder, config, double, limits, peer, source, store,
};
use crate::inference::onnx_writer::FLOAT;
use crate::inference::{Device, ModelSource};

const CHILD: &str = "SELVEDGE_TEST_ONNXRUNTIME_CHILD";

/// Runs the test of that name again, in a process of its own, and returns how that
/// ended; none if this is that process.
fn in_a_child(test: &str) -> Option<(ExitStatus, String)> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = || output.reopen().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("inference::onnxruntime::tests::children::{test}"))
        .env(CHILD, "1")
        .stdout(file())
        .stderr(file())
        .status()
        .unwrap();
    let said = fs_err::read_to_string(output.path()).unwrap();
    Some((status, said))
}

/// Different each time it is asked, the same in each run.
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap()
}

#[test]
fn three_thousand_damaged_models_do_not_end_the_process() {
    if peer(PLAIN).is_none() {
        return;
    }
    if let Some((status, said)) = in_a_child("three_thousand_damaged_models_do_not_end_the_process")
    {
        assert!(status.success(), "{status}: {said}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let store = store().unwrap();
    let whole = [autoencoder(), Bytes::from_static(include_bytes!("../../../demo/assets/pump.onnx"))];
    let (mut refused, mut state) = (0, 0x5e1f_ed6e);
    for round in 0..3_000 {
        let mut bytes = whole[round % 2].to_vec();
        match round % 5 {
            0 => bytes.truncate(xorshift(&mut state) % bytes.len()),
            1 => {
                // The structure, which is at both ends.
                let at = xorshift(&mut state) % 400;
                let at = if round % 2 == 0 { at } else { bytes.len() - 1 - at };
                bytes[at] = u8::try_from(xorshift(&mut state) % 256).unwrap();
            }
            _ => {
                let at = xorshift(&mut state) % bytes.len();
                bytes[at] ^= 1 << (xorshift(&mut state) % 8);
            }
        }
        refused += u32::from(store.prepare(&source(bytes.into())).is_err());
    }
    println!("{refused} of 3000 refused");
    assert!(refused > 600, "{refused}");
    store.prepare(&source(autoencoder())).unwrap();
}

#[tokio::test]
async fn openvino_computes_on_the_processor_in_full_precision() {
    if peer(WITH_OPENVINO).is_none() {
        return;
    }
    if let Some((status, said)) =
        in_a_child("openvino_computes_on_the_processor_in_full_precision")
    {
        assert!(status.success(), "{status}: {said}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let library = peer(WITH_OPENVINO).unwrap();
    let inference = InferenceConfig {
        onnxruntime: Some(config(library, &[Provider::Openvino])),
        ..InferenceConfig::default()
    };
    let store = ModelStore::with(limits(), Backends::open(&inference));
    let status = store.backends().status();
    println!("{status:#?}");
    let ours = status.iter().find(|status| status.version.as_deref() == Some("1.24.1"));
    let providers = &ours.unwrap().providers;
    let on = |device| {
        let mut found = providers.iter();
        let found = found.find(|one| one.provider == "openvino" && one.device == device);
        found.unwrap().unavailable.clone()
    };
    assert_eq!(on(Device::Cpu), None);
    if let Some(why) = on(Device::Gpu) {
        assert_eq!(why.code, "no-device");
    }

    let options = RunOptions {
        provider: Some(Provider::Openvino),
        ..RunOptions::default()
    };
    for bytes in [autoencoder(), double(FLOAT, &["2", "n"])] {
        let with = store.prepare(&ModelSource {
            options,
            ..source(bytes.clone())
        });
        let with = with.unwrap();
        assert_eq!(with.placement().provider, "openvino");
        assert!(with.placement().whole);
        let without = store.prepare(&source(bytes)).unwrap();
        assert_eq!(without.placement().provider, "cpu");
        for rows in [1, 5] {
            assert_same(&with, &without, rows).await;
        }
    }
}
