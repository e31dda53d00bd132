//! Which entry of a tar archive is taken for what.
//!
//! Headers are taken as they are: nothing that would change the name or size of
//! another entry (GNU long names, sparse files, extended headers about path or
//! size) is honoured, for two readers would then see two archives.

use selvedge_artifact::Digest;
use tar::{EntryType, Header, PaxExtensions};

use super::{ArchiveError, refused};

/// Bytes of an extended header.
pub(super) const EXTENSION_BYTES_MAX: u64 = 64 << 10;
/// What extended headers may say: nothing that a layout has to do with.
const EXTENSIONS: [&[u8]; 8] = [
    b"atime", b"comment", b"ctime", b"gid", b"gname", b"mtime", b"uid", b"uname",
];

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// `oci-layout`.
    Marker,
    /// `index.json`.
    Index,
    /// `blobs/sha256/<hex>`.
    Blob(Digest),
    /// A directory that these are in.
    Directory(&'static str),
    /// What says more about the next entry.
    Extension,
}

impl Part {
    /// What an entry with this header is.
    pub(super) fn of(header: &Header) -> Result<Self, ArchiveError> {
        let path = header.path_bytes();
        let name = path.strip_prefix(b"./").unwrap_or(&path);
        let size = header.entry_size().map_err(ArchiveError::read)?;
        match header.entry_type() {
            EntryType::Regular => file(name).ok_or_else(|| refused(&path, "not a layout's name")),
            EntryType::Directory if size == 0 => {
                directory(name).ok_or_else(|| refused(&path, "not a layout's directory"))
            }
            EntryType::XHeader | EntryType::XGlobalHeader if size <= EXTENSION_BYTES_MAX => {
                Ok(Self::Extension)
            }
            EntryType::Symlink | EntryType::Link => Err(refused(&path, "a link")),
            EntryType::GNULongName | EntryType::GNULongLink => {
                Err(refused(&path, "a longer name than a layout has"))
            }
            _ => Err(refused(&path, "not a regular file")),
        }
    }
}

fn file(name: &[u8]) -> Option<Part> {
    match name {
        b"oci-layout" => Some(Part::Marker),
        b"index.json" => Some(Part::Index),
        _ => {
            let hex = std::str::from_utf8(name.strip_prefix(b"blobs/sha256/")?).ok()?;
            format!("sha256:{hex}").parse().ok().map(Part::Blob)
        }
    }
}

fn directory(name: &[u8]) -> Option<Part> {
    match name.strip_suffix(b"/").unwrap_or(name) {
        b"" | b"." => Some(Part::Directory("")),
        b"blobs" => Some(Part::Directory("blobs")),
        b"blobs/sha256" => Some(Part::Directory("blobs/sha256")),
        _ => None,
    }
}

/// Refuses an extended header that says anything that matters.
pub(super) fn check_extension(bytes: &[u8]) -> Result<(), ArchiveError> {
    for extension in PaxExtensions::new(bytes) {
        let extension = extension.map_err(ArchiveError::read)?;
        if !EXTENSIONS.contains(&extension.key_bytes()) {
            let reason = "an extended header: make the archive with `tar --format=ustar`";
            return Err(refused(extension.key_bytes(), reason));
        }
    }
    Ok(())
}
