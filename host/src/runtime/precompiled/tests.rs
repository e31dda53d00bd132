use std::path::PathBuf;

use super::{CodeCache, CompileError};
use crate::runtime::{Ceilings, Engine};
use crate::storage::Storage;

/// The smallest component there is: a header and nothing else.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fn engine() -> Engine {
    Engine::new(Ceilings {
        instances_max: 2,
        memory_bytes_max: 1 << 20,
        table_elements_max: 10,
    })
    .unwrap()
}

struct Fixture {
    directory: tempfile::TempDir,
    cache: CodeCache,
    engine: Engine,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = Storage::open(directory.path())
            .unwrap()
            .device_key()
            .unwrap();
        let cache = CodeCache::open(directory.path().join("code"), key).unwrap();
        Self {
            directory,
            cache,
            engine: engine(),
        }
    }

    fn compile(&self) {
        self.cache.component(&self.engine, EMPTY).unwrap();
    }

    /// The one file in the cache.
    fn file(&self) -> PathBuf {
        let mut files = fs_err::read_dir(self.directory.path().join("code")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }
}

#[test]
fn native_code_is_kept_and_found_again() {
    let fixture = Fixture::new();
    fixture.compile();
    let first = fs_err::metadata(fixture.file())
        .unwrap()
        .modified()
        .unwrap();
    fixture.compile();
    assert_eq!(
        fs_err::metadata(fixture.file())
            .unwrap()
            .modified()
            .unwrap(),
        first
    );
}

#[test]
fn a_changed_or_foreign_file_is_never_loaded_but_made_anew() {
    let fixture = Fixture::new();
    fixture.compile();
    let good = fs_err::read(fixture.file()).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let truncated = good[..good.len() / 2].to_vec();
    for bad in [
        flipped,
        truncated,
        Vec::new(),
        good[..32].to_vec(),
        good[32..].to_vec(),
    ] {
        fs_err::write(fixture.file(), &bad).unwrap();
        fixture.compile();
        assert_eq!(fs_err::read(fixture.file()).unwrap().len(), good.len());
    }
}

#[test]
fn code_that_another_device_made_is_not_ours() {
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    ours.compile();
    theirs.compile();
    let foreign = fs_err::read(theirs.file()).unwrap();
    fs_err::write(ours.file(), &foreign).unwrap();
    ours.compile();
    assert_ne!(fs_err::read(ours.file()).unwrap()[..32], foreign[..32]);
}

#[test]
fn published_native_code_is_refused() {
    let fixture = Fixture::new();
    fixture.compile();
    let native = fs_err::read(fixture.file()).unwrap().split_off(32);
    let refused = fixture
        .cache
        .component(&fixture.engine, &native)
        .unwrap_err();
    assert!(matches!(refused, CompileError::Native), "{refused}");
}

#[test]
fn what_is_no_component_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    for bad in [&b"not wasm"[..], b"", b"\0asm\x01\0\0\0", &EMPTY[..7]] {
        let refused = fixture.cache.component(&fixture.engine, bad).unwrap_err();
        assert!(matches!(refused, CompileError::Invalid(_)), "{refused}");
    }
}

#[test]
fn nothing_is_remembered_of_what_nobody_uses_any_more() {
    let fixture = Fixture::new();
    let used = fixture.cache.component(&fixture.engine, EMPTY).unwrap();
    // The same with sections that say nothing.
    for name in b'a'..b'f' {
        let named = [EMPTY, &[0, 2, 1, name]].concat();
        fixture.cache.component(&fixture.engine, &named).unwrap();
    }
    assert_eq!(
        fixture.cache.slots.lock().len(),
        2,
        "one in use, and the last"
    );
    let again = fixture.cache.component(&fixture.engine, EMPTY).unwrap();
    assert!(std::sync::Arc::ptr_eq(&used, &again));
}
