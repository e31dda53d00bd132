//! The four roles as they are written and signed (TUF 1.0.34, section 4).
//!
//! Signatures are over canonical JSON as securesystemslib has it. Keys are ECDSA
//! P-256 (`ecdsa-sha2-nistp256`), named by the hash that other writers use too.

use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::Digest;
use serde_json::{Map, Value, json};
use sigstore_tuf::{Key, RoleKeys, Root, canonical_json};

use super::{Lifetimes, RepositoryError, RepositoryKeys};
use crate::SigningKey;

const SPEC_VERSION: &str = "1.0.34";

/// A key under its name in the metadata.
#[derive(Clone)]
pub(super) struct Signer<'a> {
    key: &'a SigningKey,
    id: String,
    public: Value,
}

/// The keys of one role, each once.
#[derive(Clone)]
pub(super) struct Signers<'a> {
    role: &'static str,
    keys: Vec<Signer<'a>>,
}

/// One role's version and end.
pub(super) struct Edition {
    pub(super) version: u64,
    pub(super) expires: String,
}

impl<'a> Signers<'a> {
    pub(super) fn new(
        role: &'static str,
        keys: impl IntoIterator<Item = &'a SigningKey>,
    ) -> Result<Self, RepositoryError> {
        let mut signers: Vec<Signer<'a>> = Vec::new();
        for key in keys {
            let signer = Signer::new(role, key)?;
            if signers.iter().all(|known| known.id != signer.id) {
                signers.push(signer);
            }
        }
        if signers.is_empty() {
            return Err(RepositoryError::NoKeys { role });
        }
        Ok(Self {
            role,
            keys: signers,
        })
    }

    /// These, if they are keys of the role in `root`, and enough.
    pub(super) fn known_to(self, root: &Root) -> Result<Self, RepositoryError> {
        let role = self.role;
        let (ids, threshold) = root.role(role).map_or((&[][..], usize::MAX), |known| {
            let RoleKeys {
                keyids, threshold, ..
            } = known;
            (keyids.as_slice(), *threshold)
        });
        if !self.keys.iter().all(|signer| ids.contains(&signer.id)) {
            return Err(RepositoryError::UnknownKey { role });
        }
        if self.keys.len() < threshold {
            return Err(RepositoryError::TooFewKeys {
                role,
                found: self.keys.len(),
                threshold,
            });
        }
        Ok(self)
    }

    /// These and `others`, each once.
    pub(super) fn and(mut self, others: Self) -> Self {
        for other in others.keys {
            if self.keys.iter().all(|signer| signer.id != other.id) {
                self.keys.push(other);
            }
        }
        self
    }

    /// How many must sign: more than half, so that two thirds of three may be
    /// had without the third.
    fn threshold(&self) -> usize {
        self.keys.len() / 2 + 1
    }

    /// `signed` with everyone's signature.
    pub(super) fn sign(&self, signed: &Value) -> Result<Vec<u8>, RepositoryError> {
        let canonical = canonical_json::to_canonical_bytes(signed)
            .map_err(|source| failed(self.role, source))?;
        let mut signatures = Vec::new();
        for signer in &self.keys {
            let signature = signer.key.pair.sign(&canonical);
            let signature = signature.map_err(|source| failed(self.role, source))?;
            signatures.push(json!({ "keyid": signer.id, "sig": hex(signature.as_bytes()) }));
        }
        let envelope = json!({ "signatures": signatures, "signed": signed });
        serde_json::to_vec_pretty(&envelope).map_err(|source| failed(self.role, source))
    }
}

impl<'a> Signer<'a> {
    fn new(role: &'static str, key: &'a SigningKey) -> Result<Self, RepositoryError> {
        let public = json!({
            "keytype": "ecdsa",
            "scheme": "ecdsa-sha2-nistp256",
            "keyval": { "public": key.public_pem() },
        });
        let known: Key =
            serde_json::from_value(public.clone()).map_err(|source| failed(role, source))?;
        let id = known.key_id().map_err(|source| failed(role, source))?;
        Ok(Self { key, id, public })
    }
}

/// `role` as it is believed for `lifetime` from `now` on, to the second.
pub(super) fn edition(
    role: &'static str,
    version: u64,
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<Edition, RepositoryError> {
    let error = RepositoryError::Lifetime {
        role,
        lifetime,
        now,
    };
    match now.checked_add(lifetime) {
        Ok(end) if lifetime > SignedDuration::ZERO => Ok(Edition {
            version,
            expires: end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }),
        _ => Err(error),
    }
}

/// The root that names `keys`, signed by the root keys among them and by `old`.
pub(super) fn root(
    version: u64,
    keys: &RepositoryKeys,
    old: Option<Signers<'_>>,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Result<Vec<u8>, RepositoryError> {
    let roles = [
        Signers::new("root", &keys.root)?,
        Signers::new("targets", &keys.targets)?,
        Signers::new("snapshot", [&keys.online])?,
        Signers::new("timestamp", [&keys.online])?,
    ];
    let mut known = Map::new();
    let mut bound = Map::new();
    for role in &roles {
        let ids: Vec<&str> = role.keys.iter().map(|signer| signer.id.as_str()).collect();
        bound.insert(
            role.role.to_owned(),
            json!({ "keyids": ids, "threshold": role.threshold() }),
        );
        for signer in &role.keys {
            known.insert(signer.id.clone(), signer.public.clone());
        }
    }
    let edition = edition("root", version, lifetimes.root, now)?;
    let signed = json!({
        "_type": "root",
        "spec_version": SPEC_VERSION,
        "version": edition.version,
        "expires": edition.expires,
        "consistent_snapshot": true,
        "keys": known,
        "roles": bound,
    });
    let [root, ..] = roles;
    match old {
        Some(old) => root.and(old).sign(&signed),
        None => root.sign(&signed),
    }
}

/// Targets, with each file's length and hash.
pub(super) fn targets<'f>(
    edition: &Edition,
    files: impl Iterator<Item = (&'f str, &'f [u8])>,
) -> Value {
    let listed: Map<String, Value> = files
        .map(|(name, bytes)| (name.to_owned(), described(bytes)))
        .collect();
    json!({
        "_type": "targets",
        "spec_version": SPEC_VERSION,
        "version": edition.version,
        "expires": edition.expires,
        "targets": listed,
    })
}

/// A role that pins one other file: snapshot or timestamp.
pub(super) fn pinning(
    role: &'static str,
    edition: &Edition,
    file: &str,
    version: u64,
    bytes: &[u8],
) -> Value {
    let mut pin = described(bytes);
    if let Some(pin) = pin.as_object_mut() {
        pin.insert("version".to_owned(), Value::from(version));
    }
    json!({
        "_type": role,
        "spec_version": SPEC_VERSION,
        "version": edition.version,
        "expires": edition.expires,
        "meta": { file: pin },
    })
}

fn described(bytes: &[u8]) -> Value {
    json!({ "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes).hex() } })
}

fn failed(
    role: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RepositoryError {
    RepositoryError::Sign {
        role,
        source: source.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
