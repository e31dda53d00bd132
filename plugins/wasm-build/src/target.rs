//! The toolchain's standard library for components: is it there, and if not,
//! get it. Automatic installation by rustup may be off, so it is asked to.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::BuildError;

/// What components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// How long `rustup target add` may take.
const DOWNLOAD_MAX: Duration = Duration::from_secs(120);

/// Makes sure that the toolchain in use at `root` can build for [`TARGET`].
pub(crate) fn ensure(root: &Path) -> Result<(), BuildError> {
    if is_installed(root)? {
        return Ok(());
    }
    let missing = |reason: String| BuildError::TargetMissing { reason };
    let rustup = Command::new("rustup")
        .current_dir(root)
        .args(["target", "add", TARGET])
        .spawn()
        .map_err(|error| missing(format!("cannot run rustup: {error}")))?;
    let ended = wait(rustup, DOWNLOAD_MAX)
        .map_err(|error| missing(format!("cannot wait for rustup: {error}")))?;
    match ended {
        None => Err(missing(format!(
            "`rustup target add {TARGET}` took longer than {} s",
            DOWNLOAD_MAX.as_secs()
        ))),
        Some(status) if !status.success() => Err(missing(format!(
            "`rustup target add {TARGET}` failed: {status}"
        ))),
        Some(_) if is_installed(root)? => Ok(()),
        Some(_) => Err(missing(
            "rustup added the target to another toolchain than the one in use".to_owned(),
        )),
    }
}

fn is_installed(root: &Path) -> Result<bool, BuildError> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(BuildError::Rustc)?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && holds_a_standard_library(Path::new(&folder)))
}

/// rustc names the folder whether or not it is there.
fn holds_a_standard_library(folder: &Path) -> bool {
    fs_err::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("libstd-") && name.ends_with(".rlib")
            })
        })
    })
}

/// Waits at most `limit`, then ends the child. `None` if it had to be ended.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_standard_library_is_not_a_target() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_a_standard_library(&folder.path().join("absent")));
        assert!(!holds_a_standard_library(folder.path()));
        fs_err::write(folder.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(holds_a_standard_library(folder.path()));
    }

    #[test]
    fn a_child_that_takes_too_long_is_ended() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let ended = wait(child, Duration::from_millis(100)).unwrap();
        assert!(ended.is_none());
        let child = Command::new("true").spawn().unwrap();
        let ended = wait(child, Duration::from_secs(60)).unwrap();
        assert!(ended.unwrap().success());
    }
}
