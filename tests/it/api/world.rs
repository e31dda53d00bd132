//! A host in this process that serves its API, and clients of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use selvedge::api::Served;
use selvedge::api::config::ApiConfig;
use selvedge::app::{App, Mode};
use selvedge::bus::{Inbox, InboxLimits, Message, Party};
use selvedge::config::HostConfig;
use selvedge::names::Digest;
use selvedge::spec::Overflow;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::guests::guest;
use crate::process::DEADLINE;

/// What a listener on the bus may have waiting.
const LISTENER: InboxLimits = InboxLimits {
    messages_max: 10_000,
    bytes_max: 64 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

/// A host, serving.
pub(super) struct World {
    pub(super) app: App,
    pub(super) served: Served,
    pub(super) client: Client,
    folder: TempDir,
}

/// A plugin of a document.
pub(super) struct Plugin<'a> {
    pub(super) name: &'a str,
    pub(super) guest: &'a str,
    pub(super) mode: &'a str,
    /// More lines of its table.
    pub(super) more: &'a str,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut HostConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = HostConfig {
            data_directory: folder.path().join("data"),
            ..HostConfig::default()
        };
        config.api = ApiConfig {
            socket: Some(folder.path().join("api.sock")),
            ..ApiConfig::default()
        };
        change(&mut config);
        let app = App::build(&config, Mode::Development).unwrap();
        let served = app.serve(&config).unwrap();
        app.resume().await.unwrap();
        Self {
            client: over(&served.socket),
            app,
            served,
            folder,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://host{path}"))
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        let response = timeout(DEADLINE, self.ask(Method::GET, path).send()).await;
        response.unwrap().unwrap()
    }

    /// What is answered to a request that succeeds.
    pub(super) async fn json(&self, path: &str) -> Json {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Asks until the answer is as it must become.
    pub(super) async fn until(&self, path: &str, so: impl Fn(&Json) -> bool) -> (Json, Duration) {
        let begun = Instant::now();
        loop {
            let answer: Json = self.get(path).await.json().await.unwrap();
            if so(&answer) {
                return (answer, begun.elapsed());
            }
            assert!(begun.elapsed() < DEADLINE, "{path} stays {answer}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The metrics, once each of `counted` is 1: what is counted may be seen first.
    pub(super) async fn metrics_with(&self, counted: &[&str]) -> Response {
        let begun = Instant::now();
        let wanted: Vec<_> = counted.iter().map(|name| format!("{name} 1")).collect();
        loop {
            let text = self.get("/metrics").await.text().await.unwrap();
            let has = |wanted: &String| text.lines().any(|line| line == wanted);
            if wanted.iter().all(has) {
                return self.get("/metrics").await;
            }
            assert!(begun.elapsed() < DEADLINE, "{counted:?} in {text}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Hands a document with these plugins in, with what it names.
    pub(super) async fn submit(&self, plugins: &[Plugin<'_>]) -> Response {
        let mut text = "name = \"line\"\nversion = \"1.0.0\"\nprobation.seconds = 0\n".to_owned();
        let mut files = serde_json::Map::new();
        for plugin in plugins {
            let Plugin {
                name,
                guest: component,
                mode,
                more,
            } = plugin;
            let (bytes, file) = (guest(component), format!("{component}.wasm"));
            fs_err::write(self.folder().join(&file), &bytes).unwrap();
            let digest = Digest::of(&bytes).to_string();
            let put = self.ask(Method::PUT, &format!("/v1/files/{digest}"));
            let put = put.body(bytes).send().await.unwrap();
            assert_eq!(put.status(), StatusCode::NO_CONTENT);
            files.insert(file.clone(), digest.into());
            text += &format!(
                "[plugins.{name}]\ncomponent = \"{file}\"\nconfig.mode = \"{mode}\"\n{more}\n"
            );
        }
        let request = json!({
            "document": text, "files": files, "file": self.folder().join("line.toml"),
        });
        let submit = self.ask(Method::POST, "/v1/deployments").json(&request);
        submit.send().await.unwrap()
    }

    /// The same, until it has ended.
    pub(super) async fn deploy(&self, plugins: &[Plugin<'_>]) -> Json {
        let submitted = self.submit(plugins).await;
        assert_eq!(submitted.status(), StatusCode::ACCEPTED);
        let submitted: Json = submitted.json().await.unwrap();
        let path = format!("/v1/deployments/{}", submitted["deployment"]);
        let (report, _) = self
            .until(&path, |report| !report["ended_at"].is_null())
            .await;
        assert_eq!(report["phase"], "committed", "{report}");
        report
    }

    pub(super) fn party(&self) -> Party {
        self.app.bus().host_party()
    }

    pub(super) fn listen(&self, filter: &str) -> Inbox {
        let filters = [filter.parse().unwrap()];
        self.party().subscribe(&filters, LISTENER).unwrap()
    }

    pub(super) fn publish(&self, topic: &str, payload: &str) {
        let message = Message::new(topic.parse().unwrap(), payload.to_owned());
        self.party().publish(message).unwrap();
    }

    /// A connection of its own, for what no client would send.
    pub(super) async fn raw(&self) -> UnixStream {
        UnixStream::connect(&self.served.socket).await.unwrap()
    }
}

/// A client of the host at a socket.
pub(super) fn over(socket: &Path) -> Client {
    let builder = Client::builder().unix_socket(PathBuf::from(socket));
    builder.tls_certs_only([]).build().unwrap()
}

/// The next value of an inbox, as JSON.
pub(super) async fn heard(inbox: &mut Inbox) -> Json {
    let mut batch = Vec::new();
    timeout(DEADLINE, inbox.receive(1, &mut batch))
        .await
        .unwrap();
    serde_json::from_slice(&batch[0].payload).unwrap()
}

/// The lines of a stream, one after the other.
pub(super) struct Lines {
    response: Response,
    waiting: Vec<u8>,
}

impl Lines {
    pub(super) fn new(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let waiting = Vec::new();
        Self { response, waiting }
    }

    /// The next value; none at the end.
    pub(super) async fn next(&mut self) -> Option<Json> {
        // Blank lines come in between, and say nothing.
        let next = timeout(DEADLINE, self.read()).await;
        next.expect("a line, or the end")
    }

    async fn read(&mut self) -> Option<Json> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.waiting.drain(..=end).collect();
                if line.len() > 1 {
                    return Some(serde_json::from_slice(&line).unwrap());
                }
                continue;
            }
            // A host that stops may cut a stream off.
            match self.response.chunk().await.ok().flatten() {
                Some(chunk) => self.waiting.extend_from_slice(&chunk),
                None => return None,
            }
        }
    }

    pub(super) async fn all(mut self) -> Vec<Json> {
        let mut all = Vec::new();
        while let Some(line) = self.next().await {
            all.push(line);
        }
        all
    }
}

/// Sends bytes, and reads until the other side ends.
pub(super) async fn exchange(mut stream: UnixStream, bytes: &[u8]) -> String {
    // The host may have cut it off already.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(timeout(DEADLINE, read).await.expect("the host ends it"));
    String::from_utf8_lossy(&answer).into_owned()
}
