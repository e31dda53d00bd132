//! Where the host's own log goes: standard error.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// The environment's only word in the matter, for a single run.
const VARIABLE: &str = "SELVEDGE_LOG";

/// Sets what is logged from now on; made when logging starts.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) -> bool + Send + Sync>> = OnceLock::new();

/// Starts logging as `config` says; `SELVEDGE_LOG` overrides the level.
pub(super) fn start(config: &LogConfig) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config))
        // Colours are for people, not for files and journals.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Fails only if logging was started before, and then it goes on.
    drop(match config.format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            drop(FILTER.set(Box::new(move |filter| handle.reload(filter).is_ok())));
            builder.try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            drop(FILTER.set(Box::new(move |filter| handle.reload(filter).is_ok())));
            builder.try_init()
        }
    });
}

/// Logs from now on at the level of `config`, unless `SELVEDGE_LOG` overrides it.
/// False if logging was not started here.
pub(super) fn set_level(config: &LogConfig) -> bool {
    FILTER.get().is_some_and(|set| set(filter(config)))
}

fn filter(config: &LogConfig) -> EnvFilter {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries speak up only when something is wrong.
    let usual = format!("warn,selvedge={level},guest={level}");
    EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(usual))
}
