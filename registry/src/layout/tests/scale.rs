use std::time::{Duration, Instant};

use super::{Store, manifest};
use crate::layout::Put;

/// Artifacts, each with a signature.
const ARTIFACTS: usize = 1_000;

/// Fills a store in one go, without waiting for the disk, and returns how long that took.
fn fill(store: &Store, artifacts: usize) -> Duration {
    let begun = Instant::now();
    let write = |bytes: &[u8]| {
        let path = store.blob_path(&selvedge_artifact::Digest::of(bytes));
        fs_err::write(path, bytes).unwrap();
    };
    write(b"{}");
    let mut documents = Vec::new();
    for number in 0..artifacts {
        let (bytes, content) = manifest(format!("component {number}").as_bytes(), None);
        write(&content);
        write(&bytes);
        let subject = selvedge_artifact::Descriptor::of("x/y", &bytes);
        let (about, signature) = manifest(&number.to_be_bytes(), Some(&subject));
        write(&signature);
        write(&about);
        documents.push((bytes, super::tag(&format!("1.0.{number}"))));
        documents.push((about, super::tag("unused")));
    }
    let puts: Vec<Put<'_>> = documents
        .iter()
        .map(|(bytes, tag)| Put {
            bytes,
            name: (tag.as_str() != "unused").then_some(("acme/window", tag)),
        })
        .collect();
    store.put_manifests(&puts).unwrap();
    begun.elapsed()
}

#[test]
fn a_store_of_a_thousand_artifacts_is_collected() {
    let store = Store::new();
    let filled = fill(&store, ARTIFACTS);
    store.age(Duration::from_secs(2 * 60 * 60));
    let begun = Instant::now();
    assert_eq!(store.collect_garbage(&[]).unwrap().blobs, 0);
    let marked = begun.elapsed();
    let name = |number: usize| super::tag(&format!("1.0.{number}"));
    let begun = Instant::now();
    assert!(store.resolve("acme/window", &name(7)).unwrap().is_some());
    let resolved = begun.elapsed();
    let mut index = store.load().unwrap();
    for entry in &mut index.manifests {
        entry
            .annotations
            .remove(selvedge_artifact::media_type::REF_NAME);
    }
    fs_err::write(store.path("index.json"), index.to_bytes()).unwrap();
    let begun = Instant::now();
    let collected = store.collect_garbage(&[]).unwrap();
    assert_eq!(usize::try_from(collected.blobs), Ok(4 * ARTIFACTS + 1));
    eprintln!(
        "{ARTIFACTS} artifacts: filled in {filled:?}, resolved in {resolved:?}, marked in {marked:?}, swept in {:?}",
        begun.elapsed()
    );
}

#[test]
fn two_mebibytes_are_put_and_read() {
    let store = Store::new();
    let bytes = vec![7; 2 << 20];
    let begun = Instant::now();
    let digest = store.put_blob(&bytes).unwrap();
    let put = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(store.blob(&digest, 2 << 20).unwrap(), bytes);
    let read = begun.elapsed();
    let begun = Instant::now();
    store.put_blob(&bytes).unwrap();
    eprintln!(
        "2 MiB: put in {put:?}, read in {read:?}, put again in {:?}",
        begun.elapsed()
    );
}
