//! The outline of a bundle (Sigstore protobuf specs, `sigstore_bundle.proto`),
//! checked before the library reads it.
//!
//! Each part at most once, one kind of content, one kind of key material, few
//! entries: where the library would take the first of two alternatives, another
//! verifier may take the second. Keys that the format does not know are ignored.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::BundleError;
use selvedge_artifact::foreign::cause;

/// Entries of transparency logs.
const LOG_ENTRIES_MAX: usize = 8;
/// RFC 3161 timestamps.
const TIMESTAMPS_MAX: usize = 8;
/// Certificates of a chain.
const CERTIFICATES_MAX: usize = 8;
/// Lines of a checkpoint: its log's signature and those of witnesses. The library
/// verifies each that claims to be the log's, so that many would cost seconds.
const CHECKPOINT_LINES_MAX: usize = 40;
/// Hashes of an inclusion proof: the height of a log of 2^64 entries.
const PROOF_HASHES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[expect(dead_code, reason = "must be there: the library would assume 0.1")]
    media_type: IgnoredAny,
    verification_material: Material,
    message_signature: Option<IgnoredAny>,
    dsse_envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<Chain>,
    public_key: Option<IgnoredAny>,
    #[serde(default)]
    tlog_entries: Vec<Entry>,
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Deserialize)]
struct Chain {
    #[serde(default)]
    certificates: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    inclusion_proof: Option<Proof>,
}

#[derive(Deserialize)]
struct Proof {
    #[serde(default)]
    hashes: Vec<IgnoredAny>,
    checkpoint: Option<Checkpoint>,
}

#[derive(Deserialize)]
struct Checkpoint {
    #[serde(default)]
    envelope: String,
}

#[derive(Deserialize)]
struct Timestamps {
    #[serde(default, rename = "rfc3161Timestamps")]
    rfc3161: Vec<IgnoredAny>,
}

/// Checks the outline of the bundle in `text`.
///
/// # Errors
///
/// If it is not that of a bundle, can be read in two ways, or has too many parts.
pub(super) fn check(text: &str) -> Result<(), BundleError> {
    let outline: Outline =
        serde_json::from_str(text).map_err(|error| BundleError::Malformed(cause(&error)))?;
    let material = outline.verification_material;
    let contents = [outline.message_signature, outline.dsse_envelope];
    let keys = [
        material.certificate.is_some(),
        material.x509_certificate_chain.is_some(),
        material.public_key.is_some(),
    ];
    if contents.iter().flatten().count() != 1 || keys.iter().filter(|&&there| there).count() != 1 {
        let reason = "it has not one signature and one certificate or key";
        return Err(BundleError::Malformed(cause(&reason)));
    }
    let chain = material.x509_certificate_chain.map(|c| c.certificates);
    if chain.as_ref().is_some_and(Vec::is_empty) {
        let reason = "its chain has no certificate";
        return Err(BundleError::Malformed(cause(&reason)));
    }
    let stamps = material.timestamp_verification_data.map(|t| t.rfc3161);
    let entries = material.tlog_entries;
    at_most(
        CERTIFICATES_MAX,
        "certificates",
        chain.map_or(0, |c| c.len()),
    )?;
    at_most(TIMESTAMPS_MAX, "timestamps", stamps.map_or(0, |t| t.len()))?;
    at_most(LOG_ENTRIES_MAX, "log entries", entries.len())?;
    for proof in entries.into_iter().filter_map(|e| e.inclusion_proof) {
        at_most(PROOF_HASHES_MAX, "hashes in a proof", proof.hashes.len())?;
        let note = proof.checkpoint.map_or(0, |c| c.envelope.lines().count());
        at_most(CHECKPOINT_LINES_MAX, "lines in a checkpoint", note)?;
    }
    Ok(())
}

fn at_most(max: usize, what: &'static str, found: usize) -> Result<(), BundleError> {
    if found > max {
        return Err(BundleError::TooMany { what, found, max });
    }
    Ok(())
}
