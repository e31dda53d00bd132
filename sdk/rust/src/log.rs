//! Logging to the host: a line in its log and on `$selvedge/log/<plugin>`.
//!
//! The host limits the rate; what exceeds it is counted and dropped.

use crate::bindings::imports::wasi::logging::logging;

pub use crate::bindings::imports::wasi::logging::logging::Level;

/// Logs one line at `level`.
pub fn log(level: Level, message: &str) {
    logging::log(level, "", message);
}

/// Logs what only someone looking for a fault wants to know.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message.as_ref());
}

/// Logs a fact of the plugin's life.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message.as_ref());
}

/// Logs something unexpected by which nothing was lost.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message.as_ref());
}

/// Logs something an operator must act on.
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message.as_ref());
}
