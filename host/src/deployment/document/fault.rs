//! What is wrong with a file, and where.
//!
//! Faults are collected, not thrown: whoever edits a file sees all of them at
//! once, in the order of the file. Their number is bounded, and what they quote
//! of a foreign file is cut and stripped of control characters.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::source::Source;

/// Faults reported of one file; the rest are only counted.
const FAULTS_MAX: usize = 100;

/// Characters in one message or help.
const TEXT_CHARS_MAX: usize = 400;

/// A place in a file, as editors count: from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    #[serde(serialize_with = "as_text")]
    pub file: Arc<Path>,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = plain(&self.file.to_string_lossy());
        write!(f, "{file}:{}:{}", self.line, self.column)
    }
}

fn as_text<S: serde::Serializer>(file: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&file.display())
}

/// Whether a file with this fault may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Error,
    Warning,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    #[error("file is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("file is not UTF-8 text")]
    NotUtf8,
    #[error("{0}")]
    Syntax(String),
    #[error("nested deeper than {levels_max} levels")]
    TooDeep { levels_max: usize },
    #[error("neither a deployment nor a host configuration")]
    UnknownFile,
    #[error("unknown field `{0}`")]
    UnknownField(String),
    #[error("missing field `{0}`")]
    MissingField(String),
    #[error("`{field}` is {found}, expected {expected}")]
    WrongType {
        field: String,
        found: &'static str,
        expected: &'static str,
    },
    #[error("`{field}` is {found}, expected {expected}")]
    OutOfRange {
        field: String,
        found: String,
        expected: String,
    },
    #[error("unknown value `{found}` of `{field}`")]
    UnknownValue { field: String, found: String },
    #[error("{0}")]
    Invalid(String),
    #[error("`{0}` has no JSON form: numbers must be finite and fit 64 bits")]
    NotJson(String),
    #[error("plugin `{plugin}` is granted model `{model}`, which the deployment does not have")]
    UnknownModel { plugin: String, model: String },
    #[error("model `{model}` has the shadow `{shadow}`, which is no other model of the deployment")]
    UnknownShadow { model: String, shadow: String },
    #[error("model `{0}` is granted to no plugin")]
    UnusedModel(String),
    #[error("`{0}` has no digest: tags may come to mean something else")]
    NotPinned(String),
    #[error("no plugin `{0}` is shipped")]
    UnknownShipped(String),
    #[error("`{entry}` is listed twice in `{list}`")]
    Duplicate { entry: String, list: &'static str },
    #[error("`{filter}` may not be granted for publishing: {why}")]
    ReservedTopic { filter: String, why: &'static str },
    #[error("`{limit}` is {value}, above the host's ceiling of {ceiling}")]
    AboveCeiling {
        limit: String,
        value: u64,
        ceiling: u64,
    },
    #[error("{0}")]
    Doubtful(String),
    #[error("plugin `{plugin}` may feed itself: it publishes `{publish}` and gets `{subscribe}`")]
    FeedsItself {
        plugin: String,
        publish: String,
        subscribe: String,
    },
    #[error("plugins may feed each other in a ring: {0}")]
    Ring(String),
    #[error("cannot find {what} `{path}`")]
    MissingFile { what: &'static str, path: String },
    #[error("cannot use {what} `{path}`: {why}")]
    UnusableFile {
        what: &'static str,
        path: String,
        why: String,
    },
    #[error("{what} `{path}` has digest {found}, expected {expected}")]
    DigestMismatch {
        what: &'static str,
        path: String,
        found: String,
        expected: String,
    },
}

impl FaultKind {
    /// A stable name for API replies and scripts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "file-unreadable",
            Self::TooLarge { .. } => "file-too-large",
            Self::NotUtf8 => "file-not-utf8",
            Self::Syntax(_) => "syntax",
            Self::TooDeep { .. } => "nested-too-deep",
            Self::UnknownFile => "file-kind-unknown",
            Self::UnknownField(_) => "field-unknown",
            Self::MissingField(_) => "field-missing",
            Self::WrongType { .. } => "type-wrong",
            Self::OutOfRange { .. } => "value-out-of-range",
            Self::UnknownValue { .. } => "value-unknown",
            Self::Invalid(_) => "value-invalid",
            Self::NotJson(_) => "value-not-json",
            Self::UnknownModel { .. } => "model-unknown",
            Self::UnknownShadow { .. } => "model-shadow-unknown",
            Self::UnusedModel(_) => "model-unused",
            Self::NotPinned(_) => "reference-not-pinned",
            Self::UnknownShipped(_) => "shipped-plugin-unknown",
            Self::Duplicate { .. } => "entry-duplicate",
            Self::ReservedTopic { .. } => "topic-reserved",
            Self::AboveCeiling { .. } => "limit-above-ceiling",
            Self::Doubtful(_) => "setting-doubtful",
            Self::FeedsItself { .. } => "plugin-feeds-itself",
            Self::Ring(_) => "plugin-ring",
            Self::MissingFile { .. } => "file-missing",
            Self::UnusableFile { .. } => "file-unusable",
            Self::DigestMismatch { .. } => "digest-mismatch",
        }
    }

    /// Warnings name settings that work, though hardly as meant.
    fn severity(&self) -> Severity {
        match self {
            Self::UnusedModel(_) | Self::Doubtful(_) | Self::FeedsItself { .. } | Self::Ring(_) => {
                Severity::Warning
            }
            _ => Severity::Error,
        }
    }
}

