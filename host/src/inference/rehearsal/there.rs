//! The other process: it hears of one model, tries it and says that it has.

use std::io::{self, Read, Write as _};
use std::process::ExitCode;
use std::thread;

use bytes::Bytes;

use super::{Asked, OVER, UNUSABLE};
use crate::inference::{Backends, LoadError, ModelSource, ModelStore};

/// Bytes of what is said of a model: golden vectors are most of it.
const HEADER_BYTES_MAX: u32 = 256 << 20;
/// What a process has that the kernel is to end first when memory runs out.
const FIRST_TO_GO: &str = "1000";

/// Tries the model that the standard input brings, says so, and waits for the end.
pub fn rehearse_here() -> ExitCode {
    // Without it the host is ended no sooner than others, as before.
    drop(fs_err::write("/proc/self/oom_score_adj", FIRST_TO_GO));
    let Ok((asked, source)) = hear(&mut io::stdin().lock()) else {
        return ExitCode::FAILURE;
    };
    let Ok(_orphaned) = thread::Builder::new().spawn(end_with_the_host) else {
        return ExitCode::FAILURE;
    };
    let store = ModelStore::with(asked.limits, Backends::open(&asked.libraries));
    // The host loads it too, and says what is wrong with it.
    let said = match store.prepare(&source) {
        Err(LoadError::BackendUnavailable { .. } | LoadError::NoBackend { .. }) => UNUSABLE,
        Ok(_) | Err(_) => OVER,
    };
    let mut out = io::stdout().lock();
    if writeln!(out, "{said}").and_then(|()| out.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    drop(out);
    // What libraries do when a process ends is nobody's concern: the host ends it.
    loop {
        thread::park();
    }
}

/// The host keeps the input open for as long as it wants an answer.
#[expect(clippy::exit, reason = "whoever asked is gone")]
fn end_with_the_host() {
    drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
    std::process::exit(1);
}

fn hear(input: &mut impl Read) -> io::Result<(Asked, ModelSource)> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > HEADER_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let asked: Asked = serde_json::from_slice(&read(input, length.into())?)?;
    let bytes = read(input, asked.model_bytes)?;
    let weights = asked.weights_bytes.map(|bytes| read(input, bytes));
    let source = ModelSource {
        format: asked.format,
        weights: weights.transpose()?,
        backend: asked.backend,
        target: asked.target,
        options: asked.options,
        golden: asked.golden.clone(),
        ..ModelSource::onnx(bytes)
    };
    Ok((asked, source))
}

fn read(input: &mut impl Read, bytes: u64) -> io::Result<Bytes> {
    let mut read = Vec::new();
    input.take(bytes).read_to_end(&mut read)?;
    if u64::try_from(read.len()).ok() != Some(bytes) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(read.into())
}
