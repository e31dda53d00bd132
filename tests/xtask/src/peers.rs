//! Sets up other people's servers, clients and libraries, which the tests talk to
//! and load.
//!
//! They come from PyPI, npm and Debian, pinned in `tests/peers/`, and go to
//! `target/peers`; `target/peers/bin` holds what the tests start. A part that is
//! set up as its pins say is left alone.

mod debian;
mod native;
mod node;
mod python;

use std::path::{Path, PathBuf};

use wasm_build::Workspace;

use crate::command::Failure;

/// Where the peers are.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target().join("peers")
}

/// Sets up all peers.
pub(crate) fn set_up(workspace: &Workspace) -> Result<(), Failure> {
    let (pins, into) = (workspace.root().join("tests/peers"), folder(workspace));
    fs_err::create_dir_all(into.join("bin"))?;
    once(
        "Python packages",
        &pins.join("requirements.txt"),
        &into.join("python"),
        |folder| python::install(&pins.join("requirements.txt"), folder),
    )?;
    python::link(&into)?;
    native::set_up(&pins, &into)?;
    node::link(&into)?;
    let sigstore = pins.join("sigstore");
    once(
        "npm packages",
        &sigstore.join("package-lock.json"),
        &into.join("node"),
        |folder| node::install(&into, &sigstore, folder),
    )?;
    once(
        "Debian packages",
        &pins.join("debian.txt"),
        &into.join("deb"),
        |folder| debian::unpack(&pins.join("debian.txt"), folder),
    )?;
    debian::link(&into)
}

/// Sets up one part in `folder`, unless that is already as `pins` says: what was
/// half done is done again from the start.
fn once(
    what: &str,
    pins: &Path,
    folder: &Path,
    install: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pinned = fs_err::read_to_string(pins)?;
    let stamp = folder.join(".pins");
    if fs_err::read_to_string(&stamp).is_ok_and(|installed| installed == pinned) {
        println!("{what}: as pinned, in {}", folder.display());
        return Ok(());
    }
    println!("{what}: setting up {}", folder.display());
    if folder.exists() {
        fs_err::remove_dir_all(folder)?;
    }
    fs_err::create_dir_all(folder)?;
    install(folder)?;
    fs_err::write(stamp, pinned)?;
    Ok(())
}

/// Writes a small shell script that tests start as a program.
fn write_script(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;

    if fs_err::read_to_string(path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    let draft = path.with_extension("draft");
    fs_err::write(&draft, text)?;
    fs_err::set_permissions(&draft, std::fs::Permissions::from_mode(0o755))?;
    fs_err::rename(draft, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_set_up_again_only_when_its_pins_change_or_it_failed() {
        let home = tempfile::tempdir().unwrap();
        let (pins, folder) = (home.path().join("pins"), home.path().join("part"));
        let mut runs = 0;
        let mut set_up = |pinned: &str, outcome: Result<(), Failure>| {
            fs_err::write(&pins, pinned).unwrap();
            let result = once("part", &pins, &folder, |folder| {
                runs += 1;
                assert!(fs_err::read_dir(folder).unwrap().next().is_none());
                fs_err::write(folder.join("file"), "").unwrap();
                outcome
            });
            (runs, result.is_ok())
        };
        assert_eq!(set_up("a=1", Err(Failure::new("no network"))), (1, false));
        assert_eq!(set_up("a=1", Ok(())), (2, true));
        assert_eq!(set_up("a=1", Ok(())), (2, true));
        assert_eq!(set_up("a=2", Ok(())), (3, true));
    }
}
