//! Peers from Debian, unpacked beside the sources and not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::write_script;
use crate::command::{Failure, run, succeeds};

/// Unpacks the packages that `pins` names to `folder`.
pub(super) fn unpack(pins: &Path, folder: &Path) -> Result<(), Failure> {
    let pins = fs_err::read_to_string(pins)?;
    let packages: Vec<_> = pinned(&pins).collect();
    need_lists(&packages)?;
    let downloads = folder.join(".downloads");
    fs_err::create_dir_all(&downloads)?;
    let mut download = Command::new("apt-get");
    download
        .current_dir(&downloads)
        .args(["download", "--quiet"])
        // Nothing to gain from apt's unprivileged user: dpkg only unpacks.
        .args(["--option", "APT::Sandbox::User=root"])
        .args(&packages);
    run(download)?;
    for entry in fs_err::read_dir(&downloads)? {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(entry?.path()).arg(folder);
        run(dpkg)?;
    }
    fs_err::remove_dir_all(downloads)?;
    Ok(())
}

/// What `bin` gets a script for: the program in `deb`, an argument that makes it say
/// who it is and leave, and the status with which it then leaves.
const PROGRAMS: [(&str, &str, i32); 6] = [
    ("usr/bin/docker-registry", "--version", 0),
    ("usr/bin/mbpoll", "-V", 0),
    ("usr/sbin/mosquitto", "-h", 3),
    ("usr/bin/mosquitto_passwd", "--help", 1),
    ("usr/bin/mosquitto_pub", "--version", 1),
    ("usr/bin/mosquitto_sub", "--version", 1),
];

/// Writes scripts to `bin` that start the programs with their libraries, and starts
/// each once: one whose library is missing leaves with 127.
pub(super) fn link(peers: &Path) -> Result<(), Failure> {
    let deb = peers.join("deb");
    let libraries = libraries(&deb)?;
    for (path, probe, status) in PROGRAMS {
        let program = deb.join(path);
        let script = format!(
            "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
            libraries.display(),
            program.display()
        );
        let name = program.file_name().unwrap_or_default();
        let linked = peers.join("bin").join(name);
        write_script(&linked, &script)?;
        let output = Command::new(&linked).arg(probe).output();
        if !output.is_ok_and(|output| output.status.code() == Some(status)) {
            return Err(Failure::new(format!(
                "{} does not start; remove {} and run `cargo xtask peers` again",
                linked.display(),
                deb.display()
            )));
        }
    }
    Ok(())
}

/// Where the unpacked packages have their shared libraries: the folder is named
/// for the machine.
fn libraries(deb: &Path) -> Result<PathBuf, Failure> {
    for entry in fs_err::read_dir(deb.join("usr/lib"))? {
        let folder = entry?.path();
        if folder.join("libmodbus.so.5").exists() {
            return Ok(folder);
        }
    }
    Err(Failure::new(
        "the package libmodbus5 holds no libmodbus.so.5",
    ))
}

/// Installs a package on the system, which only root can.
pub(super) fn install(package: &str) -> Result<(), Failure> {
    if !is_root() {
        return Err(Failure::new(format!(
            "run this and try again: sudo apt-get install {package}"
        )));
    }
    need_lists(&[package])?;
    println!("installing {package}");
    let mut install = Command::new("apt-get");
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", package]);
    run(install)
}

/// Makes sure that apt knows the packages: a fresh container has empty lists.
fn need_lists(packages: &[&str]) -> Result<(), Failure> {
    if !succeeds(Command::new("apt-get").arg("--version")) {
        return Err(Failure::new(
            "there is no apt-get: the tests need packages of Debian 12 (tests/peers/debian.txt)",
        ));
    }
    if packages.iter().all(|package| is_known(package)) {
        return Ok(());
    }
    if is_root() {
        println!("apt does not know {packages:?}: updating its lists");
        let mut update = Command::new("apt-get");
        update.args(["update", "--quiet"]);
        run(update)?;
    }
    let unknown: Vec<_> = packages
        .iter()
        .filter(|package| !is_known(package))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "apt does not know {unknown:?}; run `sudo apt-get update` and try again; \
         if that does not help, this is not Debian 12, for which tests/peers/debian.txt is pinned"
    )))
}

/// Whether apt knows where to get `package` or `package=version`.
fn is_known(package: &str) -> bool {
    let mut show = Command::new("apt-cache");
    show.args(["show", "--no-all-versions", package]);
    show.output()
        .is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

/// The `package=version` lines.
fn pinned(pins: &str) -> impl Iterator<Item = &str> {
    pins.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_not_packages() {
        let pins = "# a comment\n\n a=1 \nb=2\n";
        assert_eq!(pinned(pins).collect::<Vec<_>>(), ["a=1", "b=2"]);
    }

    #[test]
    fn every_package_is_pinned() {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/debian.txt");
        let pins = fs_err::read_to_string(pins).unwrap();
        assert!(pinned(&pins).count() > 0);
        assert!(pinned(&pins).all(|package| package.contains('=')));
    }
}
