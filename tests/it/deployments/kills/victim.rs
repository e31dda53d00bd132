//! A host in its own process that is started, is ready, and is killed.
//!
//! What it prints is read by a thread until it ends, so that it never waits for
//! a reader, and is kept for whoever has to find out what went wrong.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Client, Outcome};

/// After this something never happens. Generous: the machine may be busy.
pub(crate) const NEVER: Duration = Duration::from_secs(60);

/// A running host. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Victim {
    child: Child,
    started: Instant,
    ready: Receiver<Instant>,
    printed: Option<JoinHandle<String>>,
    client: Client,
}

impl Victim {
    /// Runs the host in `folder`; its data are in `data` there.
    pub(crate) fn start(binary: &Path, folder: &Path, arguments: &[&str]) -> Outcome<Self> {
        let started = Instant::now();
        let mut child = Command::new(binary)
            .args(arguments)
            .args(["--data-directory", "data"])
            .env_remove("SELVEDGE_LOG")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let (tell, ready) = sync_channel(1);
        let printed = std::thread::spawn(move || read(BufReader::new(stderr), &tell));
        Ok(Self {
            child,
            started,
            ready,
            printed: Some(printed),
            client: Client::new(&folder.join("data")),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until it has gone on with what was deployed; how long that took.
    pub(crate) fn wait_until_ready(&self) -> Outcome<Duration> {
        let ready = self.ready.recv_timeout(NEVER);
        let ready = ready.map_err(|error| format!("the host is not ready: {error}"))?;
        Ok(ready.duration_since(self.started))
    }

    /// `kill -9`, at once; all that it printed.
    pub(crate) fn kill(mut self) -> Outcome<String> {
        self.child.kill()?;
        self.end()
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) -> Outcome<String> {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status()?;
        if !told.success() {
            return Err("the host cannot be told to stop".into());
        }
        self.end()
    }

    fn end(&mut self) -> Outcome<String> {
        self.child.wait()?;
        let printed = self.printed.take().ok_or("it ended before")?;
        printed.join().map_err(|_| "nobody read the host".into())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if self.printed.is_some() {
            drop(self.child.kill());
            drop(self.end());
        }
    }
}

/// Reads to the end; tells when the host is ready.
fn read(mut lines: impl BufRead, ready: &SyncSender<Instant>) -> String {
    let mut printed = String::new();
    loop {
        let begun = printed.len();
        if !matches!(lines.read_line(&mut printed), Ok(1..)) {
            return printed;
        }
        let line = printed.get(begun..).unwrap_or_default();
        if line.trim_end().ends_with(" ready") {
            // Told once; nobody asks twice.
            _ = ready.try_send(Instant::now());
        }
    }
}
