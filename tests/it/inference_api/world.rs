//! A host in this process with one model, and clients of its inference API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use selvedge::app::{App, Mode};
use selvedge::bus::{Inbox, InboxLimits};
use selvedge::config::HostConfig;
use selvedge::deployment::document::source::Source;
use selvedge::deployment::submission::Submission;
use selvedge::inference::InferenceApiConfig;
use selvedge::inference_api::proto::inference_client::InferenceClient;
use selvedge::inference_api::proto::{DescribeModelRequest, Model, PredictRequest, Tensor};
use selvedge::spec::Overflow;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::process::DEADLINE;

pub(super) type Client = InferenceClient<Channel>;

/// A host, serving.
pub(super) struct World {
    pub(super) app: App,
    pub(super) socket: PathBuf,
    folder: TempDir,
}

/// A socket, and nobody named.
pub(super) fn api(socket: &Path) -> InferenceApiConfig {
    let text = format!("socket = \"{}\"", socket.display());
    toml::from_str(&text).unwrap()
}

impl World {
    /// With the model `press`, of which nothing is captured.
    pub(super) async fn start() -> Self {
        Self::start_with("", |_| ()).await
    }

    /// The same with more lines of the model's table, and another configuration.
    pub(super) async fn start_with(more: &str, change: impl FnOnce(&mut HostConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("inference.sock");
        let mut config = HostConfig {
            data_directory: folder.path().join("data"),
            shutdown_grace_ms: 2_000.try_into().unwrap(),
            ..HostConfig::default()
        };
        config.api.socket = Some(folder.path().join("api.sock"));
        config.inference.api = Some(api(&socket));
        change(&mut config);
        let app = App::build(&config, Mode::Development).unwrap();
        app.serve(&config).unwrap();
        app.resume().await.unwrap();
        let world = Self {
            app,
            socket,
            folder,
        };
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/assets");
        fs_err::copy(assets.join("press.onnx"), world.folder().join("press.onnx")).unwrap();
        world.deploy(1, more).await;
        world
    }

    /// Puts the model into service.
    pub(super) async fn deploy(&self, version: u32, more: &str) {
        let text = format!(
            "name = \"line\"\nversion = \"{version}.0.0\"\nprobation.seconds = 0\n\
             [models.press]\npath = \"press.onnx\"\n{more}\n"
        );
        let path = self.folder().join("line.toml");
        let source = Source::new(&path, text.into_bytes()).unwrap();
        let deployments = self.app.deployments();
        let submission = Submission::of_source(&source, &[], deployments.files()).unwrap();
        let id = deployments.submit(submission).await.unwrap();
        let ended = timeout(DEADLINE, deployments.ended(id)).await;
        let report = ended.unwrap().unwrap();
        assert!(report.faults.is_empty(), "{report:?}");
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()));
        let channel = endpoint.unwrap().connect().await.unwrap();
        InferenceClient::new(channel).max_decoding_message_size(64 << 20)
    }

    pub(super) fn listen(&self, filter: &str) -> Inbox {
        let limits = InboxLimits {
            messages_max: 10_000,
            bytes_max: 64 << 20,
            overflow: Overflow::DropNewest,
            answers: false,
        };
        let host = self.app.bus().host_party();
        host.subscribe(&[filter.parse().unwrap()], limits).unwrap()
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let held = timeout(DEADLINE, async {
            while !holds().await {
                sleep(Duration::from_millis(20)).await;
            }
        });
        held.await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

pub(super) async fn describe(client: &mut Client) -> Model {
    let model = "press".to_owned();
    let asked = client.describe_model(DescribeModelRequest { model }).await;
    asked.unwrap().into_inner()
}

/// What the model takes, filled with one number.
pub(super) fn request(model: &Model, value: f32) -> PredictRequest {
    use selvedge::inference_api::proto::dimension::Size;
    let input = |port: &selvedge::inference_api::proto::Port| {
        let sizes = port
            .dimensions
            .iter()
            .map(|dimension| match dimension.size {
                Some(Size::Fixed(size)) => size,
                _ => 1,
            });
        let dimensions: Vec<u32> = sizes.collect();
        let count = dimensions.iter().product::<u32>();
        let data: Vec<u8> = (0..count).flat_map(|_| value.to_le_bytes()).collect();
        Tensor {
            name: port.name.clone(),
            kind: port.kind,
            dimensions,
            data: data.into(),
        }
    };
    PredictRequest {
        model: model.model.clone(),
        inputs: model.inputs.iter().map(input).collect(),
        ..PredictRequest::default()
    }
}

/// The stable name of what went wrong.
pub(super) fn code(status: &Status) -> &str {
    let code = status.metadata().get("selvedge-code");
    code.map_or("", |code| code.to_str().unwrap())
}
