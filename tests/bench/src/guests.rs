//! The components that are measured: `bench_*` of `tests/guests`.

use std::path::PathBuf;

use wasm_build::Workspace;

use crate::Outcome;

/// Says where the guests are; `cargo xtask bench` has just built them.
const FOLDER: &str = "SELVEDGE_GUESTS";

/// Where the components are.
#[derive(Debug)]
pub(crate) struct Guests(PathBuf);

impl Guests {
    /// Builds them, unless told where they are.
    pub(crate) fn find() -> Outcome<Self> {
        match std::env::var_os(FOLDER) {
            Some(folder) => Ok(Self(folder.into())),
            None => Ok(Self(
                Workspace::here().guests().map_err(|error| error.report())?,
            )),
        }
    }

    /// Where the component called `name` is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name).with_extension("wasm")
    }

    /// The component called `name`.
    pub(crate) fn read(&self, name: &str) -> Outcome<Vec<u8>> {
        Ok(fs_err::read(self.path(name))?)
    }
}
