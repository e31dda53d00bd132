//! Builds workspace crates to WebAssembly components.
//!
//! Used by the build script of `plugins/bundle` and by the tests, which both run
//! under a cargo of their own. The build here has its own target directory
//! (`target/wasm`, so that the two never wait for each other's lock) and does not
//! see the outer cargo's flags and wrappers (so that `cargo clippy`, `doc` and
//! `test` all find it fresh).

#![forbid(unsafe_code)]

mod error;
mod target;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use error::BuildError;
pub use target::TARGET;

/// The cargo profile of everything that runs in a sandbox: see `Cargo.toml`.
const PROFILE: &str = "plugin";

/// Where the sources are and where the results go.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace at `root` whose build results are kept under `target`.
    pub fn new(root: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            target: target.into(),
        }
    }

    /// This repository, with the target directory that the environment asks for.
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().unwrap_or(root);
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(asked) => root.join(asked),
            None => root.join("target"),
        };
        Self { root, target }
    }

    /// Where `Cargo.toml` is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where build results are.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes sure that the toolchain can build components; may download its
    /// standard library for [`TARGET`], within two minutes.
    ///
    /// # Errors
    /// It cannot; the error says what to run.
    pub fn ensure_target(&self) -> Result<(), BuildError> {
        let _lock = self.lock()?;
        target::ensure(&self.root)
    }

    /// Builds the libraries of `packages`; their components, in that order.
    ///
    /// # Errors
    /// The target is missing or a package does not build.
    pub fn libraries(&self, packages: &[&str]) -> Result<Vec<PathBuf>, BuildError> {
        let mut arguments = vec!["--lib"];
        for package in packages {
            arguments.extend(["--package", package]);
        }
        let built = self.build(&arguments)?;
        let component = |package: &&str| built.join(format!("{}.wasm", package.replace('-', "_")));
        Ok(packages.iter().map(component).collect())
    }

    /// Builds the guests of `tests/guests`; the folder that then holds one
    /// `<guest>.wasm` for each of them and no others.
    ///
    /// # Errors
    /// The target is missing, a guest does not build, or a file cannot be written.
    pub fn guests(&self) -> Result<PathBuf, BuildError> {
        let built = self.build(&["--package", "guests", "--examples"])?;
        let _lock = self.lock()?;
        let into = self.target.join("guests");
        let guests = names_with(&self.root.join("tests/guests/examples"), "rs")?;
        fs_err::create_dir_all(&into)?;
        for stale in names_with(&into, "wasm")? {
            if !guests.contains(&stale) {
                fs_err::remove_file(into.join(stale).with_extension("wasm"))?;
            }
        }
        for guest in guests {
            let guest = guest.with_extension("wasm");
            copy_if_changed(&built.join("examples").join(&guest), &into.join(&guest))?;
        }
        Ok(into)
    }

    /// Runs cargo; the folder of its results.
    fn build(&self, what: &[&str]) -> Result<PathBuf, BuildError> {
        self.ensure_target()?;
        let results = self.target.join("wasm");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(&self.root)
            .args([
                "build",
                "--locked",
                "--profile",
                PROFILE,
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(&results)
            .args(what);
        forget_outer_cargo(&mut command);
        let status = command.status().map_err(BuildError::Cargo)?;
        if !status.success() {
            let what = what.join(" ");
            return Err(BuildError::Failed { what, status });
        }
        Ok(results.join(TARGET).join(PROFILE))
    }

    /// Keeps other processes out until it is dropped.
    fn lock(&self) -> Result<fs_err::File, BuildError> {
        let folder = self.target.join("wasm");
        fs_err::create_dir_all(&folder)?;
        let lock = fs_err::File::create(folder.join(".selvedge-lock"))?;
        lock.lock()?;
        Ok(lock)
    }
}

/// Copies `from` to `to` so that a reader of `to` never sees half of it and its
/// time stamp changes only with its bytes.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy_if_changed(from: &Path, to: &Path) -> Result<(), BuildError> {
    let bytes = fs_err::read(from)?;
    if fs_err::read(to).is_ok_and(|current| current == bytes) {
        return Ok(());
    }
    let draft = to.with_extension(format!("draft-{}", std::process::id()));
    fs_err::write(&draft, bytes)?;
    fs_err::rename(&draft, to)?;
    Ok(())
}

/// The stems of the files in `folder` whose extension is `extension`.
fn names_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, BuildError> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            names.extend(path.file_stem().map(PathBuf::from));
        }
    }
    names.sort();
    Ok(names)
}

/// Takes away what an outer cargo tells its build scripts and tests. What a user
/// configures for every cargo (network, registries, output, the shared
/// jobserver) stays.
fn forget_outer_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_outer_cargo) {
            command.env_remove(name);
        }
    }
}

fn is_of_outer_cargo(name: &str) -> bool {
    const KEPT: &[&str] = &["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_BUILD_JOBS"];
    const KEPT_GROUPS: &[&str] = &[
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const GONE: &[&str] = &[
        "CARGO",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
    ];
    if KEPT.contains(&name) || KEPT_GROUPS.iter().any(|group| name.starts_with(group)) {
        return false;
    }
    GONE.contains(&name) || name.starts_with("CARGO_") || name.starts_with("DEP_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_cargos_flags_and_wrappers_do_not_reach_the_build() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "CARGO_CFG_TARGET_OS",
            "CARGO_FEATURE_STD",
            "RUSTC_WORKSPACE_WRAPPER",
            "CLIPPY_ARGS",
            "OUT_DIR",
            "DEP_Z_ROOT",
        ] {
            assert!(is_of_outer_cargo(name), "{name} must go");
        }
        for name in [
            "PATH",
            "HOME",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_OURS_TOKEN",
        ] {
            assert!(!is_of_outer_cargo(name), "{name} must stay");
        }
    }

    #[test]
    fn a_copy_keeps_its_time_stamp_until_its_bytes_change() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let modified = || fs_err::metadata(&to).unwrap().modified().unwrap();
        fs_err::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let before = modified();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(modified(), before);
        fs_err::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs_err::read(&to).unwrap(), b"two");
    }
}
