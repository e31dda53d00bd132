//! Models that native programs load beside the deployment's: through the same gate,
//! counted with them, withdrawn like them, and gone with the process.

use selvedge::app::{App, Mode};
use selvedge::config::HostConfig;
use selvedge::deployment::document::source::Source;
use selvedge::inference::InferenceApiConfig;
use selvedge::inference_api::proto::inference_client::InferenceClient;
use selvedge::inference_api::proto::{
    DescribeModelRequest, ListModelsRequest, LoadModelRequest, Model, Owner, PredictRequest,
    Tensor, UnloadModelRequest, dimension::Size,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{Lab, artifact, commit, fault, line};
use crate::deployments::world::Host;

pub(super) type Client = InferenceClient<Channel>;

/// Models that a host may have.
const MODELS_MAX: usize = 64;

impl Lab {
    /// A host that serves native programs.
    pub(super) async fn serving(&self) -> (Host, Client) {
        let source = Source::new(&self.world.path("host.toml"), self.world.read("host.toml"));
        let mut config = HostConfig::check(&source.unwrap().into()).unwrap().value;
        let socket = self.world.path("inference.sock");
        let api: InferenceApiConfig =
            toml::from_str(&format!("socket = {:?}", socket.display().to_string())).unwrap();
        config.inference.api = Some(api);
        config.api.socket = Some(self.world.path("api.sock"));
        let app = App::build(&config, Mode::Production).unwrap();
        app.serve(&config).unwrap();
        let host = Host::of(app, self.world.folder());
        host.resume().await;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let channel = endpoint.unwrap().connect().await.unwrap();
        (host, InferenceClient::new(channel))
    }

    /// Brings an artifact into the device's store.
    pub(super) async fn bring(&self, reference: &str) {
        let pull = format!("pull {reference} --host-config host.toml");
        self.world.done(&pull).await;
    }
}

pub(super) async fn load(
    client: &mut Client,
    model: &str,
    reference: &str,
) -> Result<Model, Status> {
    let load = LoadModelRequest {
        model: model.to_owned(),
        reference: reference.to_owned(),
    };
    let loaded = client.load_model(load).await?;
    Ok(loaded.into_inner().model.unwrap())
}

pub(super) async fn unload(client: &mut Client, model: &str) -> Result<(), Status> {
    let model = model.to_owned();
    let unloaded = client.unload_model(UnloadModelRequest { model }).await;
    unloaded.map(drop)
}

async fn predict(client: &mut Client, model: &Model) -> Result<(), Status> {
    let port = &model.inputs[0];
    let size = |size: &Option<Size>| match size {
        Some(Size::Fixed(size)) => *size,
        _ => 1,
    };
    let dimensions: Vec<u32> = port.dimensions.iter().map(|it| size(&it.size)).collect();
    let count = dimensions.iter().product::<u32>();
    let input = Tensor {
        name: port.name.clone(),
        kind: port.kind,
        dimensions,
        data: (0..count)
            .flat_map(|_| 0.5_f32.to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
    };
    let request = PredictRequest {
        model: model.model.clone(),
        inputs: vec![input],
        ..PredictRequest::default()
    };
    client.predict(request).await.map(drop)
}

/// The stable name of a refusal, and how gRPC says it.
fn refused<T>(result: Result<T, Status>) -> (String, Code) {
    let Err(status) = result else {
        panic!("it was not refused")
    };
    let code = status.metadata().get("selvedge-code").unwrap();
    (code.to_str().unwrap().to_owned(), status.code())
}

fn is(code: &str, status: Code) -> (String, Code) {
    (code.to_owned(), status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_program_loads_a_signed_model_until_it_is_revoked() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.2.0");
    let model = lab.publish("press", &lab.lab).await;
    let (host, mut client) = lab.serving().await;
    let missing = load(&mut client, "own", &model).await;
    assert_eq!(refused(missing), is("artifact-missing", Code::NotFound));
    lab.bring(&model).await;
    let loaded = load(&mut client, "own", &model).await.unwrap();
    assert_eq!((loaded.model.as_str(), loaded.owner()), ("own", Owner::Api));
    predict(&mut client, &loaded).await.unwrap();
    let again = load(&mut client, "own", &model).await;
    assert_eq!(refused(again), is("model-exists", Code::AlreadyExists));
    // No plugin has it.
    assert!(host.deployments().models().names().len() == 0);

    unload(&mut client, "own").await.unwrap();
    let gone = predict(&mut client, &loaded).await;
    assert_eq!(refused(gone), is("model-not-found", Code::NotFound));
    let gone = unload(&mut client, "own").await;
    assert_eq!(refused(gone), is("model-not-found", Code::NotFound));

    let loaded = load(&mut client, "own", &model).await.unwrap();
    let (_, digest) = model.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let withdrawn = predict(&mut client, &loaded).await.unwrap_err();
    assert!(
        withdrawn.message().contains("out of service"),
        "{withdrawn}"
    );
    let back = load(&mut client, "other", &model).await;
    assert_eq!(
        refused(back),
        is("digest-revoked", Code::FailedPrecondition)
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_signed_is_not_loaded_and_nothing_outlasts_the_process() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let signed = lab.publish("press", &lab.lab).await;
    let to = lab.at("nobody/press");
    let publish = format!("model publish press {to} {}", lab.lab);
    let foreign = lab.world.done(&publish).await;
    let plugin = lab.plugin().await;
    for reference in [&signed, &foreign, &plugin] {
        lab.bring(reference).await;
    }
    lab.model("valve", "press", "1.0.0");
    let unsigned = lab.publish("valve", "--unsigned").await;
    lab.bring(&unsigned).await;
    let (host, mut client) = lab.serving().await;
    let told = refused(load(&mut client, "own", &unsigned).await);
    assert_eq!(told, is("unsigned", Code::FailedPrecondition));
    for reference in [&foreign, &plugin] {
        let (code, status) = refused(load(&mut client, "own", reference).await);
        assert_eq!(status, Code::FailedPrecondition, "{code}");
    }
    let loaded = load(&mut client, "own", &signed).await.unwrap();
    predict(&mut client, &loaded).await.unwrap();
    drop(client);
    host.stop().await;

    let (host, mut client) = lab.serving().await;
    let model = "own".to_owned();
    let gone = client.describe_model(DescribeModelRequest { model }).await;
    assert_eq!(refused(gone), is("model-not-found", Code::NotFound));
    let listed = client.list_models(ListModelsRequest {}).await.unwrap();
    assert!(listed.into_inner().models.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_of_both_kinds_are_counted_together() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let (host, mut client) = lab.serving().await;
    commit(&host, line(1, &plugin, &artifact(&model))).await;
    for n in 1..MODELS_MAX {
        load(&mut client, &format!("own-{n}"), &model)
            .await
            .unwrap();
    }
    let more = load(&mut client, "more", &model).await;
    assert_eq!(
        refused(more),
        is("models-too-many", Code::ResourceExhausted)
    );
    // Nor may the deployment have more.
    let second = format!(
        "{}\n[models.second]\n{}",
        artifact(&model),
        artifact(&model)
    );
    let told = fault(&host, line(2, &plugin, &second)).await;
    assert_eq!(told.code, "models-too-many", "{told:?}");
    unload(&mut client, "own-1").await.unwrap();
    commit(&host, line(3, &plugin, &second)).await;
    let more = load(&mut client, "more", &model).await;
    assert_eq!(
        refused(more),
        is("models-too-many", Code::ResourceExhausted)
    );
    // The deployment's own name is taken, and its model stays its own.
    let taken = load(&mut client, "granted", &model).await;
    assert_eq!(refused(taken), is("model-exists", Code::AlreadyExists));
    let kept = unload(&mut client, "granted").await;
    assert_eq!(
        refused(kept),
        is("model-of-deployment", Code::FailedPrecondition)
    );
    host.stop().await;
}
