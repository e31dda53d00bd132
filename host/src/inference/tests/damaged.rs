//! Three thousand damaged models for the built-in backend, in a process of their own:
//! a stack that overflows cannot be caught.

use std::process::Command;

use super::{autoencoder, source, store};

const CHILD: &str = "SELVEDGE_TEST_TRACT_DAMAGED";
const NAME: &str =
    "inference::tests::damaged::three_thousand_damaged_models_never_end_the_process_with_tract";

/// Different each time it is asked, the same in each run.
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap()
}

fn child() {
    let store = store();
    let whole = [
        autoencoder().to_vec(),
        include_bytes!("../../demo/assets/press.onnx").to_vec(),
    ];
    let (mut refused, mut state) = (0, 0x5eed_0bad);
    for round in 0..3_000 {
        let mut bytes = whole[round % 2].clone();
        for _ in 0..=xorshift(&mut state) % 3 {
            let len = bytes.len();
            // The structure is at both ends.
            let at = match xorshift(&mut state) % 3 {
                0 => xorshift(&mut state) % len.min(200),
                1 => len - 1 - xorshift(&mut state) % len.min(400),
                _ => xorshift(&mut state) % len,
            };
            match xorshift(&mut state) % 5 {
                0 => bytes.truncate(at.max(2)),
                1 => bytes[at] = [0, 0xff, 0x7f, 0x80][xorshift(&mut state) % 4],
                _ => bytes[at] ^= 1 << (xorshift(&mut state) % 8),
            }
        }
        refused += u32::from(store.prepare(&source(bytes.into())).is_err());
    }
    println!("{refused} of 3000 refused");
    assert!((1_000..2_900).contains(&refused), "{refused}");
    // Still in order afterwards.
    store.prepare(&source(autoencoder())).unwrap();
}

#[test]
fn three_thousand_damaged_models_never_end_the_process_with_tract() {
    if std::env::var_os(CHILD).is_some() {
        child();
        return;
    }
    let output = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", NAME])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .stdout(output.reopen().unwrap())
        .stderr(output.reopen().unwrap())
        .status()
        .unwrap();
    let said = fs_err::read_to_string(output.path()).unwrap();
    let last = said.lines().rev().take(20).collect::<Vec<_>>();
    assert!(status.success(), "{status}: {last:#?}");
    assert!(said.contains("of 3000 refused"), "{last:#?}");
}
