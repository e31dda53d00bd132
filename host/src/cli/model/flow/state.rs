//! What became of each step: a file that is whole at any time, also after a crash.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::steps::{Made, Plan};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::names::Digest;

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 16 << 20;
const FORM: u32 = 1;

/// A step, in the order in which they are done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    Train,
    Compile,
    Package,
    Publish,
    Deploy,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Compile => "compile",
            Self::Package => "package",
            Self::Publish => "publish",
            Self::Deploy => "deploy",
        })
    }
}

/// What became of a flow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    form: u32,
    pub(super) steps: BTreeMap<Step, Record>,
}

/// What became of a step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) command: Vec<String>,
    /// What it was given, by digest.
    pub(super) inputs: BTreeMap<String, Digest>,
    pub(super) log: PathBuf,
    began: Timestamp,
    /// None while it runs, or if it was cut off.
    pub(super) ended: Option<Ended>,
}

/// How a step ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "outcome")]
pub(super) enum Ended {
    Done {
        #[serde(flatten)]
        made: Made,
        took_ms: u64,
    },
    Failed {
        why: String,
        took_ms: u64,
    },
}

impl Ended {
    pub(super) fn done(made: Made, took_ms: u64) -> Self {
        Self::Done { made, took_ms }
    }

    pub(super) fn failed(why: String, took_ms: u64) -> Self {
        Self::Failed { why, took_ms }
    }
}

impl State {
    /// What is known; nothing, if nothing was done yet.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let empty = Self {
            form: FORM,
            steps: BTreeMap::new(),
        };
        if !path.exists() {
            return Ok(empty);
        }
        let mut text = Vec::new();
        let file = fs_err::File::open(path)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        let state: Result<Self, _> = serde_json::from_slice(&text);
        let why = match state {
            Ok(state) if state.form == FORM => return Ok(state),
            Ok(state) => format!("its form is {}, not {FORM}", state.form),
            Err(error) => error.to_string(),
        };
        let hint = "remove it, and every step is done anew";
        Err(Failure::about(path, why).with_hint(hint))
    }

    pub(super) fn begin(&mut self, step: Step, plan: &Plan, began: Timestamp) {
        // What comes after it was made of what it made before.
        self.steps.retain(|other, _| *other <= step);
        let record = Record {
            command: plan.command.clone(),
            inputs: plan.inputs.clone(),
            log: plan.log.clone(),
            began,
            ended: None,
        };
        self.steps.insert(step, record);
    }

    pub(super) fn end(&mut self, step: Step, ended: Ended) {
        if let Some(record) = self.steps.get_mut(&step) {
            record.ended = Some(ended);
        }
    }

    /// What a step made, if it ended well.
    pub(super) fn made(&self, step: Step) -> Option<&Made> {
        match self.steps.get(&step)?.ended.as_ref()? {
            Ended::Done { made, .. } => Some(made),
            Ended::Failed { .. } => None,
        }
    }

    /// On the disk when this returns, the former or this one.
    pub(super) fn write(&self, path: &Path) -> Outcome<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        put(path, &text)
    }
}

/// Replaces a file at once, so that a crash leaves the former or this one.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let about = |error: std::io::Error| Failure::about(path, error);
    let mut aside = tempfile::NamedTempFile::new_in(folder).map_err(about)?;
    aside.write_all(bytes).map_err(about)?;
    if let Ok(former) = fs_err::metadata(path) {
        aside
            .as_file()
            .set_permissions(former.permissions())
            .map_err(about)?;
    }
    aside.as_file().sync_all().map_err(about)?;
    aside.persist(path).map_err(|error| about(error.error))?;
    Ok(fs_err::File::open(folder)?.sync_all()?)
}

/// Held while a flow runs, and by what it began, which may outlive it: else that
/// would write into what the next one makes. Waits for it.
pub(super) fn lock(file: &Path) -> Outcome<std::fs::File> {
    let (mut file, path) = fs_err::File::open(file)?.into_parts();
    let about = |error: std::io::Error| Failure::about(&path, error);
    if file.try_lock().is_err() {
        complain(&"note: waiting until what another `selvedge model flow` began has ended");
        file.lock().map_err(about)?;
    }
    // Whoever gets it as standard input reads nothing.
    file.seek(SeekFrom::End(0)).map_err(about)?;
    Ok(file)
}
