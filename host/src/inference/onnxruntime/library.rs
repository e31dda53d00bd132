//! The one library of this process.
//!
//! It is never unloaded, and there is only one environment in it: whoever opens
//! it again gets the same, and whoever asks for another is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;
use tracing::{debug, warn};

use crate::inference::config::OnnxruntimeConfig;
use crate::inference::native_library::{LibraryError, NativeLibrary, check_environment, line_of};

/// The interface that is spoken: any later library has it too.
const OLDEST: &str = "1.22";
/// Variables that the library and its providers read.
const VARIABLES: [&str; 2] = ["ORT_", "ONNXRUNTIME_"];
/// Lines that the library may write to our log in a second.
const LOG_LINES_PER_S_MAX: u64 = 5;

static OPENED: Mutex<Option<Library>> = Mutex::new(None);
/// What it complained of last: its errors often leave out the cause.
static COMPLAINT: Mutex<Option<String>> = Mutex::new(None);

#[derive(Clone)]
pub(super) struct Library {
    native: Arc<NativeLibrary>,
    environment: Environment,
    version: Arc<str>,
}

impl Library {
    pub(super) fn open(config: &OnnxruntimeConfig) -> Result<Self, LibraryError> {
        let native = NativeLibrary::check(&config.library, &config.files)?;
        let mut opened = OPENED.lock();
        if let Some(library) = &*opened {
            let same = library.native.path() == native.path()
                && library.native.digest() == native.digest();
            return if same {
                Ok(library.clone())
            } else {
                Err(LibraryError::AnotherLoaded {
                    path: library.native.path().to_owned(),
                })
            };
        }
        check_environment(&native, &VARIABLES)?;
        let library = Self::load(native)?;
        *opened = Some(library.clone());
        Ok(library)
    }

    fn load(native: NativeLibrary) -> Result<Self, LibraryError> {
        let path = native.path();
        let builder = ort::init_from(path).map_err(|error| told(error, &native))?;
        let start = |error: ort::Error| LibraryError::Start {
            source: line_of(error.message()).into(),
        };
        let environment = builder
            .with_name("selvedge")
            .with_telemetry(false)
            .with_logger(logger())
            .build()
            .map_err(start)?;
        // With a logger of one's own it starts out with everything.
        environment.set_log_level(LogLevel::Warning);
        let version = version(&native).into();
        Ok(Self {
            native: Arc::new(native),
            environment,
            version,
        })
    }

    pub(super) fn native(&self) -> &NativeLibrary {
        &self.native
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// What the library complained of since this was last asked.
pub(super) fn take_complaint() -> Option<String> {
    COMPLAINT.lock().take()
}

fn told(error: LoadDynamicError, native: &NativeLibrary) -> LibraryError {
    let path = native.path().to_owned();
    match error {
        LoadDynamicError::BadVersion { version_str, .. } => LibraryError::TooOld {
            path,
            found: line_of(&version_str),
            needed: OLDEST.to_owned(),
        },
        LoadDynamicError::Dlopen { error, .. } => {
            // Only here does it repeat what the linker said, in quotes.
            let said = format!("{error:?}");
            let quoted = said
                .split_once('"')
                .and_then(|(_, rest)| rest.rsplit_once('"'));
            LibraryError::NotALibrary {
                path,
                source: line_of(quoted.map_or(said.as_str(), |(quoted, _)| quoted)).into(),
            }
        }
        error => LibraryError::NotALibrary {
            path,
            source: line_of(&error.to_string()).into(),
        },
    }
}

/// The library tells its version only in the name of the branch that it was built
/// from; its file has it in its name too.
fn version(native: &NativeLibrary) -> String {
    let name = native.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let named = name.split_once(".so.").map(|(_, version)| version);
    let info = ort::info();
    let branch = info.split("git-branch=rel-").nth(1);
    let built = branch.and_then(|rest| rest.split(',').next());
    line_of(built.or(named).unwrap_or(info))
}

/// What the library has to say, cut and at a bounded rate.
fn logger() -> ort::logging::LoggerFunction {
    let started = Instant::now();
    // The second since the start, and the lines in it.
    let (second, lines) = (AtomicU64::new(0), AtomicU64::new(0));
    Arc::new(
        move |level: LogLevel, _: &str, _: &str, _: &str, text: &str| {
            let text = line_of(text);
            let severe = matches!(level, LogLevel::Error | LogLevel::Fatal);
            if severe {
                *COMPLAINT.lock() = Some(text.clone());
            }
            let now = started.elapsed().as_secs();
            if second.swap(now, Ordering::Relaxed) != now {
                lines.store(0, Ordering::Relaxed);
            }
            if lines.fetch_add(1, Ordering::Relaxed) >= LOG_LINES_PER_S_MAX {
                return;
            }
            if severe {
                warn!(error = text, "the library complained");
            } else {
                debug!(error = text, "the library remarked on something");
            }
        },
    )
}
