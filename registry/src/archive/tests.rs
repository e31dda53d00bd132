//! Archives as we write them, and as those write them who mean harm.

mod directory;

use std::io::Read;

use proptest::prelude::{any, prop};
use proptest::{prop_assert_eq, proptest};
use selvedge_artifact::{Descriptor, Digest, Index, media_type};
use tar::{EntryType, Header};

use super::ArchiveError;
use crate::layout::Store;
use crate::{Layout, LayoutError};

const BYTES_MAX: u64 = 1 << 20;

fn export(store: &Layout, manifests: &[Digest]) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.export(manifests, &mut bytes).unwrap();
    bytes
}

fn import(bytes: &[u8]) -> (Store, Result<super::Imported, ArchiveError>) {
    let store = Store::new();
    let imported = store.import(&mut &*bytes, BYTES_MAX);
    (store, imported)
}

/// The entries of an archive.
fn unpack(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn entry(kind: EntryType, name: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn pack(entries: &[(String, Vec<u8>)]) -> tar::Builder<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let header = entry(EntryType::Regular, name.as_bytes(), content.len() as u64);
        archive.append(&header, content.as_slice()).unwrap();
    }
    archive
}

/// One artifact with its signature, exported.
fn sound() -> Vec<(String, Vec<u8>)> {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    store.about(&put, b"signature");
    unpack(&export(&store, &[put.digest]))
}

/// Nothing of an archive that was refused is findable.
fn check_refused(bytes: &[u8], expected: &str) {
    let (store, imported) = import(bytes);
    let error = imported.unwrap_err();
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        text = format!("{text}: {source}");
        cause = source;
    }
    assert!(text.contains(expected), "{text}");
    assert!(store.tags().unwrap().is_empty());
    assert!(store.load().unwrap().manifests.is_empty());
}

#[test]
fn what_is_exported_is_what_it_leads_to_and_what_is_about_it() {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    let about = store.about(&put, b"signature");
    let other = store.artifact("acme/door:1", b"other");
    let bytes = export(&store, &[put.digest]);
    let (copy, imported) = import(&bytes);
    let imported = imported.unwrap();
    assert_eq!(copy.tags().unwrap(), imported.tags);
    assert_eq!(copy.tag_names(), ["acme/window:1"]);
    let mut digests = imported.manifests.iter().map(|manifest| manifest.digest);
    let mut expected = vec![put.digest, about.digest];
    expected.sort();
    assert!(digests.by_ref().eq(expected));
    let referrers = |store: &Layout| store.referrers(&put.digest).unwrap();
    assert_eq!(referrers(&copy), referrers(&store));
    assert!(copy.manifest(&other.digest).unwrap().is_none());
    assert_eq!(copy.blob_size(&Digest::of(b"other")), None);
    let missing = store.export(&[Digest::of(b"nothing")], &mut Vec::new());
    assert!(matches!(
        missing,
        Err(ArchiveError::Layout(LayoutError::Missing(_)))
    ));
}

#[test]
fn the_same_artifacts_are_the_same_bytes() {
    let (one, two) = (Store::new(), Store::new());
    let a = one.artifact("acme/window:1", b"component");
    let b = one.artifact("acme/door:1", b"other");
    two.artifact("acme/third:1", b"third");
    two.artifact("acme/door:1", b"other");
    two.artifact("acme/window:0", b"component");
    two.artifact("acme/window:1", b"component");
    two.untag("acme/window", &"0".parse().unwrap()).unwrap();
    let exported = export(&one, &[a.digest, b.digest]);
    assert_eq!(exported, export(&two, &[b.digest, a.digest, b.digest]));
    let names: Vec<String> = unpack(&exported)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(names.is_sorted());
}

#[test]
fn a_damaged_blob_is_not_exported() {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    fs_err::write(store.blob_path(&Digest::of(b"component")), b"evil code").unwrap();
    let mut bytes = Vec::new();
    let error = store.export(&[put.digest], &mut bytes).unwrap_err();
    assert!(matches!(
        error,
        ArchiveError::Layout(LayoutError::Corrupt(_))
    ));
    check_refused(&bytes, "");
}

