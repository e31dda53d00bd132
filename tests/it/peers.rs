//! Other people's programs, as `cargo xtask peers` set them up.

use std::path::PathBuf;

use wasm_build::Workspace;

/// Says where the peers are; `cargo xtask test` has just set them up.
const FOLDER: &str = "SELVEDGE_PEERS";

/// Where the peers are, with all of `parts`; none, said aloud, if nobody promised
/// that they are there.
#[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
pub(crate) fn installed(parts: &[&str]) -> Option<PathBuf> {
    let told = std::env::var_os(FOLDER).map(PathBuf::from);
    let promised = told.is_some() || std::env::var_os("CI").is_some();
    let installed = told.unwrap_or_else(|| Workspace::here().target().join("peers"));
    let missing = parts.iter().map(|part| installed.join(part));
    if let Some(missing) = missing.into_iter().find(|part| !part.exists()) {
        let reason = format!("there is no {}; run cargo xtask peers", missing.display());
        assert!(!promised, "{reason}");
        println!("skipped: {reason}");
        return None;
    }
    Some(installed)
}

/// Where the scripts are that drive them.
pub(crate) fn scripts() -> PathBuf {
    Workspace::here().root().join("tests/peers")
}
