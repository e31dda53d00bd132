//! Asks a host through the socket of its management API, blocking.
//!
//! HTTP/1.0, a connection for each request: the host may be gone in the middle
//! of any of them, which is an error like any other. The benchmark has this file
//! too, so it needs nothing but the standard library and `serde_json`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Whoever asks tells no causes apart.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long one answer may take. Generous: the machine may be busy.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Where a host is asked.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// Lines of an answer that goes on.
#[derive(Debug)]
pub(crate) struct Lines(BufReader<UnixStream>);

impl Client {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            socket: data.join("selvedge.sock"),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Outcome<Value> {
        self.lines(path)?.value()
    }

    /// An answer that is no JSON.
    pub(crate) fn text(&self, path: &str) -> Outcome<String> {
        let mut answer = self.lines(path)?;
        let mut text = String::new();
        answer.0.read_to_string(&mut text)?;
        Ok(text)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        let mut answer = Lines(BufReader::new(self.send("POST", path, Some(body))?));
        answer.head(path)?;
        answer.value()
    }

    /// An answer of which each line is a value.
    pub(crate) fn lines(&self, path: &str) -> Outcome<Lines> {
        let mut answer = Lines(BufReader::new(self.send("GET", path, None)?));
        answer.head(path)?;
        Ok(answer)
    }

    /// Asks, and does not wait for the answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Outcome<UnixStream> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let length = body.len();
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: selvedge\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )?;
        Ok(stream)
    }
}

impl Lines {
    /// The next value; none when there are no more, or none comes within `patience`.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Value> {
        let patience = patience.max(Duration::from_millis(1));
        self.0.get_ref().set_read_timeout(Some(patience)).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn head(&mut self, path: &str) -> Outcome<()> {
        let mut status = String::new();
        self.0.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(format!("{path}: cut off").into());
            }
            if line == "\r\n" {
                break;
            }
        }
        let code = status.split(' ').nth(1).unwrap_or_default();
        if code.starts_with('2') {
            return Ok(());
        }
        let mut problem = String::new();
        self.0.read_to_string(&mut problem)?;
        Err(format!("{path}: {code}: {problem}").into())
    }

    fn value(&mut self) -> Outcome<Value> {
        let mut text = String::new();
        self.0.read_to_string(&mut text)?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
    }
}
