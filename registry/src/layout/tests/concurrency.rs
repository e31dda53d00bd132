use std::process::Command;

use super::{Store, tag};
use crate::Layout;

/// Tags put by one writer.
const TAGS: usize = 20;

/// Puts tags as `writer`, each with an artifact of its own.
fn put_tags(store: &Layout, writer: &str) {
    for number in 0..TAGS {
        let content = format!("{writer} {number}");
        let (bytes, content) = super::manifest(content.as_bytes(), None);
        store.put_blob(&content).unwrap();
        store.put_blob(b"{}").unwrap();
        let name = tag(&format!("{writer}-{number}"));
        store
            .put_manifest(&bytes, Some(("acme/window", &name)))
            .unwrap();
    }
}

/// What another process is told: where the store is, and whose tags to put.
const STORE: &str = "SELVEDGE_TEST_STORE";
const WRITER: &str = "SELVEDGE_TEST_WRITER";

#[test]
fn threads_that_put_tags_at_once_lose_none() {
    let store = Store::new();
    std::thread::scope(|scope| {
        for writer in ["a", "b", "c", "d"] {
            let layout = Layout::open(&store.path("")).unwrap();
            scope.spawn(move || put_tags(&layout, writer));
        }
        // Readers never see half, and a collection takes nothing that is young.
        scope.spawn(|| {
            for _ in 0..50 {
                for stored in store.tags().unwrap() {
                    let found = store.manifest(&stored.manifest.digest).unwrap();
                    assert!(found.is_some());
                }
                store.collect_garbage(&[]).unwrap();
            }
        });
    });
    assert_eq!(store.tags().unwrap().len(), 4 * TAGS);
}

#[test]
fn processes_that_put_tags_at_once_lose_none() {
    // It starts itself again, as each of the others.
    if let (Ok(path), Ok(writer)) = (std::env::var(STORE), std::env::var(WRITER)) {
        put_tags(&Layout::open(path.as_ref()).unwrap(), &writer);
        return;
    }
    let store = Store::new();
    let spawn = |writer: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--quiet"])
            .arg("layout::tests::concurrency::processes_that_put_tags_at_once_lose_none")
            .env(STORE, store.path(""))
            .env(WRITER, writer)
            .spawn()
            .unwrap()
    };
    let others: Vec<_> = ["a", "b", "c"].map(spawn).into();
    put_tags(&store, "d");
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(store.tags().unwrap().len(), 4 * TAGS);
}

#[test]
fn opening_a_new_store_at_once_makes_one() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    std::thread::scope(|scope| {
        for writer in ["a", "b", "c", "d"] {
            let root = &root;
            scope.spawn(move || put_tags(&Layout::open(root).unwrap(), writer));
        }
    });
    let tags = Layout::open(&root).unwrap().tags().unwrap();
    assert_eq!(tags.len(), 4 * TAGS);
}

#[test]
fn a_blob_put_while_garbage_is_collected_stays() {
    let store = Store::new();
    let hour = std::time::Duration::from_secs(2 * 60 * 60);
    for round in 0..20 {
        // Old garbage of the same content, which a collection would take.
        let content = format!("content {round}");
        store.put_blob(content.as_bytes()).unwrap();
        store.age(hour);
        std::thread::scope(|scope| {
            scope.spawn(|| store.collect_garbage(&[]).unwrap());
            scope.spawn(|| {
                let digest = store.put_blob(content.as_bytes()).unwrap();
                assert!(store.blob(&digest, 100).is_ok());
            });
        });
        let digest = selvedge_artifact::Digest::of(content.as_bytes());
        assert!(store.blob(&digest, 100).is_ok(), "round {round}");
    }
}

#[test]
fn a_manifest_put_while_garbage_is_collected_keeps_its_blobs() {
    let store = Store::new();
    let two_hours = std::time::Duration::from_secs(2 * 60 * 60);
    for round in 0..20 {
        let (bytes, content) = super::manifest(format!("content {round}").as_bytes(), None);
        store.put_blob(&content).unwrap();
        store.put_blob(b"{}").unwrap();
        store.age(two_hours);
        let name = tag(&round.to_string());
        // It may find that a blob is gone, and says so; it never loses one.
        let put = std::thread::scope(|scope| {
            scope.spawn(|| store.collect_garbage(&[]).unwrap());
            let put = || store.put_manifest(&bytes, Some(("acme/window", &name)));
            scope.spawn(put).join().unwrap()
        });
        let whole = store.blob(&selvedge_artifact::Digest::of(&content), 100);
        match put {
            Ok(_) => assert_eq!(whole.unwrap(), content),
            Err(error) => assert!(matches!(error, crate::LayoutError::Unmet { .. })),
        }
    }
}
