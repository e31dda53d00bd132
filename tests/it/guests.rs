//! The components of `tests/guests`, built when first asked for.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use wasm_build::{BuildError, Workspace};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Says where the guests are; `cargo xtask test` has just built them.
const FOLDER: &str = "SELVEDGE_GUESTS";

/// The component of the guest called `name`.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("wasm");
    fs_err::read(path).expect("a file in tests/guests/examples, listed in its Cargo.toml")
}

/// Where the guests are. Unless told where, builds them, which is quick when
/// nothing has changed: a test never runs a stale guest.
fn folder() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => Workspace::here()
            .guests()
            .unwrap_or_else(|error: BuildError| panic!("{}", error.report())),
    })
}

#[test]
fn a_filter_written_with_the_sdk_exports_only_the_subscriber() {
    let engine = Engine::default();
    let echo = Component::from_binary(&engine, &guest("echo")).unwrap();
    let exports: Vec<_> = echo
        .component_type()
        .exports(&engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(exports, ["selvedge:bus/subscriber@0.1.0"]);
}
