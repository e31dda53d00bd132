//! Models are loaded and tried in a process of their own before the host does it.
//!
//! Nothing bounds what a native library takes while it reads a model: a hundred bytes
//! can ask for all memory, for all time, or hit a fault that ends the process. So
//! another process of this same program does it first, and is ended from here once it
//! takes too much of either. Only what ended in order there is loaded here.
//!
//! What becomes of the model is not decided there: the host loads it and judges.

mod there;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::backend::Device;
use super::config::InferenceConfig;
use super::errors::LoadError;
use super::golden::Golden;
use super::limits::InferenceLimits;
use super::source::{ModelFormat, ModelSource};
use crate::spec::{BackendChoice, BackendKind, RunOptions, Target};

pub use there::rehearse_here;

/// The argument that makes this program the one that tries a model.
pub const COMMAND: &str = "rehearse-model";
/// Also names a program whose file was replaced since it started.
const PROGRAM: &str = "/proc/self/exe";
/// Said by it once the model was tried, whatever came of that.
const OVER: &str = "the rehearsal is over";
/// Said by it if it has not the library that the model is for.
const UNUSABLE: &str = "the library cannot be used";
/// Bytes that it prints.
const PRINTED_BYTES_MAX: u64 = 64 << 10;

/// Milliseconds that a model may take to load: the largest take seconds.
const LOAD_MS_MAX: u64 = 60_000;
/// How often it is looked at what it takes.
const STEP: Duration = Duration::from_millis(2);
/// Bytes that any library takes for itself, with room to spare.
const LIBRARY_BYTES_MAX: u64 = 512 << 20;
/// The same for what drives a graphics processor.
const GPU_LIBRARY_BYTES_MAX: u64 = 4 << 30;
/// What a library makes of the bytes of a model: copies, and code for it.
const COPIES_MAX: u64 = 8;
/// Runs at once for which any library keeps a copy of its own.
const CONCURRENCY_MAX: u32 = 16;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Says that this program understands [`COMMAND`], before it makes any store.
pub fn enable_rehearsals() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// How models are tried apart.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    program: PathBuf,
    arguments: Vec<OsString>,
    libraries: InferenceConfig,
}

/// What is to be tried; the model and its weights follow.
#[derive(Serialize, Deserialize)]
struct Asked {
    libraries: InferenceConfig,
    limits: InferenceLimits,
    format: ModelFormat,
    backend: BackendChoice,
    target: Target,
    options: RunOptions,
    golden: Vec<Golden>,
    model_bytes: u64,
    weights_bytes: Option<u64>,
}

/// How a model that is not fit to be loaded here ended there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mishap {
    #[error("it took more than {max} bytes of memory")]
    Memory { max: u64 },
    #[error("it was not done after {max_ms} ms")]
    Time { max_ms: u64 },
    #[error("it ended the process that tried it ({how})")]
    Crash { how: String },
}

impl Rehearsal {
    /// With this program, if it can.
    pub fn of_this_program(libraries: &InferenceConfig) -> Option<Self> {
        ENABLED.load(Ordering::Relaxed).then(|| Self {
            program: PROGRAM.into(),
            arguments: vec![COMMAND.into()],
            libraries: libraries.clone(),
        })
    }

    #[cfg(test)]
    pub(super) fn with(program: PathBuf, arguments: &[&str], libraries: InferenceConfig) -> Self {
        Self {
            program,
            arguments: arguments.iter().map(OsString::from).collect(),
            libraries,
        }
    }

    /// Fails if the model must not be loaded here.
    pub(super) fn of(
        &self,
        source: &ModelSource,
        (backend, device): (BackendKind, Device),
        limits: &InferenceLimits,
    ) -> Result<(), LoadError> {
        let asked = self.asked(source, (backend, device), limits);
        let failed = |source: std::io::Error| LoadError::NotTried {
            source: source.into(),
        };
        let started = Instant::now();
        let mut running = Running::start(self).map_err(failed)?;
        let told = running.tell(&asked, source);
        let ended = match told {
            Ok(()) => running.watch(started, bounds(source, device, limits)),
            // It ended before it had heard all.
            Err(_) => Ok(Ended::Stopped(Mishap::Crash { how: running.how() })),
        };
        match ended.map_err(failed)? {
            Ended::Tried => Ok(()),
            Ended::Unusable => Err(LoadError::BackendUnavailable {
                backend,
                why: "it is not what was loaded when the host started; start the host again"
                    .to_owned(),
            }),
            Ended::Stopped(mishap) => Err(LoadError::Mishap { backend, mishap }),
        }
    }

    fn asked(
        &self,
        source: &ModelSource,
        (backend, device): (BackendKind, Device),
        limits: &InferenceLimits,
    ) -> Asked {
        let mut libraries = InferenceConfig::default();
        match backend {
            BackendKind::Tract => {}
            BackendKind::Onnxruntime => libraries.onnxruntime = self.libraries.onnxruntime.clone(),
            BackendKind::Openvino => libraries.openvino = self.libraries.openvino.clone(),
        }
        Asked {
            libraries,
            limits: limits.clone(),
            format: source.format,
            backend: backend.into(),
            target: match device {
                Device::Cpu => Target::Cpu,
                Device::Gpu => Target::Gpu,
            },
            options: source.options,
            golden: source.golden.clone(),
            model_bytes: count(source.bytes.len()),
            weights_bytes: source.weights.as_ref().map(|bytes| count(bytes.len())),
        }
    }
}