/// One thing that is wrong, where, and perhaps what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub location: Location,
    pub kind: Box<FaultKind>,
    pub help: Option<String>,
}

impl Fault {
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = plain(&self.kind.to_string());
        write!(f, "{}: {severity}: {message}", self.location)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", plain(help))?;
        }
        Ok(())
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            location: &'a Location,
            severity: Severity,
            code: &'static str,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<String>,
        }
        Flat {
            location: &self.location,
            severity: self.severity(),
            code: self.kind.code(),
            message: plain(&self.kind.to_string()),
            help: self.help.as_deref().map(plain),
        }
        .serialize(serializer)
    }
}

/// Why a file was refused: at least one of the faults is an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    fn lines(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(Fault::to_string).collect();
        lines.join("\n")
    }
}

/// Something that can be used, and what is doubtful about it.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    pub value: T,
    pub warnings: Vec<Fault>,
}

/// Gathers the faults of one file.
#[derive(Debug)]
pub(crate) struct Collector<'s> {
    source: &'s Source,
    found: Vec<(usize, Fault)>,
    errors: usize,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            found: Vec::new(),
            errors: 0,
        }
    }

    pub(crate) fn push(&mut self, offset: usize, kind: FaultKind) {
        self.push_with(offset, kind, None);
    }

    pub(crate) fn push_with(&mut self, offset: usize, kind: FaultKind, help: Option<String>) {
        self.errors += usize::from(kind.severity() == Severity::Error);
        if self.is_full() {
            return;
        }
        let location = self.source.locate(offset);
        let fault = Fault {
            location,
            kind: Box::new(kind),
            help,
        };
        self.found.push((offset, fault));
    }

    /// Whether further faults would only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= FAULTS_MAX
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// `value`, unless there were errors or it could not be made.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<Checked<T>, Faults> {
        self.found.sort_by_key(|(offset, _)| *offset);
        let faults = self.found.into_iter().map(|(_, fault)| fault).collect();
        match value {
            Some(value) if self.errors == 0 => Ok(Checked {
                value,
                warnings: faults,
            }),
            _ => Err(Faults(faults)),
        }
    }
}

/// Text fit for a terminal and a log line.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, char) in text.chars().enumerate() {
        if index == TEXT_CHARS_MAX {
            plain.push('…');
            break;
        }
        if char.is_control() || is_direction_mark(char) {
            plain.extend(char.escape_unicode());
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Marks that reorder the text around them, so that it reads as another.
fn is_direction_mark(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
