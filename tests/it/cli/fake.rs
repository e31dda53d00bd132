//! Something that answers where a host should: it says what a test has it say,
//! byte by byte, so that it can say what no host would.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::process::{DEADLINE, selvedge, text};

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// `GET /v1/status`.
    pub(super) line: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is said to it.
pub(super) enum Answer {
    /// A whole answer.
    Json(u16, Value),
    /// A success that needs no words.
    Done,
    /// Lines, and then the end.
    Lines(Vec<Value>),
    /// Lines, and then nothing, until the client goes.
    LinesThenSilence(Vec<Value>),
    /// The head of a success, and then these bytes again and again.
    Endless(&'static [u8]),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, until the client goes.
    Silence,
}

/// A host that is none.
pub(super) struct Fake {
    folder: TempDir,
    seen: watch::Sender<Vec<Request>>,
}

impl Fake {
    /// One that answers each request, the first being number 0, with `answer`.
    pub(super) fn start(
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("host.sock")).unwrap();
        let (seen, _) = watch::channel(Vec::new());
        let (requests, answer) = (seen.clone(), Arc::new(answer));
        // It ends with the process: a listener cannot be woken otherwise.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (requests, answer) = (requests.clone(), Arc::clone(&answer));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is what some tests are about.
                    drop(serve(stream, &requests, &*answer));
                });
            }
        });
        Self { folder, seen }
    }

    /// The requests until now.
    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.borrow().clone()
    }

    /// Waits until there are so many.
    pub(super) async fn asked(&self, requests: usize) {
        let mut seen = self.seen.subscribe();
        let asked = seen.wait_for(|seen| seen.len() >= requests);
        drop(timeout(DEADLINE, asked).await.unwrap().unwrap());
    }

    /// `selvedge` with `arguments`, for this host.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = selvedge(arguments);
        command.arg("--host").arg(self.path("host.sock"));
        command.current_dir(self.folder.path());
        command
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file beside it.
    pub(super) fn write(&self, name: &str, content: &str) -> String {
        fs_err::write(self.path(name), content).unwrap();
        text(&self.path(name)).to_owned()
    }
}

fn serve(
    mut stream: UnixStream,
    requests: &watch::Sender<Vec<Request>>,
    answer: &(impl Fn(usize, &Request) -> Answer + ?Sized),
) -> std::io::Result<()> {
    let request = read(&mut stream)?;
    let mut number = 0;
    requests.send_modify(|requests| {
        number = requests.len();
        requests.push(request.clone());
    });
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    match answer(number, &request) {
        Answer::Json(status, value) => {
            let body = value.to_string();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
        }
        Answer::Done => stream.write_all(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n"),
        Answer::Lines(lines) => {
            stream.write_all(head.as_bytes())?;
            lines.iter().try_for_each(|line| writeln!(stream, "{line}"))
        }
        Answer::LinesThenSilence(lines) => {
            stream.write_all(head.as_bytes())?;
            lines
                .iter()
                .try_for_each(|line| writeln!(stream, "{line}"))?;
            until_gone(&mut stream)
        }
        Answer::Endless(bytes) => {
            stream.write_all(head.as_bytes())?;
            let many = bytes.repeat((64 << 10) / bytes.len() + 1);
            loop {
                stream.write_all(&many)?;
            }
        }
        Answer::Raw(bytes) => stream.write_all(&bytes),
        Answer::Silence => until_gone(&mut stream),
    }
}

fn until_gone(stream: &mut UnixStream) -> std::io::Result<()> {
    let mut rest = [0; 64];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

/// Reads a request with its body. Its client is ours, and well-behaved.
fn read(stream: &mut UnixStream) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().unwrap())
            });
            if bytes.len() >= head + 4 + length.unwrap_or(0) {
                let line = text.lines().next().unwrap_or_default();
                return Ok(Request {
                    line: line.trim_end_matches(" HTTP/1.1").to_owned(),
                    body: bytes.split_off(head + 4),
                });
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}
