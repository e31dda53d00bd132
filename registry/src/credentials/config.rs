//! Docker's `config.json`, as far as it is about credentials.
//!
//! Bounded, and silent about what is in it. Keys are matched as docker writes
//! them: with or without a scheme and a path.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{CredentialError, Credentials, TOKEN_USER};

/// Bytes of `config.json`.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// What docker calls its own registry here.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Base64 with or without padding: both are written.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    auths: Option<HashMap<String, Option<Auth>>>,
    creds_store: Option<String>,
    cred_helpers: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Docker's configuration, read.
pub(super) struct Config {
    path: PathBuf,
    document: Document,
}

/// What a configuration itself holds for a registry.
pub(super) enum Entry {
    Found(Credentials),
    None,
}

impl Config {
    /// Reads it. `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let file = match fs_err::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CredentialError::Unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(CONFIG_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(CredentialError::Unreadable)?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(CredentialError::TooLarge {
                path: path.to_owned(),
                bytes_max: CONFIG_BYTES_MAX,
            });
        }
        let document =
            serde_json::from_slice(&bytes).map_err(|error| CredentialError::Malformed {
                path: path.to_owned(),
                line: error.line(),
                column: error.column(),
            })?;
        Ok(Some(Self {
            path: path.to_owned(),
            document,
        }))
    }

    /// The helper for this registry alone.
    pub(super) fn helper_of(&self, registry: &str) -> Option<&str> {
        let helper = lookup(self.document.cred_helpers.as_ref()?, registry)?;
        Some(helper)
            .filter(|helper| !helper.is_empty())
            .map(String::as_str)
    }

    /// The helper for all registries.
    pub(super) fn helper_of_all(&self) -> Option<&str> {
        let helper = self.document.creds_store.as_deref();
        helper.filter(|helper| !helper.is_empty())
    }

    /// What the file itself holds. An empty entry, which docker leaves beside a
    /// helper, is none.
    pub(super) fn entry_of(&self, registry: &str) -> Result<Entry, CredentialError> {
        let auths = self.document.auths.as_ref();
        let Some(Some(auth)) = auths.and_then(|auths| lookup(auths, registry)) else {
            return Ok(Entry::None);
        };
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(password) = some(&auth.identitytoken) {
            let user = TOKEN_USER.to_owned();
            return Ok(Entry::Found(Credentials { user, password }));
        }
        if let Some(encoded) = some(&auth.auth) {
            let decoded = decode(&encoded).ok_or_else(|| CredentialError::Entry {
                path: self.path.clone(),
                registry: registry.to_owned(),
            })?;
            return Ok(Entry::Found(decoded));
        }
        match (some(&auth.username), some(&auth.password)) {
            (Some(user), Some(password)) => Ok(Entry::Found(Credentials { user, password })),
            _ => Ok(Entry::None),
        }
    }
}

/// Whether docker means its own registry by it.
pub(super) fn is_docker_hub(registry: &str) -> bool {
    matches!(
        registry,
        "docker.io" | "index.docker.io" | "registry-1.docker.io"
    )
}

/// The exact key first, then one that differs in scheme and path only; of
/// several, the first in order, so that the choice is always the same.
fn lookup<'a, T>(entries: &'a HashMap<String, T>, registry: &str) -> Option<&'a T> {
    if let Some(exact) = entries.get(registry) {
        return Some(exact);
    }
    let same = |key: &str| {
        let host = host_of(key);
        host == registry || (is_docker_hub(host) && is_docker_hub(registry))
    };
    let matching = entries.iter().filter(|(key, _)| same(key));
    matching.min_by_key(|(key, _)| *key).map(|(_, entry)| entry)
}

fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    let key = key.strip_prefix("http://").unwrap_or(key);
    key.split_once('/').map_or(key, |(host, _)| host)
}

fn decode(encoded: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    // Some writers pad with NUL, and docker takes it off.
    let password = password.trim_matches('\0');
    (!user.is_empty()).then(|| Credentials {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}
