use std::fs::FileTimes;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Folder, write, write_aside};
use crate::names::Digest;

struct Fixture {
    directory: tempfile::TempDir,
    folder: Folder,
}

impl Fixture {
    /// A folder for a thousand bytes.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path().to_owned(), 1_000).unwrap();
        Self { directory, folder }
    }

    /// A file of 300 bytes that was needed so many seconds ago.
    fn file(&self, name: &str, seconds: u64) -> (Digest, PathBuf) {
        let digest = Digest::of(name.as_bytes());
        let path = self.folder.path_of(&digest);
        write(&path, &[0; 300]).unwrap();
        let needed = SystemTime::now() - Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(needed);
        let file = fs_err::File::open(&path).unwrap();
        file.file().set_times(times).unwrap();
        (digest, path)
    }
}

#[test]
fn what_was_needed_longest_ago_makes_place_and_what_is_used_does_not() {
    let fixture = Fixture::new();
    let used = fixture.file("used", 4_000);
    let old = fixture.file("old", 3_000);
    let young = fixture.file("young", 2_000);
    let is_used = |digest: &Digest| *digest == used.0;
    fixture.folder.make_place(100, is_used).unwrap();
    assert!(old.1.exists(), "there is room for both");
    fixture.folder.make_place(101, is_used).unwrap();
    let there = [&used.1, &old.1, &young.1].map(|path| path.exists());
    assert_eq!(there, [true, false, true]);
    // What does not fit is not kept, and what is used stays.
    fixture.folder.make_place(701, is_used).unwrap_err();
    assert!(used.1.exists());
}

#[test]
fn a_file_that_was_read_counts_as_needed() {
    let fixture = Fixture::new();
    let first = fixture.file("first", 4_000);
    let second = fixture.file("second", 3_000);
    super::needed_now(&fs_err::File::open(&first.1).unwrap());
    fixture.folder.make_place(500, |_| false).unwrap();
    assert!(first.1.exists() && !second.1.exists());
}

#[test]
fn what_a_process_left_that_was_killed_is_removed_and_what_is_being_written_is_not() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.directory.path().join(name);
    for left in ["00.7.new", "00.7.0.new"] {
        fs_err::write(path(left), "half").unwrap();
    }
    fs_err::write(path("other"), "not ours").unwrap();
    let writing = write_aside(&path("11.8.0.new"), b"half").unwrap();
    let open = || Folder::open(fixture.directory.path().to_owned(), 1_000).unwrap();
    let there = || {
        let files = fs_err::read_dir(fixture.directory.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    open();
    assert_eq!(there(), ["11.8.0.new", "other"]);
    drop(writing);
    open();
    assert_eq!(there(), ["other"]);
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let fixture = Fixture::new();
    // A folder is in the way of the name.
    let path = fixture.directory.path().join("00.native");
    fs_err::create_dir_all(path.join("full")).unwrap();
    write(&path, b"code").unwrap_err();
    assert_eq!(
        fs_err::read_dir(fixture.directory.path()).unwrap().count(),
        1
    );
}
