//! The server through real HTTP.

mod abuse;
mod access;
mod lifecycle;
mod pull;
mod push;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use selvedge_artifact::{Descriptor, Digest, Manifest, media_type};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Access, Patience, ServeError, Server, ServerConfig};
use crate::{Credentials, Layout};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);
const BLOB_BYTES_MAX: u64 = 1 << 20;
const USER: &str = "pusher";
const PASSWORD: &str = "a:long password";

/// A server on a free port, over a store of its own.
struct Served {
    base: String,
    address: SocketAddr,
    layout: Layout,
    stop: CancellationToken,
    running: JoinSet<Result<(), ServeError>>,
    client: reqwest::Client,
    directory: TempDir,
}

fn credentials() -> Credentials {
    Credentials {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
    }
}

fn config() -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        access: Access::Push(credentials()),
        tls: None,
        blob_bytes_max: BLOB_BYTES_MAX,
        connections_max: 32,
        uploads_max: 4,
    }
}

async fn serve() -> Served {
    serve_with(config(), Patience::default()).await
}

async fn serve_with(config: ServerConfig, patience: Patience) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let server = Server::build_with(config, layout.clone(), patience);
    let server = server.await.unwrap();
    let address = server.address();
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(server.run(stop.clone()));
    Served {
        base: format!("{scheme}://{address}/v2/"),
        address,
        layout,
        stop,
        running,
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        directory,
    }
}

impl Served {
    /// A request of nobody in particular.
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.strip_prefix("/v2/").unwrap_or(path);
        let url = format!("{}{path}", self.base);
        self.client.request(method, url).timeout(DEADLINE)
    }

    /// A request of who may push.
    fn push(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.ask(method, path);
        request.basic_auth(USER, Some(PASSWORD))
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    async fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("{repository}/blobs/uploads/?digest={digest}");
        let request = self.push(Method::POST, &path).body(bytes.to_vec());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    async fn put_manifest(&self, repository: &str, name: &str, manifest: &Manifest) -> Response {
        let path = format!("{repository}/manifests/{name}");
        let request = self.push(Method::PUT, &path).body(manifest.to_bytes());
        let request = request.header("content-type", media_type::MANIFEST);
        request.send().await.unwrap()
    }

    /// Begins an upload, and says where it goes on.
    async fn begin(&self, repository: &str) -> String {
        let path = format!("{repository}/blobs/uploads/");
        let response = self.push(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location").to_owned()
    }

    async fn chunk(&self, location: &str, from: usize, bytes: &[u8]) -> Response {
        let range = format!("{from}-{}", from + bytes.len() - 1);
        let request = self.push(Method::PATCH, location).body(bytes.to_vec());
        let request = request.header("content-range", range);
        request.send().await.unwrap()
    }

    async fn finish(&self, location: &str, digest: &Digest) -> Response {
        let path = format!("{location}?digest={digest}");
        self.push(Method::PUT, &path).send().await.unwrap()
    }

    /// Files below the store's `blobs`.
    fn blobs(&self) -> usize {
        let blobs = self.directory.path().join("blobs").join("sha256");
        fs_err::read_dir(blobs).map_or(0, Iterator::count)
    }

    /// Sends bytes as they are, and says what comes back until the end.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let read = timeout(DEADLINE, reading).await.expect("an end");
        // A reset after the answer is an end too.
        drop(read);
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn stopped(mut self) {
        self.stop.cancel();
        let ended = timeout(DEADLINE, self.running.join_next()).await;
        ended.expect("it stops").unwrap().unwrap().unwrap();
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

/// The error code that the body of a refusal names.
async fn code(response: Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    body["errors"][0]["code"].as_str().unwrap().to_owned()
}

async fn json(response: Response) -> serde_json::Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// A manifest of one layer and an empty configuration.
fn manifest(layer: &[u8], subject: Option<Descriptor>) -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some("application/vnd.example+json".to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: vec![Descriptor::of("application/octet-stream", layer)],
        subject,
        annotations: [("a".to_owned(), "b".to_owned())].into(),
    }
}

fn describe(manifest: &Manifest) -> Descriptor {
    Descriptor::of(media_type::MANIFEST, &manifest.to_bytes())
}

/// An artifact in `repository` under `tag`, pushed.
async fn pushed(served: &Served, repository: &str, tag: &str, layer: &[u8]) -> Manifest {
    served.put_blob(repository, b"{}").await;
    served.put_blob(repository, layer).await;
    let manifest = manifest(layer, None);
    let response = served.put_manifest(repository, tag, &manifest).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    manifest
}
