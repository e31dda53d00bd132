//! What is kept of provisioning: the certificate, its key, the thing's name, and
//! how far it is.
//!
//! Each file is written aside, to the disk, and renamed, readable by its owner
//! only. What is put into its places is kept until all of it is there: others may
//! have lain in some of them before.

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cloud::name::ThingName;

/// Bytes of a file that is read back: whatever an answer of the cloud becomes when
/// it is written again, numbers in full.
const BYTES_MAX: u64 = 1 << 20;

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Which thing this is, as provisioning said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    pub thing: ThingName,
    /// The certificate's name in the cloud.
    pub certificate: String,
    /// What the template says to the device.
    #[serde(default)]
    pub configuration: Map<String, Value>,
}

/// How far provisioning is.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The key, if it is made here.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub created: Option<Created>,
    #[serde(default)]
    pub thing: Option<Thing>,
}

/// A certificate that waits for its thing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    pub at: Timestamp,
    pub token: String,
    pub id: String,
    pub certificate: String,
}

/// Never the key, nor the token.
impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("created", &self.created.is_some())
            .field("thing", &self.thing)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Created {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Whether there is nothing to be provisioned any more. Blocks, as all here.
    pub fn is_there(&self) -> bool {
        self.are_there().unwrap_or(false)
    }

    /// Which thing this is, if it has been provisioned.
    pub fn thing(&self) -> io::Result<Option<Thing>> {
        if !self.are_there()? {
            return Ok(None);
        }
        read(&self.beside("thing"))
    }

    /// Whether certificate and key are there, and are those of one another.
    fn are_there(&self) -> io::Result<bool> {
        let both = self.certificate.try_exists()? && self.key.try_exists()?;
        // One that was got and not put into its places altogether is put there again.
        Ok(both && self.pending()?.thing.is_none())
    }

    /// How far it is. What cannot be read is begun anew.
    pub fn pending(&self) -> io::Result<Pending> {
        let pending = read(&self.beside("pending"))?;
        Ok(pending.unwrap_or_default())
    }

    pub fn save(&self, pending: &Pending) -> io::Result<()> {
        let text = serde_json::to_vec(pending)?;
        write(&self.beside("pending"), &text)
    }

    /// Puts what was got into its places.
    pub fn install(&self, key: &str, certificate: &str, thing: &Thing) -> io::Result<()> {
        write(&self.key, key.as_bytes())?;
        write(&self.beside("thing"), &serde_json::to_vec(thing)?)?;
        write(&self.certificate, certificate.as_bytes())?;
        remove(&self.beside("pending"))
    }

    /// `<certificate>.ending`, whatever dots it has.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.certificate.as_os_str().to_owned();
        path.push(".");
        path.push(ending);
        path.into()
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs_err::metadata(path) {
        Ok(metadata) if metadata.len() > BYTES_MAX => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(serde_json::from_slice(&fs_err::read(path)?).ok())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    // One that a crash left; never through a link that somebody put there.
    remove(&aside)?;
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(&aside, path)?;
    fs_err::File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
