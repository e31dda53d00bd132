//! Managed keys: made, kept and read back.
//!
//! A key is ECDSA P-256 (FIPS 186-5) in PKCS#8, in a file that its owner alone
//! may read, with a password if there is one. What OpenSSL makes is read, and
//! what is written here OpenSSL reads. What a key may sign is not decided here.

mod file;
mod pbes2;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use der::pem::{self, LineEnding};
use sigstore_verify::crypto::KeyPair;
use sigstore_verify::types::DerPublicKey;

pub(crate) use file::{blocks, read_private, write_private};

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A private key: ECDSA P-256 (FIPS 186-5), in PKCS#8.
pub struct SigningKey {
    pub(crate) pair: KeyPair,
    public: DerPublicKey,
    pkcs8: Secret,
}

/// Bytes that are overwritten when they are no longer needed. Best effort: copies
/// that libraries made stay where they are.
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving it out as of no effect.
        std::hint::black_box(&self.0);
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gave no random numbers.
    #[error("cannot make a key: the system gives no random numbers")]
    Randomness,
    /// There is a file already, and a key is never overwritten.
    #[error("`{}` exists already; a key is never written over a file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write a key")]
    Write {
        /// Why; names the file.
        source: std::io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read a key")]
    Read {
        /// Why; names the file.
        source: std::io::Error,
    },
    /// Not a file, or too large for one with a key.
    #[error("`{}` is not a file with a key: {reason}", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Others than the owner may read or change it.
    #[error(
        "`{}` has mode {mode:03o}, open to others than its owner; it must have 600",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no private key that can be used here.
    #[error("`{}` holds no usable key: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is encrypted and no password was given.
    #[error("`{}` is encrypted and needs its password", path.display())]
    PasswordMissing {
        /// The file.
        path: PathBuf,
    },
    /// The password is not the one it was encrypted with.
    #[error("the password of `{}` is wrong", path.display())]
    PasswordWrong {
        /// The file.
        path: PathBuf,
    },
    /// An empty password protects nothing.
    #[error("the password is empty")]
    PasswordEmpty,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| KeyError::Randomness)?;
        Self::from_pkcs8(pkcs8.as_ref().to_vec()).ok_or(KeyError::Randomness)
    }

    /// Reads a key file (PKCS#8, PEM), decrypting it with `password` if it is
    /// encrypted (PBES2: PBKDF2-HMAC-SHA256 and AES-256-CBC, as OpenSSL writes it).
    ///
    /// # Errors
    ///
    /// If there is none, others than its owner may read it, or the password is
    /// wrong or missing.
    pub fn read(path: &Path, password: Option<&str>) -> Result<Self, KeyError> {
        let text = read_private(path)?;
        Self::from_pem(&text.0, path, password)
    }

    /// The private key among the PEM blocks of `text`, the contents of `path`.
    pub(crate) fn from_pem(
        text: &[u8],
        path: &Path,
        password: Option<&str>,
    ) -> Result<Self, KeyError> {
        let unusable = |reason| KeyError::Unusable {
            path: path.to_owned(),
            reason,
        };
        for block in blocks(text) {
            let (label, bytes) =
                pem::decode_vec(block).map_err(|_| unusable("it is not well-formed PEM"))?;
            let bytes = Secret(bytes);
            match label {
                PLAIN => {
                    return Self::from_pkcs8(bytes.0.clone())
                        .ok_or_else(|| unusable("it is not an ECDSA P-256 key in PKCS#8"));
                }
                ENCRYPTED => return Self::decrypt(&bytes, path, password),
                "EC PRIVATE KEY" => {
                    return Err(unusable(
                        "it is not in PKCS#8; `openssl pkcs8 -topk8` converts it",
                    ));
                }
                "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                    return Err(unusable("it is in cosign's own format, not in PKCS#8"));
                }
                _ => {}
            }
        }
        Err(unusable("there is no `BEGIN PRIVATE KEY` in it"))
    }

    fn decrypt(bytes: &Secret, path: &Path, password: Option<&str>) -> Result<Self, KeyError> {
        let path = || path.to_owned();
        let password = password.ok_or_else(|| KeyError::PasswordMissing { path: path() })?;
        let pkcs8 = match pbes2::decrypt(&bytes.0, password) {
            Ok(pkcs8) => pkcs8,
            Err(pbes2::DecryptError::Unsupported(reason)) => {
                let path = path();
                return Err(KeyError::Unusable { path, reason });
            }
            Err(pbes2::DecryptError::Password) => {
                return Err(KeyError::PasswordWrong { path: path() });
            }
        };
        // One wrong password in 256 leaves a valid padding: what is then no
        // key was the wrong password too.
        Self::from_pkcs8(pkcs8).ok_or_else(|| KeyError::PasswordWrong { path: path() })
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let pkcs8 = Secret(pkcs8);
        let pair = KeyPair::from_pkcs8_der(&pkcs8.0).ok()?;
        let public = pair.public_key_der().ok()?;
        Some(Self {
            pair,
            public,
            pkcs8,
        })
    }

    /// Writes it for its owner alone, encrypted if there is a password. Never
    /// over an existing file.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written.
    pub fn write(&self, path: &Path, password: Option<&str>) -> Result<(), KeyError> {
        let text = match password {
            None => self.private_pem(),
            Some("") => return Err(KeyError::PasswordEmpty),
            Some(password) => {
                let encrypted = pbes2::encrypt(&self.pkcs8.0, password, pbes2::ROUNDS)
                    .ok_or(KeyError::Randomness)?;
                to_pem(ENCRYPTED, &encrypted)
            }
        };
        write_private(path, &Secret(text.into_bytes()))
    }

    pub(crate) fn private_pem(&self) -> String {
        to_pem(PLAIN, &self.pkcs8.0)
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8.0
    }

    /// The public half (SubjectPublicKeyInfo, PEM).
    pub fn public_pem(&self) -> String {
        to_pem("PUBLIC KEY", self.public.as_bytes())
    }

    /// The public half (SubjectPublicKeyInfo, DER).
    pub(crate) fn public_der(&self) -> &[u8] {
        self.public.as_bytes()
    }
}

pub(crate) fn to_pem(label: &str, bytes: &[u8]) -> String {
    pem::encode_string(label, LineEnding::LF, bytes).expect("keys and certificates fit into PEM")
}