#[test]
fn the_list_may_come_before_or_after_the_blobs() {
    let mut entries = sound();
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        let (store, imported) = import(&pack(&entries).into_inner().unwrap());
        imported.unwrap();
        assert_eq!(store.tag_names(), ["acme/window:1"]);
    }
}

#[test]
fn archives_of_other_tools_are_taken() {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["./", "./blobs/", "./blobs/sha256/"] {
        let header = entry(EntryType::Directory, name.as_bytes(), 0);
        archive.append(&header, &b""[..]).unwrap();
    }
    for (name, content) in sound() {
        let times = [("mtime", b"1700000000.5".as_slice())];
        archive.append_pax_extensions(times).unwrap();
        let name = format!("./{name}");
        let header = entry(EntryType::Regular, name.as_bytes(), content.len() as u64);
        archive.append(&header, content.as_slice()).unwrap();
    }
    let (store, imported) = import(&archive.into_inner().unwrap());
    imported.unwrap();
    assert_eq!(store.tag_names(), ["acme/window:1"]);
}

#[test]
fn compressed_archives_are_recognised() {
    for (magic, name) in super::import::COMPRESSED {
        let bytes = [magic, &[0; 600]].concat();
        check_refused(&bytes, &format!("compressed with {name}: unpack it first"));
    }
}

#[test]
fn what_is_not_an_archive_is_refused() {
    check_refused(b"", "no `oci-layout`");
    check_refused(b"hello", "cannot read the archive");
    check_refused(&[b'x'; 5000], "cannot read the archive");
    check_refused(&[0; 5000], "no `oci-layout`");
}

#[test]
fn other_names_are_refused() {
    for name in [
        "/oci-layout",
        "../oci-layout",
        "blobs/../oci-layout",
        "blobs//sha256/x",
        "blobs/sha256/abc",
        "blobs/sha256/../../../etc/passwd",
        "blobs/sha512/0",
        "partial/index.lock",
        "index.json/",
        "INDEX.JSON",
        "././index.json",
        "a\u{1b}[2J",
        &format!("blobs/sha256/{}", "A1".repeat(32)),
        &format!("blobs/sha256/{}/", "a1".repeat(32)),
        &format!("blobs/sha256/{}.tmp", "a1".repeat(32)),
    ] {
        let mut entries = sound();
        entries.push((name.to_owned(), b"x".to_vec()));
        check_refused(&pack(&entries).into_inner().unwrap(), "not a layout's name");
    }
    let mut archive = pack(&sound());
    let header = entry(EntryType::Directory, b"blobs/md5", 0);
    archive.append(&header, &b""[..]).unwrap();
    check_refused(&archive.into_inner().unwrap(), "not a layout's directory");
}

#[test]
fn only_regular_files_are_taken() {
    let name = format!("blobs/sha256/{}", "a1".repeat(32));
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::new(b'Q'),
    ] {
        let mut archive = pack(&sound());
        let mut header = entry(kind, name.as_bytes(), 0);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        archive.append(&header, &b""[..]).unwrap();
        check_refused(&archive.into_inner().unwrap(), "is refused");
    }
}

#[test]
fn extended_headers_do_not_rename_or_resize() {
    for (key, value) in [
        ("path", "oci-layout"),
        ("size", "1"),
        ("linkpath", "/etc/passwd"),
        ("GNU.sparse.major", "1"),
        ("SCHILY.xattr.user.x", "1"),
    ] {
        let mut archive = tar::Builder::new(Vec::new());
        let extension = [(key, value.as_bytes())];
        archive.append_pax_extensions(extension).unwrap();
        check_refused(&archive.into_inner().unwrap(), key);
    }
    let mut archive = tar::Builder::new(Vec::new());
    let header = entry(EntryType::XHeader, b"x", 1 << 30);
    archive.append(&header, &b""[..]).unwrap();
    check_refused(&archive.into_inner().unwrap(), "not a regular file");
}

#[test]
fn nothing_is_there_twice() {
    for twice in sound() {
        let mut entries = sound();
        entries.push(twice);
        check_refused(&pack(&entries).into_inner().unwrap(), "there twice");
    }
}

