//! What can be wrong with a bundle, in the words of an operator.
//!
//! Each variant asks for another action: get another bundle, correct the policy,
//! add a log or authority to the trusted root, set the clock, raise an alarm.
//! The library's errors are sorted into them; its texts, which repeat what the
//! bundle says, only ever appear cut, as sources.

use sigstore_verify::bundle::Error as Structure;
use sigstore_verify::{CertificateError, Error, TimestampError, TransparencyLogError};

use crate::StatementError;
use selvedge_artifact::foreign::{Cause, cause, cut};

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// More bytes than are looked at.
    #[error("the bundle has {0} bytes; {max} are allowed", max = super::BUNDLE_BYTES_MAX)]
    TooLarge(usize),
    /// More parts of a kind than are looked at.
    #[error("the bundle has {found} {what}; {max} are allowed")]
    TooMany {
        /// Which parts.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are allowed.
        max: usize,
    },
    /// Not a bundle, or one that can be read in two ways.
    #[error("the bundle is not well formed")]
    Malformed(#[source] Cause),
    /// A bundle with contents, keys or log entries that are not supported.
    #[error("the bundle is of a kind that is not supported")]
    Unsupported(#[source] Cause),
    /// What it signs is not a statement about artifacts.
    #[error("the bundle's statement cannot be read")]
    Statement(#[from] StatementError),
    /// Signed with a managed key, where a certificate is asked for.
    #[error("the bundle is signed with a key and not by an identity")]
    NotKeyless,
    /// Signed with a certificate, where a managed key is asked for.
    #[error("the bundle is signed by an identity and not with a key")]
    NotManagedKey,
    /// Signed by someone else.
    #[error("the bundle is signed by {}", shown(.found))]
    Identity {
        /// Whom the certificate names; `None` if neither address nor URI.
        found: Option<String>,
    },
    /// Signed by someone whom another identity provider vouches for.
    #[error("the signer's identity provider is {}", shown(.found))]
    Issuer {
        /// Whom the certificate names.
        found: Option<String>,
    },
    /// The certificate does not make a claim that the policy asks for.
    #[error("the certificate makes no claim `{claim}`")]
    ClaimMissing {
        /// The claim's name.
        claim: String,
    },
    /// The certificate claims something else than the policy asks for.
    #[error("the certificate claims `{claim}` to be `{found}` and not `{expected}`")]
    Claim {
        /// The claim's name.
        claim: String,
        /// What the policy asks for.
        expected: String,
        /// What the certificate claims.
        found: String,
    },
    /// The signature is not over these bytes, or not by this key.
    #[error("the signature is not valid")]
    Signature(#[source] Cause),
    /// A valid signature over something else.
    #[error("the bundle is about another artifact")]
    OtherArtifact,
    /// The certificate is malformed or not fit for signing.
    #[error("the signer's certificate is not valid")]
    Certificate(#[source] Cause),
    /// The certificate comes from nobody whom the trusted root knows.
    #[error("the trusted root does not know who issued the signer's certificate")]
    AuthorityUnknown(#[source] Cause),
    /// Signed before or after the certificate was valid.
    #[error("the signer's certificate was not valid when it signed")]
    CertificateExpired(#[source] Cause),
    /// No certificate transparency log vouches for the certificate.
    #[error("no trusted certificate log has seen the signer's certificate")]
    CertificateLog(#[source] Cause),
    /// A log entry is needed, and there is none.
    #[error("the bundle has no entry of a transparency log")]
    NoLogEntry,
    /// The log entry is of a log that the trusted root does not know.
    #[error("the trusted root does not know the transparency log")]
    LogUnknown(#[source] Cause),
    /// Proof, checkpoint or promise of a log entry does not hold.
    #[error("the evidence of the transparency log does not hold")]
    LogEvidence(#[source] Cause),
    /// The log entry is about another signature.
    #[error("the entry of the transparency log is about another signature")]
    LogEntry(#[source] Cause),
    /// The log's time is ahead of this device's clock, or outside the time for
    /// which the certificate was valid.
    #[error("the time of the transparency log cannot be")]
    LogTime(#[source] Cause),
    /// Neither a log nor a timestamp authority says when it was signed.
    #[error("nobody whom the trusted root knows says when the bundle was signed")]
    NoTrustedTime,
    /// A timestamp is not valid, or of an authority that the trusted root does
    /// not know.
    #[error("the timestamp is not valid")]
    Timestamp(#[source] Cause),
    /// The trusted root cannot be used for this bundle.
    #[error("the trusted root cannot be used")]
    TrustedRoot(#[source] Cause),
    /// The library left out a check that was asked for.
    #[error("the bundle was not verified in full: {0}")]
    Incomplete(&'static str),
    /// The library panicked.
    #[error("verifying the bundle failed unexpectedly")]
    Panicked,
}

/// Why bytes are not a trusted root, or text not a key.
#[derive(Debug, thiserror::Error)]
pub enum TrustedRootError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes, which is too many")]
    TooLarge(usize),
    /// Not a trusted root.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// A key, certificate or time in it cannot be used.
    #[error("its keys or certificates cannot be used")]
    Unusable(#[source] Cause),
    /// It has neither log nor timestamp authority: nothing says when anything
    /// was signed.
    #[error("it has neither a transparency log nor a timestamp authority")]
    NoTime,
    /// Not a public key, or of an algorithm that is not supported.
    #[error("it is not a public key that can be used")]
    Key(#[source] Cause),
    /// The library panicked.
    #[error("reading it failed unexpectedly")]
    Panicked,
}

impl BundleError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "bundle-too-large",
            Self::TooMany { .. } => "bundle-too-many-parts",
            Self::Malformed(_) => "bundle-malformed",
            Self::Unsupported(_) => "bundle-unsupported",
            Self::Statement(_) => "statement-malformed",
            Self::NotKeyless => "bundle-not-keyless",
            Self::NotManagedKey => "bundle-not-managed-key",
            Self::Identity { .. } => "identity-mismatch",
            Self::Issuer { .. } => "issuer-mismatch",
            Self::ClaimMissing { .. } => "claim-missing",
            Self::Claim { .. } => "claim-mismatch",
            Self::Signature(_) => "signature-invalid",
            Self::OtherArtifact => "artifact-mismatch",
            Self::Certificate(_) => "certificate-invalid",
            Self::AuthorityUnknown(_) => "certificate-authority-unknown",
            Self::CertificateExpired(_) => "certificate-expired",
            Self::CertificateLog(_) => "certificate-not-logged",
            Self::NoLogEntry => "log-entry-missing",
            Self::LogUnknown(_) => "log-unknown",
            Self::LogEvidence(_) => "log-evidence-invalid",
            Self::LogEntry(_) => "log-entry-mismatch",
            Self::LogTime(_) => "log-time-invalid",
            Self::NoTrustedTime => "time-missing",
            Self::Timestamp(_) => "timestamp-invalid",
            Self::TrustedRoot(_) => "trusted-root-unusable",
            Self::Incomplete(_) => "verification-incomplete",
            Self::Panicked => "verification-panicked",
        }
    }

    /// What the library's `error` means. `log_needed` is whether a log entry was
    /// asked for, `log_known` whether the trusted root has the logs of all
    /// entries; both only choose the words.
    pub(super) fn of(error: Error, log_needed: bool, log_known: bool) -> Self {
        match error {
            Error::IdentityMismatch { actual, .. } => Self::Identity {
                found: actual.map(|san| cut(san.as_str())),
            },
            Error::IssuerMismatch { actual, .. } => Self::Issuer {
                found: actual.map(|issuer| cut(&issuer)),
            },
            Error::SignatureInvalid(text) => Self::Signature(cause(&text)),
            Error::ArtifactMismatch(_) => Self::OtherArtifact,
            Error::Certificate(error) => of_certificate(&error),
            Error::TransparencyLog(error) if !log_known => Self::LogUnknown(cause(&error)),
            Error::TransparencyLog(error) => of_log(&error),
            Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => Self::NoTrustedTime,
            Error::Timestamp(error) => Self::Timestamp(cause(&error)),
            Error::Bundle(error) => of_structure(&error, log_needed),
            Error::UnsupportedBundle(text) | Error::UnsupportedArtifact(text) => {
                Self::Unsupported(cause(&text))
            }
            error @ (Error::InvalidTrustRoot(_)
            | Error::TrustRoot(_)
            | Error::TrustedCertificate(_)) => Self::TrustedRoot(cause(&error)),
            // Whatever else there is or will be is a bundle that proves nothing.
            other => Self::Malformed(cause(&other)),
        }
    }
}

fn of_certificate(error: &CertificateError) -> BundleError {
    let source = cause(error);
    match error {
        CertificateError::NoValidAuthority { .. } => BundleError::AuthorityUnknown(source),
        // `webpki`'s word for it; the library keeps no more than the text.
        CertificateError::ChainInvalid(text) if text.contains("UnknownIssuer") => {
            BundleError::AuthorityUnknown(source)
        }
        CertificateError::NotYetValid { .. } | CertificateError::Expired { .. } => {
            BundleError::CertificateExpired(source)
        }
        CertificateError::Sct(_) => BundleError::CertificateLog(source),
        _ => BundleError::Certificate(source),
    }
}

fn of_log(error: &TransparencyLogError) -> BundleError {
    let source = cause(error);
    match error {
        TransparencyLogError::UnknownLog { .. } => BundleError::LogUnknown(source),
        TransparencyLogError::EntryMismatch(_) => BundleError::LogEntry(source),
        TransparencyLogError::IntegratedTime(_) => BundleError::LogTime(source),
        _ => BundleError::LogEvidence(source),
    }
}

fn of_structure(error: &Structure, log_needed: bool) -> BundleError {
    match error {
        Structure::MissingInclusionProof(_)
        | Structure::MissingInclusionPromise(_)
        | Structure::MissingSigningTimeEvidence
            if log_needed =>
        {
            BundleError::NoLogEntry
        }
        Structure::MissingSigningTimeEvidence | Structure::MissingTimestamp => {
            BundleError::NoTrustedTime
        }
        Structure::MissingCheckpoint
        | Structure::LogIndexOutOfRange { .. }
        | Structure::CheckpointRootMismatch => BundleError::LogEvidence(cause(error)),
        Structure::UnsupportedMediaType(_) | Structure::UnsupportedVerificationMaterial => {
            BundleError::Unsupported(cause(error))
        }
        _ => BundleError::Malformed(cause(error)),
    }
}

fn shown(found: &Option<String>) -> String {
    match found {
        Some(found) => format!("`{found}`"),
        None => "nobody that it names".to_owned(),
    }
}
