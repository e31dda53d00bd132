//! A server that does what a test says, byte by byte.
//!
//! Threads and blocking sockets: nothing of it shares code with the client.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use selvedge_artifact::media_type;
use tokio_rustls::rustls;

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What to do with a request, in order; then the connection is closed.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// This, again and again, until nobody listens.
    Forever(Vec<u8>),
    /// A byte now and then, until nobody listens.
    Trickle,
    /// Nothing, until nobody listens.
    Hang,
}

pub(super) type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

/// A server; it is gone with the test's process.
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Where a range begins.
    pub(super) fn range(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

impl Hostile {
    pub(super) fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(script), None)
    }

    /// Under TLS, with a certificate of its own for `registry.test`.
    pub(super) fn start_tls(
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> (Self, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let server = Self::listen(Arc::new(script), Some(Arc::new(config)));
        (server, made.cert.pem().into_bytes())
    }

    fn listen(script: Arc<Script>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen, tls) = (Arc::clone(&script), Arc::clone(&seen), tls.clone());
                std::thread::spawn(move || match tls {
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        let mut stream = rustls::StreamOwned::new(connection, stream);
                        serve(&mut stream, &*script, &seen);
                        stream.conn.send_close_notify();
                        let _closed = stream.flush().is_ok();
                    }
                    None => serve(&mut { stream }, &*script, &seen),
                });
            }
        });
        Self { address, log }
    }

    /// All requests up to now.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.log.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.log.lock().len()
    }
}

fn serve(stream: &mut (impl Read + Write), script: &Script, log: &Mutex<Vec<Seen>>) {
    let Some(request) = read_request(stream) else {
        return;
    };
    log.lock().push(request.clone());
    for step in script(&request) {
        let listened = match step {
            Step::Send(bytes) => stream.write_all(&bytes).is_ok() && stream.flush().is_ok(),
            Step::Forever(bytes) => {
                while stream.write_all(&bytes).is_ok() {}
                false
            }
            Step::Trickle => {
                while stream.write_all(b"x").is_ok() && stream.flush().is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                false
            }
            Step::Hang => {
                let _end = stream.read(&mut [0; 64]).is_ok();
                false
            }
        };
        if !listened {
            return;
        }
    }
}

fn read_request(stream: &mut impl Read) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let mut seen = Seen {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Seen::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        seen.headers.push(header);
    }
    let length = seen.header("content-length").unwrap_or("0").parse().ok()?;
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// An honest answer.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let length = body.len().to_string();
    let mut all = vec![("content-length", length.as_str())];
    all.extend(headers);
    let mut bytes = head(status, &all);
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

/// The head of an answer, with no header but those given.
pub(super) fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// A manifest, as an honest registry gives it.
pub(super) fn manifest(bytes: &[u8]) -> Vec<Step> {
    reply(200, &[("content-type", media_type::MANIFEST)], bytes)
}

/// That there is no such thing.
pub(super) fn absent() -> Vec<Step> {
    let body = br#"{"errors":[{"code":"NOT_FOUND","message":"no such thing"}]}"#;
    reply(404, &[], body)
}
