//! What is wrong with a policy, and where.

use std::collections::BTreeSet;

use semver::Version;

use selvedge_artifact::foreign::cut;

/// Faults that are kept of one policy. Whoever has more begins with these.
const FAULTS_MAX: usize = 100;
/// Faults that stand in the message.
const FAULTS_SHOWN_MAX: usize = 10;

/// Why bytes are not a policy, or a policy cannot be decided by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// More bytes than are looked at.
    #[error("the policy has {0} bytes; {max} are allowed", max = super::read::POLICY_BYTES_MAX)]
    TooLarge(usize),
    /// Not JSON.
    #[error("the policy is not JSON")]
    Malformed(#[source] serde_json::Error),
    /// It says what no policy may say. All the faults that were found, at most
    /// 100; never none.
    #[error("the policy is not acceptable: {}", shown(.0))]
    Faults(Vec<PolicyFault>),
}

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{at}`: {kind}")]
pub struct PolicyFault {
    /// Where (JSON Pointer, RFC 6901): `/grants/3/by`.
    pub at: String,
    /// What.
    pub kind: PolicyFaultKind,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFaultKind {
    /// It is of another format.
    #[error("the format is {0}; 1 is read here")]
    Format(u32),
    /// It is of another type, a field is missing or too many, or a value means
    /// nothing.
    #[error("{0}")]
    Malformed(String),
    /// There is no such field.
    #[error("no field of a policy has this name")]
    UnknownField,
    /// It stands there twice.
    #[error("it stands there twice")]
    Duplicate,
    /// There are too many.
    #[error("there are {found}; {max} are allowed")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many may be.
        max: usize,
    },
    /// It is not what publishers and roots may be called.
    #[error("`{0}` is not a name: expected 1 to 63 lower-case letters, digits and `-`")]
    Name(String),
    /// It is not what a file of the repository may be called.
    #[error("`{0}` is not the name of a file in the repository")]
    Target(String),
    /// No trusted root has this name.
    #[error("there is no trusted root `{0}` in `/trust`")]
    NoSuchRoot(String),
    /// No publisher has this name.
    #[error("there is no publisher `{0}` in `/publishers`")]
    NoSuchPublisher(String),
    /// It is no identity provider.
    #[error("`{0}` is not an identity provider: expected an `https://` address")]
    Issuer(String),
    /// Certificates make no such claim.
    #[error("`{0}` is no claim of a certificate")]
    Claim(String),
    /// It is no key that can be used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Two grants are about the same packages.
    #[error("`/grants/{first}` is about `{packages}` too; neither is more specific")]
    Ambiguous {
        /// What they are about.
        packages: String,
        /// The first of them, counted from 0.
        first: usize,
    },
    /// It names no statement that can be needed.
    #[error(
        "`{0}` is no statement beside the release: expected `slsa-provenance`, `cyclonedx`, `spdx` or a predicate type"
    )]
    Need(String),
    /// The packages may be nothing.
    #[error("it names neither `plugin` nor `model`")]
    NoKinds,
    /// Two needs mean the same statement.
    #[error("`{0}` means the same statement")]
    NeedAmbiguous(String),
    /// It names no import.
    #[error("`{0}` is no import: expected `wasi:sockets/tcp` or `wasi:sockets/*`, without version")]
    Import(String),
    /// It may be installed by one entry and not by another.
    #[error("{version} is below the floor, {floor}")]
    BelowFloor {
        /// The version that may be installed.
        version: Version,
        /// The floor that says it may not.
        floor: Version,
    },
    /// A file that it names did not come with it.
    #[error("the file `{0}` did not come with the policy")]
    FileMissing(String),
    /// A file that it names is no trusted root.
    #[error("the trusted root cannot be used: {0}")]
    Root(String),
    /// Nothing can be verified by a publisher.
    #[error("nothing can be verified by this publisher: {0}")]
    Publisher(String),
}

impl PolicyFaultKind {
    /// A stable name for exit messages and tests. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "policy-format-unknown",
            Self::Malformed(_) => "policy-value-invalid",
            Self::UnknownField => "policy-field-unknown",
            Self::Duplicate => "policy-key-duplicate",
            Self::TooMany { .. } => "policy-too-many",
            Self::Name(_) => "policy-name-invalid",
            Self::Target(_) => "policy-target-invalid",
            Self::NoSuchRoot(_) => "policy-root-unknown",
            Self::NoSuchPublisher(_) => "policy-publisher-unknown",
            Self::Issuer(_) => "policy-issuer-invalid",
            Self::Claim(_) => "policy-claim-unknown",
            Self::Key(_) => "policy-key-unusable",
            Self::Ambiguous { .. } => "policy-grant-ambiguous",
            Self::NoKinds => "policy-kinds-empty",
            Self::Need(_) => "policy-need-unknown",
            Self::NeedAmbiguous(_) => "policy-need-ambiguous",
            Self::Import(_) => "policy-import-invalid",
            Self::BelowFloor { .. } => "policy-downgrade-below-floor",
            Self::FileMissing(_) => "policy-file-missing",
            Self::Root(_) => "policy-root-unusable",
            Self::Publisher(_) => "policy-publisher-unusable",
        }
    }
}

impl PolicyError {
    /// A stable name for exit messages and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "policy-too-large",
            Self::Malformed(_) => "policy-malformed",
            Self::Faults(_) => "policy-invalid",
        }
    }

    /// The faults, each with its place.
    pub fn faults(&self) -> &[PolicyFault] {
        match self {
            Self::Faults(faults) => faults,
            Self::TooLarge(_) | Self::Malformed(_) => &[],
        }
    }
}

fn shown(faults: &[PolicyFault]) -> String {
    let shown = faults.iter().take(FAULTS_SHOWN_MAX);
    let mut text = shown
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    if let Some(more @ 1..) = faults.len().checked_sub(FAULTS_SHOWN_MAX) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<PolicyFault>);

impl Faults {
    pub(crate) fn push(&mut self, at: String, kind: PolicyFaultKind) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(PolicyFault { at, kind });
        }
    }

    /// Where the faulty publishers are.
    pub(crate) fn publishers(&self) -> BTreeSet<String> {
        let places = self.0.iter().map(|fault| fault.at.clone());
        places.filter(|at| at.starts_with("/publishers/")).collect()
    }

    pub(crate) fn into_result(self) -> Result<(), PolicyError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(PolicyError::Faults(self.0)),
        }
    }
}

/// A place in a document (JSON Pointer, RFC 6901).
pub(crate) fn pointer(path: &[&str]) -> String {
    let escape = |part: &&str| format!("/{}", cut(part).replace('~', "~0").replace('/', "~1"));
    path.iter().map(escape).collect()
}