/// Bytes and milliseconds.
fn bounds(source: &ModelSource, device: Device, limits: &InferenceLimits) -> (u64, u64) {
    let weights = source.weights.as_ref().map_or(0, bytes::Bytes::len);
    let model = count(source.bytes.len().saturating_add(weights));
    // What its publisher asks for must not lift the bound: copies for runs at once
    // are together no larger than a model may be.
    let asked = source.options.concurrency.map_or(1, NonZeroU32::get);
    let own = asked.min(CONCURRENCY_MAX);
    let all = model.saturating_mul(own.into());
    let all = all.min(limits.model_bytes_max.get()).max(model);
    let library = match device {
        Device::Cpu => LIBRARY_BYTES_MAX,
        Device::Gpu => GPU_LIBRARY_BYTES_MAX,
    };
    let bytes = all
        .saturating_mul(COPIES_MAX)
        .saturating_add(library)
        .saturating_add(limits.run_bytes_max.get());
    // On each vector, and once more in rows.
    let runs = count(source.golden.len()).max(1).saturating_add(1);
    let runs_ms = runs.saturating_mul(limits.run_ms_max.get().into());
    (bytes, LOAD_MS_MAX.saturating_add(runs_ms))
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// What came of a rehearsal.
enum Ended {
    /// In order, whatever is wrong with the model.
    Tried,
    Unusable,
    Stopped(Mishap),
}

/// The other process. Dropped, it is ended.
struct Running {
    child: Child,
    /// Open as long as it is to live.
    told: Option<ChildStdin>,
    over: Receiver<Ended>,
}

impl Running {
    fn start(rehearsal: &Rehearsal) -> std::io::Result<Self> {
        let mut child = Command::new(&rehearsal.program)
            .args(&rehearsal.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (say, over) = sync_channel(1);
        let printed = child.stdout.take();
        let mut running = Self {
            told: child.stdin.take(),
            child,
            over,
        };
        let listen = move || {
            let printed = printed.into_iter().map(|out| out.take(PRINTED_BYTES_MAX));
            let mut lines = printed.flat_map(|out| BufReader::new(out).lines());
            let said = lines.find_map(|line| match line.ok()? {
                line if line.contains(OVER) => Some(Ended::Tried),
                line if line.contains(UNUSABLE) => Some(Ended::Unusable),
                _ => None,
            });
            // Nobody listens if it was ended for another reason.
            if let Some(said) = said {
                say.send(said).ok();
            }
        };
        let listener = thread::Builder::new().name("model-rehearsal".to_owned());
        if let Err(error) = listener.spawn(listen) {
            running.end();
            return Err(error);
        }
        Ok(running)
    }

    fn tell(&mut self, asked: &Asked, source: &ModelSource) -> std::io::Result<()> {
        let header = serde_json::to_vec(asked)?;
        let length = u32::try_from(header.len()).map_err(std::io::Error::other)?;
        let Some(told) = &mut self.told else {
            return Ok(());
        };
        told.write_all(&length.to_le_bytes())?;
        told.write_all(&header)?;
        told.write_all(&source.bytes)?;
        told.write_all(source.weights.as_deref().unwrap_or_default())?;
        told.flush()
    }

    /// Waits for its end, and ends it once it takes too much.
    fn watch(
        &mut self,
        started: Instant,
        (bytes_max, ms_max): (u64, u64),
    ) -> std::io::Result<Ended> {
        loop {
            match self.over.recv_timeout(STEP) {
                Ok(ended) => return Ok(ended),
                Err(RecvTimeoutError::Timeout) => {}
                // It closed its output without having said it.
                Err(RecvTimeoutError::Disconnected) => {
                    let how = self.how();
                    return Ok(Ended::Stopped(Mishap::Crash { how }));
                }
            }
            if self.anonymous_bytes() > bytes_max {
                return Ok(Ended::Stopped(Mishap::Memory { max: bytes_max }));
            }
            if started.elapsed() > Duration::from_millis(ms_max) {
                return Ok(Ended::Stopped(Mishap::Time { max_ms: ms_max }));
            }
        }
    }

    /// Memory that is its own: what it read from libraries does not count.
    fn anonymous_bytes(&self) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let of = |name| {
            let mut lines = status.lines();
            let found = lines.find_map(|line| line.strip_prefix(name));
            let number = found.and_then(|rest| rest.split_ascii_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let kilobytes: u64 = of("RssAnon:");
        kilobytes
            .saturating_add(of("RssShmem:"))
            .saturating_mul(1024)
    }

    /// How it ended by itself.
    fn how(&mut self) -> String {
        self.told = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(STEP),
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
        "it fell silent".to_owned()
    }

    fn end(&mut self) {
        self.told = None;
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
