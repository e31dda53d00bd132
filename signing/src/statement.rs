//! In-toto statements (in-toto Attestation Framework, Statement v1, and v0.1
//! which older tools still write): what a signed envelope says about an artifact.
//!
//! Read strictly, so that no other reader of the same bytes can understand
//! another statement: a key that stands twice anywhere, or a digest that is
//! spelt oddly, is an error. Who said it and whether it is about the artifact at
//! hand is [`crate::TrustedRoot`]'s business.

use std::str::FromStr;

use selvedge_artifact::Digest;
use serde::Deserialize;
use serde_json::Value;

use selvedge_artifact::foreign::{Cause, cause, cut};

mod strict_json;

use strict_json::StrictValue;

/// Bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Subjects of a statement.
const SUBJECTS_MAX: usize = 100;
/// Bytes of a predicate type.
const PREDICATE_TYPE_BYTES_MAX: usize = 1024;
/// The statement types that are understood (`_type`). Their fields are the same.
const STATEMENT_TYPES: [&str; 2] = [
    "https://in-toto.io/Statement/v1",
    "https://in-toto.io/Statement/v0.1",
];

/// Predicate types: what a statement states.
pub mod predicate_type {
    /// A release: the publisher means this artifact to be used. What
    /// `cosign sign` writes since version 3.
    pub const RELEASE: &str = "https://sigstore.dev/cosign/sign/v1";
    /// How it was built (SLSA 1.0).
    pub const SLSA_PROVENANCE: &str = "https://slsa.dev/provenance/v1";
    /// What is in it (CycloneDX).
    pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
    /// What is in it (SPDX).
    pub const SPDX: &str = "https://spdx.dev/Document";
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The digests of what it is about. At least one and at most 100.
    pub subjects: Vec<Digest>,
    /// What it states. At most 1,024 bytes.
    pub predicate_type: String,
    /// The statement: a JSON object, empty if it has none.
    pub predicate: Value,
}

/// Why bytes are not a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// More bytes than are looked at.
    #[error("the statement has {0} bytes; {STATEMENT_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not the JSON of a statement, or a key stands twice in it.
    #[error("the statement is not well formed")]
    Malformed(#[source] Cause),
    /// A statement of a format that is not understood.
    #[error("`{0}` is not a type of statement that is understood")]
    Type(String),
    /// More subjects than are looked at.
    #[error("the statement has {0} subjects; {SUBJECTS_MAX} are allowed")]
    TooManySubjects(usize),
    /// None of its subjects has a SHA-256 digest.
    #[error("the statement names no subject by its SHA-256")]
    NoSubject,
    /// A subject's digest is not spelt as one.
    #[error("`{0}` is not a SHA-256 in lower-case hex digits")]
    Digest(String),
    /// Its predicate type is empty, too long, or has control characters.
    #[error("`{0}` is not a predicate type")]
    PredicateType(String),
}

#[derive(Deserialize)]
struct StatementJson {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectJson>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Option<StrictValue>,
}

#[derive(Deserialize)]
struct SubjectJson {
    digest: DigestsJson,
}

/// Other algorithms than SHA-256 are ignored: they bind nothing here.
#[derive(Deserialize)]
struct DigestsJson {
    sha256: Option<String>,
}

impl Statement {
    /// Reads a statement, of type v1 or v0.1. Who says so is another question.
    ///
    /// Subjects without a SHA-256 digest are left out. Fields that are not of
    /// the format are ignored, as it demands.
    ///
    /// # Errors
    ///
    /// If it is larger than 1 MiB or not a statement with SHA-256 subjects.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::TooLarge(bytes.len()));
        }
        // Bytes of a string that nobody reads are not looked at by the parser.
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|error| StatementError::Malformed(cause(&error)))?;
        let read: StatementJson =
            serde_json::from_str(text).map_err(|error| StatementError::Malformed(cause(&error)))?;
        if !STATEMENT_TYPES.contains(&read.kind.as_str()) {
            return Err(StatementError::Type(cut(&read.kind)));
        }
        if read.subject.len() > SUBJECTS_MAX {
            return Err(StatementError::TooManySubjects(read.subject.len()));
        }
        let hex = read.subject.into_iter().filter_map(|s| s.digest.sha256);
        let subjects: Vec<Digest> = hex.map(|hex| digest(&hex)).collect::<Result<_, _>>()?;
        if subjects.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let predicate_type = read.predicate_type;
        let length = 1..=PREDICATE_TYPE_BYTES_MAX;
        if !length.contains(&predicate_type.len()) || predicate_type.chars().any(char::is_control) {
            return Err(StatementError::PredicateType(cut(&predicate_type)));
        }
        let predicate = match read.predicate.map(|StrictValue(value)| value) {
            None => Value::Object(serde_json::Map::new()),
            Some(object @ Value::Object(_)) => object,
            Some(_) => {
                let reason = "the predicate is not an object";
                return Err(StatementError::Malformed(cause(&reason)));
            }
        };
        Ok(Self {
            subjects,
            predicate_type,
            predicate,
        })
    }
}

fn digest(hex: &str) -> Result<Digest, StatementError> {
    Digest::from_str(&format!("sha256:{hex}")).map_err(|_| StatementError::Digest(cut(hex)))
}

#[cfg(test)]
mod tests;
