//! The site's own authority: it vouches for devices and for the gateway.
//!
//! It is a folder in the data directory. Its key never leaves it. Whoever changes
//! something there holds its lock, so that commands and the host do not write
//! over each other. Which devices it vouched for is recorded, so that it can be
//! taken back.

mod certificate;
mod ended;
pub(super) mod machine;
mod records;
mod revocation;
mod server;
mod unit;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::disk::{self, Folder, PRIVATE, PUBLIC};
use crate::names::PartyName;
use crate::tls::Fingerprint;

pub use certificate::{Issued, KeyType};
pub use records::Record;

use certificate::Subject;

/// Bytes of one file of the authority.
const FILE_BYTES_MAX: u64 = 1 << 20;
const FOLDER: &str = "ca";
const LOCK: &str = "lock";
const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CHAIN: &str = "chain.crt";
const CRL: &str = "crl.pem";
const SERVER_CERTIFICATE: &str = "server.crt";
const SERVER_KEY: &str = "server.key";

/// Why the authority did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("there is no authority in {path}", path = .0.display())]
    NotThere(PathBuf),
    #[error("there is an authority in {path}", path = .0.display())]
    Exists(PathBuf),
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("cannot use {path}", path = path.display())]
    File {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("the request for a certificate cannot be used")]
    Request(#[source] rcgen::Error),
    #[error("cannot make a list of what is revoked")]
    List(#[source] rcgen::Error),
    #[error("`{0}` is neither a DNS name nor an address")]
    Name(String),
    #[error("the certificate would end in a year that it cannot say")]
    Time,
    #[error("the authority ended at {0}")]
    Ended(Timestamp),
    #[error("there is no randomness")]
    Random(#[source] io::Error),
}

impl AuthorityError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotThere(_) => "ca-missing",
            Self::Exists(_) => "ca-exists",
            Self::Io(_) => "ca-io",
            Self::File { .. } => "ca-file-invalid",
            Self::Key(_) | Self::Random(_) => "ca-key",
            Self::Certificate(_) | Self::Time => "ca-certificate",
            Self::Ended(_) => "ca-ended",
            Self::Request(_) => "csr-invalid",
            Self::List(_) => "ca-crl",
            Self::Name(_) => "ca-name-invalid",
        }
    }

    fn file(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let path = path.to_owned();
        let source = error.into();
        Self::File { path, source }
    }
}

/// The files of an authority, as the broker and devices need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// The certificate that vouches, alone.
    pub ca: PathBuf,
    /// The same, with those that vouch for it: what devices trust.
    pub chain: PathBuf,
    /// What it no longer vouches for.
    pub crl: PathBuf,
    /// The gateway's own certificate, with that of the authority if another vouches
    /// for it.
    pub server_certificate: PathBuf,
    pub server_key: PathBuf,
}

impl AuthorityFiles {
    /// Where they are, if there is an authority.
    pub fn in_directory(data_directory: &Path) -> Self {
        let folder = data_directory.join(FOLDER);
        Self {
            ca: folder.join(CA),
            chain: folder.join(CHAIN),
            crl: folder.join(CRL),
            server_certificate: folder.join(SERVER_CERTIFICATE),
            server_key: folder.join(SERVER_KEY),
        }
    }
}

/// What an authority is to be like.
#[derive(Clone, Debug)]
pub struct NewAuthority {
    /// What it is called in its certificate.
    pub name: String,
    pub days: u32,
    pub key_type: KeyType,
    /// A certificate that vouches already, with those that vouch for it, and its
    /// key, instead of a new one.
    pub from: Option<(PathBuf, PathBuf)>,
    /// Names and addresses of the gateway besides those that it knows itself.
    pub server_names: Vec<String>,
}

/// For whom a device's certificate is, and by which key.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub device: &'a PartyName,
    pub key: RequestKey<'a>,
    pub days: u32,
}

/// Whose key a device's certificate is for.
#[derive(Clone, Copy, Debug)]
pub enum RequestKey<'a> {
    /// One that is made here.
    New(KeyType),
    /// That of a request (PKCS #10, PEM). Nothing else in it counts.
    Signing(&'a str),
}

/// An authority. Its methods touch the disk.
#[derive(Clone, Debug)]
pub struct Authority {
    data_directory: PathBuf,
    folder: PathBuf,
    files: AuthorityFiles,
}

/// The authority while nobody else changes it.
struct Held<'a> {
    authority: &'a Authority,
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    folder: Folder,
    _lock: File,
}

impl Authority {
    fn at(data_directory: &Path) -> Self {
        Self {
            data_directory: data_directory.to_owned(),
            folder: data_directory.join(FOLDER),
            files: AuthorityFiles::in_directory(data_directory),
        }
    }

    /// Makes an authority, and the gateway's own certificate.
    pub fn create(data_directory: &Path, new: &NewAuthority) -> Result<Self, AuthorityError> {
        let authority = Self::at(data_directory);
        let files = &authority.files;
        let folder = Folder::make(data_directory)?.make_within(Path::new(FOLDER))?;
        folder.make_within(Path::new(records::FOLDER))?;
        let lock = folder.lock(LOCK)?;
        if files.ca.exists() || authority.key_file().exists() && !authority.is_unfinished()? {
            return Err(AuthorityError::Exists(authority.folder));
        }
        machine::check(&new.server_names)?;
        let (ca, chain, key) = match &new.from {
            Some((certificate, key)) => certificate::existing(certificate, key)?,
            None => {
                let (certificate, key) = certificate::authority(new, Timestamp::now())?;
                (certificate.clone(), certificate, key)
            }
        };
        folder.replace(CA_KEY, key.as_bytes(), PRIVATE)?;
        folder.replace(CHAIN, chain.as_bytes(), PUBLIC)?;
        // Last: with it, the authority is there.
        folder.create(CA, ca.as_bytes(), PUBLIC)?;
        drop(lock);
        authority.renew_server(&new.server_names)?;
        authority.hold()?.sign_list(Timestamp::now())?;
        Ok(authority)
    }

