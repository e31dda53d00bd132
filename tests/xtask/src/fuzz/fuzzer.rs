//! The program that has all targets: how it is built, and how it is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_build::Workspace;

use crate::command::{Cargo, Failure, succeeds};

/// Seconds that one input may take.
const INPUT_SECONDS_MAX: u32 = 10;
/// Bytes of an input.
const INPUT_BYTES_MAX: u32 = 64 << 10;
/// MiB that a target may use.
const MEMORY_MIB_MAX: u32 = 2048;
/// Whose test vectors are seeds too, as Cargo unpacked it.
const VECTORS: (&str, &str) = ("sigstore-verify-", "/test_data");

/// The program that has all targets, and where it works.
#[derive(Debug)]
pub(super) struct Fuzzer {
    pub(super) program: PathBuf,
    /// `tests/fuzz`.
    sources: PathBuf,
    /// `target/fuzz`.
    pub(super) home: PathBuf,
    vectors: PathBuf,
}

impl Fuzzer {
    /// Builds the targets, in their own folder, whose `.cargo` counts. Clippy
    /// compiles them, so that it needs no second look at the dependencies.
    pub(super) fn build(workspace: &Workspace) -> Result<Self, Failure> {
        let sources = workspace.root().join("tests/fuzz");
        same_versions(workspace)?;
        let home = workspace.target().join("fuzz");
        let target = format!("--target-dir={}", home.display());
        let arguments = ["build", "--locked", "--release", "--bins", &target];
        let mut cargo = Cargo::new(workspace, &arguments).folder(&sources);
        if succeeds(Command::new("clippy-driver").arg("--version")) {
            cargo = cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
        }
        cargo.run()?;
        let host = host()?;
        Ok(Self {
            program: home.join(host).join("release/fuzz"),
            vectors: vectors(&sources)?,
            sources,
            home,
        })
    }

    /// The fuzzer with its bounds.
    pub(super) fn command(&self, target: &str) -> Result<Command, Failure> {
        let artifacts = self.home.join("artifacts").join(target);
        fs_err::create_dir_all(&artifacts)?;
        let mut command = Command::new(&self.program);
        command
            .env("FUZZ_TARGET", target)
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg("-print_final_stats=1");
        Ok(command)
    }

    /// What `target` begins with.
    pub(super) fn seeds(&self, target: &str) -> Vec<PathBuf> {
        let mut seeds = vec![self.sources.join("seeds").join(target)];
        if target == "bundle" {
            seeds.push(self.vectors.clone());
        }
        seeds.retain(|folder| folder.is_dir());
        seeds
    }
}

fn host() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::new("`rustc -vV` names no host"))
}

/// Where Cargo unpacked the test vectors.
fn vectors(sources: &Path) -> Result<PathBuf, Failure> {
    let mut metadata = Command::new("cargo");
    metadata.current_dir(sources);
    metadata.args(["metadata", "--locked", "--format-version", "1"]);
    let output = metadata.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (package, folder) = VECTORS;
    let mut manifests = text.split("\"manifest_path\":\"").skip(1);
    let found = manifests.find_map(|rest| {
        let manifest = Path::new(rest.split_once('"')?.0);
        let parent = manifest.parent()?;
        let name = parent.file_name()?.to_str()?;
        let is_it = name.starts_with(package);
        is_it.then(|| PathBuf::from(format!("{}{folder}", parent.display())))
    });
    found.ok_or_else(|| Failure::new("`cargo metadata` in tests/fuzz does not know the vectors"))
}

/// What is fuzzed must be what is built: the lock file has the versions of the
/// workspace's.
fn same_versions(workspace: &Workspace) -> Result<(), Failure> {
    let ours = fs_err::read_to_string(workspace.root().join("Cargo.lock"))?;
    let theirs = fs_err::read_to_string(workspace.root().join("tests/fuzz/Cargo.lock"))?;
    let (ours, theirs) = (locked(&ours), locked(&theirs));
    let known = |name: &str| ours.iter().any(|(other, _)| *other == name);
    let other = |package: &&(&str, &str)| known(package.0) && !ours.contains(package);
    let others: Vec<_> = theirs.iter().filter(other).map(|(name, _)| *name).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "tests/fuzz/Cargo.lock has other versions than Cargo.lock of {}; in tests/fuzz, run: \
         cp ../../Cargo.lock . && cargo update --workspace",
        others.join(", ")
    )))
}

/// Names and versions of a lock file.
fn locked(lock: &str) -> Vec<(&str, &str)> {
    let mut packages = Vec::new();
    let mut name = None;
    for line in lock.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_suffix('"');
        if let Some(found) = value("name = \"") {
            name = Some(found);
        } else if let (Some(version), Some(name)) = (value("version = \""), name.take()) {
            packages.push((name, version));
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
                    source = \"b\"\n\n[[package]]\nname = \"c\"\nversion = \"2.0.0\"\n";
        assert_eq!(locked(lock), [("a", "1.0.0"), ("c", "2.0.0")]);
    }
}
