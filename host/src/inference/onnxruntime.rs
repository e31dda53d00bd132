//! ONNX Runtime, the native library that the configuration names.
//!
//! It is loaded once in a process, from a path and with digests that were checked
//! before. A model runs where it was told or is refused. Its runs end by their
//! deadlines, but only between two operators.
//!
//! The library cannot be told how much memory of the machine a run may take. So
//! models whose sizes depend on the values that callers feed them are refused
//! ([`super::onnx_file`]), and so are inputs and outputs beyond the limit; what the
//! operators need in between grows with the inputs and is not bounded here.

mod convert;
mod graph;
mod library;
mod operators;
mod pool;
mod providers;
mod session;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use self::graph::OrtGraph;
use self::library::Library;
use self::operators::{allowed, supported};
use self::providers::Providers;
use self::session::{Place, Sessions};
use super::backend::{Backend, BackendStatus, Device, Graph, Unavailable};
use super::config::OnnxruntimeConfig;
use super::errors::{LoadError, panic_message};
use super::limits::InferenceLimits;
use super::native_library::LibraryError;
use super::onnx_file::{OnnxFile, Rules};
use super::source::ModelSource;
use super::watchdog::Watchdog;
use crate::spec::BackendKind;

/// The library, ready to load models.
struct Onnxruntime {
    library: Library,
    providers: Providers,
    /// Stops the loading of models.
    watchdog: Watchdog,
    devices: Vec<Device>,
}

/// Loads the library that `config` names. One that cannot be used is a status.
#[expect(
    clippy::result_large_err,
    reason = "made once, when the host starts, and kept as it is"
)]
pub(super) fn open(config: &OnnxruntimeConfig) -> Result<Box<dyn Backend>, BackendStatus> {
    let opened = catch_unwind(AssertUnwindSafe(|| Onnxruntime::open(config)));
    let opened = opened.unwrap_or_else(|payload| {
        let source = panic_message(payload.as_ref()).into();
        Err(LibraryError::Start { source })
    });
    match opened {
        Ok(backend) => Ok(Box::new(backend)),
        Err(error) => Err(error.status(BackendKind::Onnxruntime, &config.library)),
    }
}

impl Onnxruntime {
    fn open(config: &OnnxruntimeConfig) -> Result<Self, LibraryError> {
        let library = Library::open(config)?;
        let watchdog = Watchdog::default();
        let providers = Providers::try_all(&Sessions {
            environment: library.environment(),
            config,
            watchdog: &watchdog,
        });
        let devices = if config.providers.is_empty() {
            vec![Device::Cpu]
        } else {
            vec![Device::Cpu, Device::Gpu]
        };
        Ok(Self {
            library,
            providers,
            watchdog,
            devices,
        })
    }

    fn sessions(&self) -> Sessions<'_> {
        Sessions {
            environment: self.library.environment(),
            config: self.providers.config(),
            watchdog: &self.watchdog,
        }
    }

    fn load_at(
        &self,
        source: &ModelSource,
        file: &OnnxFile,
        place: Place,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        let options = &source.options;
        let sessions = self.sessions();
        let sessions = sessions.make(&file.bytes, place, options, limits)?;
        let graph = OrtGraph::new(sessions, file, place)?;
        Ok(Box::new(graph.bounded(limits.run_bytes_max.get())))
    }
}

impl Backend for Onnxruntime {
    fn kind(&self) -> BackendKind {
        BackendKind::Onnxruntime
    }

    fn devices(&self) -> &[Device] {
        &self.devices
    }

    fn status(&self) -> BackendStatus {
        let native = self.library.native();
        let replaced = native.replaced().map(|path| Unavailable {
            code: "library-replaced".to_owned(),
            reason: format!(
                "{} is not the file that was loaded when the host started; \
                 what was loaded goes on running",
                path.display()
            ),
            help: Some("start the host again to use what is there now".to_owned()),
        });
        BackendStatus {
            backend: BackendKind::Onnxruntime,
            version: Some(self.library.version().to_owned()),
            library: Some(native.path().to_owned()),
            digest: Some(native.digest()),
            formats: self.formats().to_vec(),
            providers: self.providers.status(),
            unavailable: replaced,
        }
    }

    fn supports_operator(&self, domain: &str, operator: &str) -> Option<bool> {
        supported(domain, operator)
    }

    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        // A provider's own library is loaded when it is first used.
        let others = device == Device::Gpu || source.options.provider.is_some();
        if let Some(path) = self.library.native().replaced().filter(|_| others) {
            let why = format!("{} was replaced while the host ran", path.display());
            let backend = BackendKind::Onnxruntime;
            return Err(LoadError::BackendUnavailable { backend, why });
        }
        let places = self.providers.places(source, device, &self.sessions())?;
        let rules = Rules {
            backend: BackendKind::Onnxruntime,
            allowed: &allowed,
            limits,
        };
        let file = OnnxFile::vet(&source.bytes, rules)?;
        let mut refused = None;
        for place in places {
            match self.load_at(source, &file, place, limits) {
                Ok(graph) => return Ok(graph),
                // Another provider may have what this one lacks.
                Err(error) if error.is_of_backend() => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| LoadError::NoDevice {
            backend: BackendKind::Onnxruntime,
            why: "no provider is left".to_owned(),
        }))
    }

    fn compile(
        &self,
        source: &ModelSource,
        to: &Path,
        limits: &InferenceLimits,
    ) -> Result<(), LoadError> {
        let rules = Rules {
            backend: BackendKind::Onnxruntime,
            allowed: &allowed,
            limits,
        };
        let file = OnnxFile::vet(&source.bytes, rules)?;
        self.sessions().optimise(&file.bytes, &source.options, to)
    }
}

#[cfg(test)]
mod tests;
