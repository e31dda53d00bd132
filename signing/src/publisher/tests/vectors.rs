//! The test vectors that sigstore's crates ship, read from where Cargo unpacked
//! them: no copies to grow stale, and nothing to download.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use sigstore_verify::trust_root;

use crate::TrustedRoot;

/// The trusted roots that the cases are verified by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Root {
    /// The public sigstore instance, as compiled into the library.
    Production,
    /// Its staging instance, likewise.
    Staging,
    /// A file among the test vectors.
    File(&'static str),
}

impl Root {
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Production => trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT.into(),
            Self::Staging => trust_root::SIGSTORE_STAGING_TRUSTED_ROOT.into(),
            Self::File(path) => read(path),
        }
    }

    pub(super) fn read(self) -> TrustedRoot {
        TrustedRoot::parse(&self.bytes()).unwrap()
    }
}

/// The file at `path`, relative to the test data of `sigstore-verify`.
pub(super) fn read(path: &str) -> Vec<u8> {
    read_file(&folder("sigstore-verify").join("test_data").join(path))
}

/// The file at `path`, relative to the folder of `package`.
pub(super) fn read_of(package: &str, path: &str) -> Vec<u8> {
    read_file(&folder(package).join(path))
}

/// All files below the test data of `sigstore-verify` whose JSON is a bundle.
pub(super) fn bundles() -> Vec<String> {
    let root = folder("sigstore-verify").join("test_data");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_bundle(&path) {
                let relative = path.strip_prefix(&root).unwrap();
                found.push(relative.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn is_bundle(path: &Path) -> bool {
    let json = serde_json::from_slice::<Value>(&read_file(path));
    json.is_ok_and(|json| json.get("verificationMaterial").is_some())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this crate reads no files but here, and the message names the path"
)]
fn read_file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Where Cargo unpacked `package`.
fn folder(package: &str) -> PathBuf {
    static METADATA: OnceLock<Value> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let output = Command::new(cargo)
            .args(["metadata", "--offline", "--locked", "--format-version", "1"])
            .args(["--manifest-path", manifest])
            .output()
            .expect("cargo runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    });
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|found| found["name"] == package)
        .unwrap_or_else(|| panic!("no package {package} among the dependencies"));
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}
