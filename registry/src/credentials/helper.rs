//! Asks a credential helper (docker's credential helper protocol: `get` with the
//! registry on standard input, JSON on standard output).
//!
//! A helper is a program of the operator's, found in `PATH` by a plain name. It
//! has a time and an output limit, and is killed when either is passed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{CredentialError, Credentials, Sources};
use crate::client::quote;

/// Bytes that a helper may say.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a helper's name.
const NAME_BYTES_MAX: usize = 64;
/// What helpers say, with a failing status, when they have nothing: not an error.
const NOTHING: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What helper `name` has for `server`. `None`: nothing.
pub(super) async fn ask(
    name: &str,
    server: &str,
    sources: &Sources,
) -> Result<Option<Credentials>, CredentialError> {
    let program = locate(name, sources)?;
    let unusable = |source| CredentialError::HelperUnusable {
        helper: name.to_owned(),
        source,
    };
    let child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(unusable)?;
    let finished = timeout(sources.helper_max, converse(child, server)).await;
    let (success, output) = finished
        .map_err(|_| CredentialError::HelperSlow {
            helper: name.to_owned(),
            max: sources.helper_max,
        })?
        .map_err(unusable)?;
    let unclear = || CredentialError::HelperAnswer(name.to_owned());
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(unclear());
    }
    if !success {
        let said = String::from_utf8_lossy(&output);
        if said.contains(NOTHING) {
            return Ok(None);
        }
        return Err(CredentialError::HelperFailed {
            helper: name.to_owned(),
            said: quote(said.trim()),
        });
    }
    // The cause is not handed on: it could quote the secret.
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| unclear())?;
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials {
        user: answer.username,
        password: answer.secret,
    }))
}

/// Reads one byte more than allowed at most, then lets go of the pipe.
async fn converse(mut child: Child, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut output = Vec::new();
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not listen has its say all the same.
        let _unheard = input.write_all(server.as_bytes()).await.is_err();
    }
    if let Some(stdout) = child.stdout.take() {
        let mut bounded = stdout.take(OUTPUT_BYTES_MAX + 1);
        bounded.read_to_end(&mut output).await?;
    }
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        child.kill().await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), output))
}

/// The program, from the absolute directories in `PATH` only: a relative one
/// would make the working directory a place for helpers.
fn locate(name: &str, sources: &Sources) -> Result<PathBuf, CredentialError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(CredentialError::HelperName(quote(name)));
    }
    let program = format!("docker-credential-{name}");
    let runnable = |path: &PathBuf| {
        let metadata = fs_err::metadata(path);
        metadata
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&sources.path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(&program))
        .find(runnable)
        .ok_or_else(|| CredentialError::HelperMissing(name.to_owned()))
}
