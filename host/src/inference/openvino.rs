//! OpenVINO, loaded from where the configuration says: Intel's library for Intel's
//! processors, and any other of the same architecture.
//!
//! A run stops between two operators when it has to. Results do not depend on the
//! processor: the library would compute in bfloat16 where the processor has it, and
//! takes 64-bit numbers for 32-bit ones without a word. A model runs on the device
//! that it was loaded for and on no other: `AUTO` and `HETERO` are never asked for.

mod convert;
mod errors;
mod graph;
mod ir;
mod onnx;
mod pool;
mod properties;

use std::io::{self, Read as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openvino::{Core, DeviceType, PropertyKey};

use self::errors::words;
use self::graph::load;
use super::backend::{Backend, BackendStatus, Device, Graph, ProviderStatus, Unavailable};
use super::config::OpenvinoConfig;
use super::errors::{LoadError, panic_message};
use super::limits::InferenceLimits;
use super::native_library::{LibraryError, NativeLibrary, check_environment};
use super::source::{ModelFormat, ModelSource};
use crate::spec::BackendKind;

/// Variables that change what the library and what it is made of do.
const VARIABLES: [&str; 5] = ["OV_", "OPENVINO_", "ONEDNN_", "DNNL_", "TBB_"];
/// A function that its C interface has and nothing else does.
const SYMBOL: &[u8] = b"\0ov_get_openvino_version\0";
/// Bytes of the C interface, which has 0.4 MB: what computes is elsewhere.
const INTERFACE_BYTES_MAX: u64 = 64 << 20;
/// The first version whose types are numbered as they are now.
const NEEDED: &str = "2025.1";
const FORMATS: [ModelFormat; 2] = [ModelFormat::Onnx, ModelFormat::OpenvinoIr];

/// The one that this process has loaded: there can be no second.
static LOADED: OnceLock<PathBuf> = OnceLock::new();

/// Loads the library that `config` names, if it is what `config` says.
#[expect(
    clippy::result_large_err,
    reason = "made once, when the host starts, and kept"
)]
pub(super) fn open(config: &OpenvinoConfig) -> Result<Box<dyn Backend>, BackendStatus> {
    Openvino::open(config)
        .map(|backend| Box::new(backend) as _)
        .map_err(|error| error.status(BackendKind::Openvino, &config.library))
}

/// OpenVINO, loaded.
struct Openvino {
    library: NativeLibrary,
    version: String,
    devices: &'static [Device],
    /// Why there is no graphics processor, if so.
    no_gpu: Option<Unavailable>,
}

impl Openvino {
    fn open(config: &OpenvinoConfig) -> Result<Self, LibraryError> {
        let library = NativeLibrary::check(&config.library, &config.files)?;
        check_environment(&library, &VARIABLES)?;
        let version = link(&library)?;
        let core = Core::new().map_err(|error| LibraryError::Start {
            source: words(&error.to_string()).into(),
        })?;
        let (devices, no_gpu): (&[_], _) = if config.gpu {
            (&[Device::Cpu, Device::Gpu], no_gpu(&core))
        } else {
            (&[Device::Cpu], Some(gpu_not_configured()))
        };
        Ok(Self {
            library,
            version,
            devices,
            no_gpu,
        })
    }
}

impl Openvino {
    /// Set once one of its files is another than at the start.
    fn replaced(&self) -> Option<Unavailable> {
        self.library.replaced().map(|path| Unavailable {
            code: "library-replaced".to_owned(),
            reason: format!("{} was replaced while the host ran", path.display()),
            help: Some("start the host again".to_owned()),
        })
    }
}

/// Loads the library into the process, and returns its version.
fn link(library: &NativeLibrary) -> Result<String, LibraryError> {
    let path = library.path();
    // Another library would be loaded, and then called at addresses that it lacks.
    if !has_symbol(path).map_err(|source| LibraryError::Unreadable { source })? {
        return Err(LibraryError::NotALibrary {
            path: path.to_owned(),
            source: "it is not OpenVINO's C interface, `libopenvino_c.so`".into(),
        });
    }
    if LOADED.get_or_init(|| path.to_owned()) != path {
        return Err(LibraryError::AnotherLoaded {
            path: LOADED.get().cloned().unwrap_or_default(),
        });
    }
    // It panics over a version that it cannot parse.
    let linked = catch_unwind(|| {
        openvino_sys::library::load_from(path)?;
        Ok(openvino::version().build_number)
    });
    let linked = linked.unwrap_or_else(|payload| Err(panic_message(payload.as_ref())));
    linked.map_err(
        |error: String| match error.split_once("version is too old") {
            Some((_, found)) => LibraryError::TooOld {
                path: path.to_owned(),
                found: found.rsplit(' ').next().unwrap_or_default().to_owned(),
                needed: NEEDED.to_owned(),
            },
            None => LibraryError::NotALibrary {
                path: path.to_owned(),
                source: words(&error).into(),
            },
        },
    )
}

fn has_symbol(path: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(INTERFACE_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut windows = bytes.windows(SYMBOL.len());
    Ok(windows.any(|window| window == SYMBOL))
}

/// What the library says where there is no graphics processor.
fn no_gpu(core: &Core) -> Option<Unavailable> {
    let asked = core.get_property(&DeviceType::GPU, &PropertyKey::DeviceFullName);
    asked.err().map(|error| Unavailable {
        code: "no-device".to_owned(),
        reason: words(&error.to_string()),
        help: Some("install Intel's driver for OpenCL (`intel-opencl-icd`)".to_owned()),
    })
}

fn gpu_not_configured() -> Unavailable {
    Unavailable {
        code: "not-configured".to_owned(),
        reason: "`inference.openvino.gpu` is not set".to_owned(),
        help: Some("set `gpu = true` below `[inference.openvino]` in host.toml".to_owned()),
    }
}

impl Backend for Openvino {
    fn kind(&self) -> BackendKind {
        BackendKind::Openvino
    }

    fn devices(&self) -> &[Device] {
        self.devices
    }

    fn formats(&self) -> &[ModelFormat] {
        &FORMATS
    }

    fn supports_operator(&self, domain: &str, operator: &str) -> Option<bool> {
        (domain.is_empty() && operator == onnx::UNSTOPPABLE).then_some(false)
    }

    fn status(&self) -> BackendStatus {
        let provider = |provider: &str, device, unavailable| ProviderStatus {
            provider: provider.to_owned(),
            device,
            unavailable,
        };
        BackendStatus {
            backend: BackendKind::Openvino,
            version: Some(self.version.clone()),
            library: Some(self.library.path().to_owned()),
            digest: Some(self.library.digest()),
            formats: FORMATS.to_vec(),
            providers: vec![
                provider("cpu", Device::Cpu, None),
                provider("gpu", Device::Gpu, self.no_gpu.clone()),
            ],
            unavailable: self.replaced(),
        }
    }

    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        if let (Device::Gpu, Some(why)) = (device, &self.no_gpu) {
            return Err(LoadError::NoDevice {
                backend: BackendKind::Openvino,
                why: why.reason.clone(),
            });
        }
        // It loads parts of itself when the first model needs them.
        if let Some(why) = self.replaced() {
            return Err(LoadError::BackendUnavailable {
                backend: BackendKind::Openvino,
                why: why.reason,
            });
        }
        load(source, device, limits).map(|graph| Box::new(graph) as _)
    }

    fn compile(&self, _: &ModelSource, _: &Path, _: &InferenceLimits) -> Result<(), LoadError> {
        Err(LoadError::CannotCompile {
            backend: BackendKind::Openvino,
            why: "its C interface writes no IR; its Python package does".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