#[test]
fn a_blob_is_what_its_name_says() {
    let sound = sound();
    for (position, (name, _)) in sound.iter().enumerate() {
        if name.starts_with("blobs") {
            let mut entries = sound.clone();
            entries[position].1.push(b' ');
            let bytes = pack(&entries).into_inner().unwrap();
            check_refused(&bytes, "not what its name says");
        }
    }
}

#[test]
fn nothing_may_be_missing() {
    let sound = sound();
    for position in 0..sound.len() {
        let mut entries = sound.clone();
        entries.remove(position);
        let bytes = pack(&entries).into_inner().unwrap();
        check_refused(&bytes, "");
    }
    let bytes = pack(&sound).into_inner().unwrap();
    // Without the two blocks that end it, which some leave out.
    for length in (0..bytes.len() - 1024).step_by(256) {
        check_refused(&bytes[..length], "");
    }
}

#[test]
fn sizes_that_lie_are_noticed() {
    for size in [10_u64, 600, 1 << 19, 1 << 40, u64::MAX / 2, u64::MAX] {
        let mut archive = tar::Builder::new(Vec::new());
        let name = format!("blobs/sha256/{}", Digest::of(b"12345").hex());
        let header = entry(EntryType::Regular, name.as_bytes(), size);
        archive.append(&header, &b"12345"[..]).unwrap();
        check_refused(&archive.into_inner().unwrap(), "");
    }
}

#[test]
fn no_more_bytes_are_taken_than_allowed() {
    let bytes = pack(&sound()).into_inner().unwrap();
    let sizes = sound()
        .iter()
        .map(|(_, content)| content.len())
        .sum::<usize>() as u64;
    let store = Store::new();
    let refused = store.import(&mut &*bytes, sizes - 1).unwrap_err();
    assert!(
        matches!(refused, ArchiveError::TooLarge { .. }),
        "{refused}"
    );
    store.import(&mut &*bytes, sizes).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let header = entry(EntryType::Regular, b"index.json", (4 << 20) + 1);
    archive.append(&header, &b""[..]).unwrap();
    let bytes = archive.into_inner().unwrap();
    let refused = Store::new().import(&mut &*bytes, u64::MAX).unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
}

#[test]
fn no_more_entries_are_looked_at_than_allowed() {
    let header = entry(EntryType::XGlobalHeader, b"g", 0);
    let mut archive = tar::Builder::new(Vec::new());
    for _ in 0..20_001 {
        archive.append(&header, &b""[..]).unwrap();
    }
    check_refused(&archive.into_inner().unwrap(), "more than 20000 entries");
}

#[test]
fn a_name_stands_for_one_manifest() {
    let store = Store::new();
    let (one, two) = (store.artifact("", b"one"), store.artifact("", b"two"));
    let mut entries = unpack(&export(&store, &[one.digest, two.digest]));
    let named = |manifest: Descriptor| {
        let mut entry = manifest;
        let name = (media_type::REF_NAME.to_owned(), "acme/window:1".to_owned());
        entry.annotations = [name].into();
        entry
    };
    let list = Index::new(vec![named(one), named(two)]).to_bytes();
    for (name, content) in &mut entries {
        if name == "index.json" {
            content.clone_from(&list);
        }
    }
    let bytes = pack(&entries).into_inner().unwrap();
    check_refused(&bytes, "a name of two manifests");
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn what_is_exported_and_imported_is_the_same(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5),
        signed in any::<bool>(),
    ) {
        let store = Store::new();
        let mut digests = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let put = store.artifact(&format!("acme/window:{number}"), content);
            if signed {
                store.about(&put, b"signature");
            }
            digests.push(put.digest);
        }
        let bytes = export(&store, &digests);
        let (copy, imported) = import(&bytes);
        prop_assert_eq!(imported.unwrap().tags, store.tags().unwrap());
        prop_assert_eq!(export(&copy, &digests), bytes);
    }

    #[test]
    fn bytes_that_are_changed_are_refused_or_mean_the_same(
        position in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let mut bytes = pack(&sound()).into_inner().unwrap();
        let position = position.index(bytes.len());
        bytes[position] = to;
        let (store, imported) = import(&bytes);
        match imported {
            Ok(imported) => prop_assert_eq!(imported.tags, store.tags().unwrap()),
            Err(_) => prop_assert_eq!(store.load().unwrap().manifests.len(), 0),
        }
    }
}
