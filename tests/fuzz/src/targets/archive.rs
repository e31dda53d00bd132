//! Archives: the input as one, and one made of it, names and contents by turns,
//! whose headers are well formed and whose blobs have the names that they must.

use std::path::Path;

use crate::printable::accepted;
use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Manifest, media_type};
use selvedge_registry::{Imported, Layout};
use tar::{EntryType, Header};

use crate::parts::named;

/// Bytes of an archive that are taken.
const BYTES_MAX: u64 = 1 << 20;
/// A part of this name becomes a blob.
const BLOB: &str = "@";
/// What stays where blobs are received.
const LOCKS: [&str; 2] = ["blobs.lock", "index.lock"];
/// What may be in a store.
const NAMES: [&str; 4] = ["blobs", "index.json", "oci-layout", "partial"];

pub(super) fn check(bytes: &[u8]) {
    let parts = named(bytes);
    if parts.is_empty() {
        import(bytes);
    } else {
        import(&archive(parts));
    }
}

/// Memory, where there is some: nothing of this must survive.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("there is room for a folder")
}

fn import(archive: &[u8]) {
    let outside = folder();
    let root = outside.path().join("layout");
    let layout = Layout::open(&root).expect("an empty store is made");
    let imported = accepted(layout.import(&mut &*archive, BYTES_MAX));
    assert_eq!(names(outside.path()), ["layout"]);
    assert!(
        names(&root)
            .iter()
            .all(|name| NAMES.contains(&name.as_str()))
    );
    let partial = names(&root.join("partial"));
    assert!(partial.iter().all(|name| LOCKS.contains(&name.as_str())));
    assert_eq!(names(&root.join("blobs")), ["sha256"]);
    for name in names(&root.join("blobs/sha256")) {
        let digest: Digest = format!("sha256:{name}").parse().expect("a blob's name");
        layout.blob(&digest, BYTES_MAX).expect("what its name says");
    }
    match imported {
        Some(imported) => repeat(&layout, &imported),
        None => assert_eq!(layout.tags().unwrap(), []),
    }
}

/// What was taken in is there, and can be handed on.
fn repeat(layout: &Layout, imported: &Imported) {
    for manifest in &imported.manifests {
        let found = layout.manifest(&manifest.digest).unwrap();
        let (_, bytes) = found.expect("it was taken in");
        assert!(manifest.describes(&bytes));
    }
    let digests: Vec<_> = imported.manifests.iter().map(|m| m.digest).collect();
    let mut archive = Vec::new();
    layout.export(&digests, &mut archive).unwrap();
    let other = folder();
    let other = Layout::open(&other.path().join("layout")).unwrap();
    let again = other.import(&mut archive.as_slice(), u64::MAX).unwrap();
    assert_eq!(again, *imported);
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<fs_err::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn archive(parts: Vec<(String, Bytes)>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut manifests = Vec::new();
    let given = |name: &str| parts.iter().any(|(given, _)| given == name);
    let (has_index, has_marker) = (given("index.json"), given("oci-layout"));
    for (name, contents) in parts {
        if name != BLOB {
            append(&mut archive, &name, &contents);
            continue;
        }
        let digest = Digest::of(&contents);
        append(
            &mut archive,
            &format!("blobs/sha256/{}", digest.hex()),
            &contents,
        );
        if Manifest::parse(&contents).is_ok() {
            manifests.push(Descriptor::of(media_type::MANIFEST, &contents));
        }
    }
    if !has_index {
        append(
            &mut archive,
            "index.json",
            &Index::new(manifests).to_bytes(),
        );
    }
    if !has_marker {
        append(
            &mut archive,
            "oci-layout",
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        );
    }
    archive.into_inner().expect("memory takes everything")
}

/// One entry; what stands before `:` in its name says of which type.
fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, contents: &[u8]) {
    let (kind, name) = match name.split_once(':') {
        Some((kind, name)) => (kind.bytes().next().unwrap_or(b'0'), name),
        None => (b'0', name),
    };
    let mut header = Header::new_ustar();
    let field = &mut header.as_old_mut().name;
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    header.set_entry_type(EntryType::new(kind));
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive
        .append(&header, contents)
        .expect("memory takes everything");
}
