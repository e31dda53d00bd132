//! A private sigstore instance, so that signatures without a key can be measured
//! without any network: `cargo xtask peers` sets it up.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use wasm_build::Workspace;

use crate::{Outcome, curl};

/// An instance. It ends when this is dropped.
pub(crate) struct Sigstore {
    child: Child,
    /// Where all its services are.
    pub(crate) url: String,
}

impl Sigstore {
    /// Starts an instance; none, said aloud, if it is not set up.
    pub(crate) fn start() -> Outcome<Option<Self>> {
        let workspace = Workspace::here();
        let node = workspace.target().join("peers/bin/node");
        if !node.exists() {
            eprintln!("there is no {}: `cargo xtask peers`", node.display());
            return Ok(None);
        }
        let mut child = Command::new(node)
            .arg(workspace.root().join("tests/peers/sigstore/server.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut started = Self {
            child,
            url: String::new(),
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line)?;
        let url = said.get("url").and_then(Value::as_str).ok_or("no url")?;
        url.clone_into(&mut started.url);
        Ok(Some(started))
    }

    /// What a verifier needs to know of it.
    pub(crate) fn trusted_root(&self) -> Outcome<Vec<u8>> {
        curl::ask(&format!("{}/trusted_root.json", self.url), None)
    }

    /// A token that says that `subject` is who asks.
    pub(crate) fn token(&self, issuer: &str, subject: &str) -> Outcome<String> {
        let wanted = json!({"issuer": issuer, "subject": subject, "claims": {}});
        let answer = curl::ask(&format!("{}/token", self.url), Some(&wanted.to_string()))?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let token = answer.get("token").and_then(Value::as_str);
        Ok(token.ok_or("no token")?.to_owned())
    }
}

impl Drop for Sigstore {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
