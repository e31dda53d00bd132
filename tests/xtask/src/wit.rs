//! Is the vendored WIT what was vendored? `wit/deps/SHA256SUMS` says what that is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use wasm_build::Workspace;

use crate::command::{Failure, run};

const SUMS: &str = "SHA256SUMS";

/// Checks `wit/deps` of the workspace.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    check_folder(&workspace.root().join("wit/deps"))
}

fn check_folder(folder: &Path) -> Result<(), Failure> {
    let sums = fs_err::read_to_string(folder.join(SUMS))?;
    let listed: BTreeSet<_> = sums.lines().filter_map(listed_name).collect();
    let mut present = BTreeSet::new();
    collect_files(folder, folder, &mut present)?;
    present.remove(SUMS);
    let unlisted: Vec<_> = present
        .iter()
        .filter(|name| !listed.contains(name.as_str()))
        .collect();
    if !unlisted.is_empty() {
        return Err(Failure::new(format!("not in {SUMS}: {unlisted:?}")));
    }
    let mut sha256sum = Command::new("sha256sum");
    sha256sum
        .current_dir(folder)
        .args(["--check", "--strict", "--quiet", SUMS]);
    run(sha256sum)
}

/// The file that a line of `sha256sum`'s output is about.
fn listed_name(line: &str) -> Option<&str> {
    let (_, name) = line.split_once(char::is_whitespace)?;
    Some(name.trim_start_matches([' ', '*']))
}

/// The files below `folder`, relative to `root`.
fn collect_files(root: &Path, folder: &Path, into: &mut BTreeSet<String>) -> Result<(), Failure> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(root, &path, into)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path);
            into.insert(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of a package `a` whose one file says `hello`.
    fn vendored() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("a")).unwrap();
        fs_err::write(folder.path().join("a/a.wit"), "hello\n").unwrap();
        let sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        fs_err::write(folder.path().join(SUMS), format!("{sum}  a/a.wit\n")).unwrap();
        folder
    }

    fn check(spoil: impl FnOnce(&Path), expected: Result<(), &str>) {
        let folder = vendored();
        spoil(folder.path());
        match (check_folder(folder.path()), expected) {
            (Ok(()), Ok(())) => {}
            (Err(failure), Err(expected)) => {
                assert!(failure.to_string().contains(expected), "{failure}");
            }
            (outcome, _) => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn only_what_was_vendored_passes() {
        check(|_| (), Ok(()));
        check(
            |folder| fs_err::write(folder.join("a/a.wit"), "other\n").unwrap(),
            Err("sha256sum"),
        );
        check(
            |folder| fs_err::remove_file(folder.join("a/a.wit")).unwrap(),
            Err("sha256sum"),
        );
        check(
            |folder| fs_err::write(folder.join("a/b.wit"), "").unwrap(),
            Err("not in SHA256SUMS: [\"a/b.wit\"]"),
        );
        check(
            |folder| fs_err::write(folder.join(SUMS), "nonsense\n").unwrap(),
            Err("not in SHA256SUMS: [\"a/a.wit\"]"),
        );
    }

    #[test]
    fn the_vendored_wit_is_unchanged() {
        super::check(&Workspace::here()).unwrap();
    }
}
