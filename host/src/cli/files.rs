//! Reads the files that a command names, and says what is wrong with them.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::config::HostConfig;
use crate::deployment::document::fault::{Checked, Faults};
use crate::deployment::document::source::Source;

/// The host's configuration at `path`; warnings go to standard error.
pub(super) fn host_config(path: &Path) -> Result<HostConfig, Faults> {
    Ok(warned(HostConfig::check(&read(path)?)?))
}

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Arc<Source>, Faults> {
    let source = Source::read(path).map_err(|fault| Faults(vec![fault]))?;
    Ok(Arc::new(source))
}

/// What was checked; its warnings go to standard error.
pub(super) fn warned<T>(checked: Checked<T>) -> T {
    for warning in &checked.warnings {
        complain(warning);
    }
    checked.value
}

/// Writes to standard error; if even that fails there is nobody to tell.
pub(super) fn complain(what: &dyn std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "{what}"));
}