    /// The authority in `data_directory`.
    pub fn open(data_directory: &Path) -> Result<Self, AuthorityError> {
        let authority = Self::at(data_directory);
        match authority.files.ca.exists() && authority.key_file().exists() {
            true => Ok(authority),
            false => Err(AuthorityError::NotThere(authority.folder)),
        }
    }

    pub fn files(&self) -> &AuthorityFiles {
        &self.files
    }

    /// What devices are to trust, as PEM.
    pub fn chain(&self) -> Result<String, AuthorityError> {
        text(&self.files.chain)
    }

    /// SHA-256 of the certificate that vouches.
    pub fn fingerprint(&self) -> Result<Fingerprint, AuthorityError> {
        Ok(certificate::fingerprint(&first_certificate(
            &self.files.ca,
        )?))
    }

    /// When the certificate that vouches ends.
    pub fn not_after(&self) -> Result<Timestamp, AuthorityError> {
        let certificate = first_certificate(&self.files.ca)?;
        certificate::not_after(&self.files.ca, &certificate)
    }

    /// Vouches for a device. What it answers is recorded on the disk before.
    pub fn issue(&self, request: &Request<'_>) -> Result<Issued, AuthorityError> {
        let held = self.hold()?;
        let now = Timestamp::now();
        let subject = Subject::Device(request.device);
        let issued = held.certify(subject, request.key, request.days, now)?;
        held.write_record(&Record {
            device: request.device.clone(),
            serial: issued.serial.clone(),
            fingerprint: issued.fingerprint,
            not_after: issued.not_after,
            revoked: None,
        })?;
        Ok(issued)
    }

    /// No longer vouches for the certificates of `device` that `which` says, from
    /// `at` on. How many there were.
    pub fn revoke(
        &self,
        device: &PartyName,
        at: Timestamp,
        reason: &'static str,
        which: impl Fn(&Record) -> bool,
    ) -> Result<usize, AuthorityError> {
        let held = self.hold()?;
        let mut count = 0;
        for mut record in self.records()? {
            let earlier = |revoked: &records::Revoked| revoked.at <= at;
            if record.device != *device
                || record.revoked.as_ref().is_some_and(earlier)
                || !which(&record)
            {
                continue;
            }
            record.revoked = Some(records::Revoked {
                at,
                reason: reason.to_owned(),
            });
            held.write_record(&record)?;
            count += 1;
        }
        held.sign_list(Timestamp::now())?;
        Ok(count)
    }

    /// Gives the gateway a new certificate. `names` are remembered for the next
    /// time; with none, those of the last time count.
    pub fn renew_server(&self, names: &[String]) -> Result<Issued, AuthorityError> {
        machine::check(names)?;
        let held = self.hold()?;
        if !names.is_empty() {
            let text = names.join("\n");
            held.folder
                .replace(machine::NAMES, text.as_bytes(), PUBLIC)?;
        }
        held.certify_server(Timestamp::now())
    }

    /// Does what is due: a new list of what is revoked, a new certificate for the
    /// gateway. Whether there was anything. Of an authority that has ended nothing
    /// is.
    pub fn keep(&self, now: Timestamp) -> Result<bool, AuthorityError> {
        let mut did = false;
        let end = self.not_after()?;
        if end <= now {
            return Err(AuthorityError::Ended(end));
        }
        if self.list_is_due(now)? {
            self.hold()?.sign_list(now)?;
            did = true;
        }
        if self.server_is_due(now)? {
            self.hold()?.certify_server(now)?;
            did = true;
        }
        Ok(did)
    }

    /// Whether the key that is there without its certificate was left by a creation
    /// that did not come to its end: then it has signed nothing.
    fn is_unfinished(&self) -> Result<bool, AuthorityError> {
        let files = [&self.files.crl, &self.files.server_certificate];
        Ok(files.iter().all(|file| !file.exists()) && self.records()?.is_empty())
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join(CA_KEY)
    }

    fn lock(&self) -> Result<(Folder, File), AuthorityError> {
        let folder = Folder::open(&self.data_directory)?.within(Path::new(FOLDER))?;
        // Held for as long as it takes to write some files.
        let lock = folder.lock(LOCK)?;
        Ok((folder, lock))
    }

    fn hold(&self) -> Result<Held<'_>, AuthorityError> {
        let (folder, lock) = self.lock()?;
        let path = self.key_file();
        let key = KeyPair::from_pem(&text(&path)?);
        let key = key.map_err(|error| AuthorityError::file(&path, error))?;
        let certificate = first_certificate(&self.files.ca)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key);
        Ok(Held {
            authority: self,
            issuer: issuer.map_err(|error| AuthorityError::file(&self.files.ca, error))?,
            certificate: certificate.to_vec(),
            folder,
            _lock: lock,
        })
    }
}

fn text(path: &Path) -> Result<String, AuthorityError> {
    let bytes = disk::read(path, FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| AuthorityError::file(path, error))
}

fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    let bytes = disk::read(path, FILE_BYTES_MAX)?;
    let certificate = CertificateDer::from_pem_slice(&bytes);
    certificate.map_err(|error| AuthorityError::file(path, error))
}

#[cfg(test)]
mod tests;
