//! What the tests of every library share: where the native ones are, what is fed to
//! models, and when two answers are the same.

use std::path::{Path, PathBuf};

use crate::inference::onnx_writer::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, INT32, INT64, UINT8};
use crate::inference::{Tensor, TensorKind};

/// The kinds of numbers that models take and give, as ONNX counts them and as we do.
pub(in crate::inference) const KINDS: [(u64, TensorKind); 7] = [
    (FLOAT, TensorKind::Fp32),
    (DOUBLE, TensorKind::Fp64),
    (FLOAT16, TensorKind::Fp16),
    (BFLOAT16, TensorKind::Bf16),
    (UINT8, TensorKind::U8),
    (INT32, TensorKind::I32),
    (INT64, TensorKind::I64),
];

/// The library in this folder of the peers whose file's name begins with `name`;
/// none, said aloud, where `cargo xtask peers` has not put it.
pub(in crate::inference) fn installed(folder: &str, name: &str) -> Option<PathBuf> {
    let told = std::env::var_os("SELVEDGE_PEERS").map(PathBuf::from);
    let peers = told.unwrap_or_else(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        own.join("../target/peers")
    });
    let folder = peers.join(folder);
    let entries = fs_err::read_dir(&folder).into_iter().flatten();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.find(|path| {
        let found = path.file_name().unwrap().to_string_lossy();
        found.starts_with(name)
    });
    if found.is_none() {
        println!("skipped: no {name} in {}", folder.display());
    }
    found.map(|path| fs_err::canonicalize(path).unwrap())
}

pub(in crate::inference) fn tensor(dims: &[u32], kind: TensorKind, values: &[f64]) -> Tensor {
    Tensor::of_values(dims.to_vec(), kind, values).unwrap()
}

/// The same names, kinds and shapes, and numbers that are off by no more than
/// `within`, relatively to those beyond 1.
pub(in crate::inference) fn assert_same<N: AsRef<str>>(
    found: &[(N, Tensor)],
    expected: &[(N, Tensor)],
    within: f64,
) {
    assert_eq!(found.len(), expected.len());
    for ((name, found), (expected_name, expected)) in found.iter().zip(expected) {
        let name = name.as_ref();
        assert_eq!(name, expected_name.as_ref());
        assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
        assert_eq!(found.kind(), expected.kind(), "{name}");
        for (found, expected) in found.values().zip(expected.values()) {
            let close = (found - expected).abs() <= within * expected.abs().max(1.0);
            assert!(close, "{name}: {found} instead of {expected}");
        }
    }
}
