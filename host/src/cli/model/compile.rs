//! `selvedge model compile`: makes of a model what a library runs best on this
//! processor, checks it against the golden vectors, and says for what it was made.
//!
//! What is written is a model like any other, beside a `model.toml` of its own. It
//! is refused wherever the library, its version or the processor is another.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use selvedge_artifact::{ModelContents, ModelFileFormat, ModelManifest};
use serde::Serialize;

use super::local::{Local, Machine};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, say};
use crate::inference::{Compiled, ModelSource, ModelStore, this_cpu};
use crate::names::Digest;
use crate::spec::BackendKind;

const EXAMPLES: &str = "\
Examples:
  selvedge model compile pump/model.toml --backend onnxruntime --output pump-here --host-config host.toml
  selvedge model compile pump --backend openvino --python venv/bin/python --output pump-here --host-config host.toml";

/// What OpenVINO's own converter is told; its C interface cannot write.
const CONVERT: &str = "import sys, openvino; \
    openvino.save_model(openvino.convert_model(sys.argv[1]), sys.argv[2], compress_to_fp16=False)";
/// Seconds that it may take.
const CONVERT_MAX: Duration = Duration::from_secs(600);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// `model.toml`, or the folder it is in. It must have golden vectors.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The library that will run it.
    #[arg(long, value_name = "BACKEND")]
    backend: By,
    /// The folder to write, which must not be there.
    #[arg(long, short, value_name = "DIRECTORY")]
    output: PathBuf,
    /// For `openvino`: a Python that has its package, of the same version.
    #[arg(long, value_name = "FILE", required_if_eq("backend", "openvino"))]
    python: Option<PathBuf>,
    /// Say what was made as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// A library that compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Onnxruntime,
    Openvino,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Report {
    model: PathBuf,
    #[serde(flatten)]
    compiled: Compiled,
    digest: Digest,
    bytes_before: usize,
    bytes: usize,
}

pub(super) fn run(args: &Args) -> Outcome {
    let local = Local::read(&args.model)?;
    let Some(contents) = &local.contents else {
        return Err(no_golden("it has no `model.toml`"));
    };
    if contents.golden.is_empty() {
        return Err(no_golden("it has no golden vectors"));
    }
    if args.output.exists() {
        return Err(Failure::about(&args.output, "it is there already"));
    }
    let store = args.machine.store()?;
    let parent = args.output.parent().unwrap_or(Path::new(""));
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    fs_err::create_dir_all(parent)?;
    // Renamed once it has passed: nobody finds what was not checked.
    let aside = tempfile::Builder::new()
        .prefix(".compile-")
        .tempdir_in(parent)?;
    let report = make(args, &local.source, contents, &store, aside.path())?;
    fs_err::rename(aside.keep(), &args.output)?;
    if args.json {
        json(&report)?;
    } else {
        let Compiled {
            backend,
            version,
            cpu,
            ..
        } = &report.compiled;
        say(&format!("{}", report.model.display()))?;
        say(&format!(
            "for {} {version} on {cpu}, and nowhere else",
            backend.name()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn no_golden(why: &str) -> Failure {
    let what = format!("the model cannot be compiled: {why}");
    Failure::new(
        what,
        Some("golden vectors say whether what was made computes the same".to_owned()),
    )
}

fn make(
    args: &Args,
    source: &ModelSource,
    contents: &ModelContents,
    store: &ModelStore,
    folder: &Path,
) -> Outcome<Report> {
    let backend = match args.backend {
        By::Onnxruntime => BackendKind::Onnxruntime,
        By::Openvino => BackendKind::Openvino,
    };
    let mut source = source.clone();
    source.backend = backend.into();
    // It runs as it is, or there is nothing to compare with.
    store
        .prepare(&source)
        .map_err(|error| Failure::new(Unfit(error), None))?;
    let status = store
        .backends()
        .status()
        .into_iter()
        .find(|status| status.backend == backend);
    let compiled = Compiled {
        from: source.digest,
        backend,
        version: status.and_then(|status| status.version).unwrap_or_default(),
        cpu: this_cpu(),
    };
    let mut manifest = contents.manifest.clone();
    match args.backend {
        By::Onnxruntime => {
            "model.onnx".clone_into(&mut manifest.model.file);
            store.compile(&source, &folder.join("model.onnx"))?;
        }
        By::Openvino => {
            "model.xml".clone_into(&mut manifest.model.file);
            manifest.model.weights = Some("model.bin".to_owned());
            manifest.model.format = ModelFileFormat::OpenvinoIr;
            convert(args, contents, folder)?;
        }
    }
    let name = serde_json::to_value(backend)?;
    manifest.backend = name.as_str().map(str::to_owned);
    manifest.metadata.extend([compiled.entry()?]);
    write(&manifest, contents, folder)?;
    // Read again as anyone would: on its golden vectors, and for this device.
    let made = Local::read(folder)?;
    store
        .prepare(&made.source)
        .map_err(|error| Failure::new(Wrong(error), None))?;
    let weights = |source: &ModelSource| source.weights.as_ref().map_or(0, bytes::Bytes::len);
    Ok(Report {
        model: args.output.join(ModelManifest::FILE),
        compiled,
        digest: made.source.digest,
        bytes_before: source.bytes.len() + weights(&source),
        bytes: made.source.bytes.len() + weights(&made.source),
    })
}

/// `model.toml`, golden vectors and texts; the model itself is there.
fn write(manifest: &ModelManifest, contents: &ModelContents, folder: &Path) -> Outcome<()> {
    let golden = manifest.golden.iter().zip(&contents.golden);
    let docs = manifest.docs.iter().zip(&contents.docs);
    for (file, bytes) in golden.chain(docs) {
        let path = folder.join(file);
        fs_err::create_dir_all(path.parent().unwrap_or(folder))?;
        fs_err::write(path, bytes)?;
    }
    let text = toml::to_string(manifest)?;
    Ok(fs_err::write(folder.join(ModelManifest::FILE), text)?)
}

/// By OpenVINO's package for Python.
fn convert(args: &Args, contents: &ModelContents, folder: &Path) -> Outcome<()> {
    let python = args.python.clone().unwrap_or_default();
    let given = tempfile::Builder::new().suffix(".onnx").tempfile()?;
    fs_err::write(given.path(), &contents.model)?;
    let log = tempfile::tempfile()?;
    let mut child = Command::new(&python)
        .args(["-c", CONVERT])
        .arg(given.path())
        .arg(folder.join("model.xml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .map_err(|error| Failure::about(&python, error))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > CONVERT_MAX {
            child.kill()?;
            child.wait()?;
            return Err(Failure::about(&python, "it took too long"));
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let said = super::flow::last_line(log)?;
    Err(Failure::about(&python, format!("it failed: {said}")))
}

#[derive(Debug, thiserror::Error)]
#[error("the model does not run here as it is")]
struct Unfit(#[source] crate::inference::LoadError);

#[derive(Debug, thiserror::Error)]
#[error("what was compiled is not fit to serve, and was thrown away")]
struct Wrong(#[source] crate::inference::LoadError);
