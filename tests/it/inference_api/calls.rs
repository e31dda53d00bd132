//! What each call answers.

use futures::StreamExt as _;
use selvedge::inference_api::proto::stream_predict_response::Result as Answer;
use selvedge::inference_api::proto::{
    GetModelStatsRequest, ListModelsRequest, LoadModelRequest, Owner, PredictRequest,
    StreamPredictRequest, UnloadModelRequest,
};
use tonic::Code;

use super::world::{World, code, describe, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_listed_described_and_run() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    assert_eq!(model.backend, "tract");
    assert_eq!(
        (model.device.as_str(), model.target.as_str()),
        ("cpu", "cpu")
    );
    assert_eq!(model.owner(), Owner::Deployment);
    assert!(model.digest.starts_with("sha256:"), "{model:?}");
    assert!(!model.captures && !model.inputs.is_empty() && !model.outputs.is_empty());
    let listed = client.list_models(ListModelsRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().models, std::slice::from_ref(&model));

    let mut asked = request(&model, 0.5);
    asked.digest.clone_from(&model.digest);
    let answer = client.predict(asked.clone()).await.unwrap().into_inner();
    assert_eq!(answer.digest, model.digest);
    assert_eq!(answer.outputs.len(), model.outputs.len());
    assert_eq!(answer.outputs[0].name, model.outputs[0].name);
    let again = client.predict(asked).await.unwrap().into_inner();
    assert_eq!(again.outputs, answer.outputs);

    let stats = GetModelStatsRequest {
        model: model.model.clone(),
    };
    let stats = client.get_model_stats(stats).await.unwrap().into_inner();
    assert_eq!((stats.runs_total, stats.failures_total), (2, 0));
    assert!(stats.run_p50_us > 0.0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_by_name() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let good = request(&model, 0.5);
    type Spoil = fn(&mut PredictRequest);
    let cases: [(&str, Code, Spoil); 8] = [
        ("model-not-found", Code::NotFound, |r| {
            r.model = "other".into()
        }),
        ("model-not-found", Code::NotFound, |r| {
            r.model = "\u{1b}[2J ../".into()
        }),
        ("tensor-kind", Code::InvalidArgument, |r| {
            r.inputs[0].kind = 0
        }),
        ("tensor-kind", Code::InvalidArgument, |r| {
            r.inputs[0].kind = 99
        }),
        ("tensor-invalid", Code::InvalidArgument, |r| {
            r.inputs[0].data = vec![0; 3].into();
        }),
        ("run-inputs", Code::InvalidArgument, |r| r.inputs.clear()),
        ("digest-invalid", Code::InvalidArgument, |r| {
            r.digest = "sha256:1".into()
        }),
        ("model-other-version", Code::NotFound, |r| {
            r.digest = format!("sha256:{}", "0".repeat(64));
        }),
    ];
    for (expected, status, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = client.predict(bad).await.unwrap_err();
        assert_eq!((code(&error), error.code()), (expected, status), "{error}");
        assert!(!error.message().contains('\u{1b}'), "{error}");
    }
    client.predict(good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_predictions_of_a_stream_come_in_order() {
    const COUNT: u64 = 10_000;
    const BAD: u64 = 7_777;
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let good = request(&model, 0.5);
    let requests = futures::stream::iter((0..COUNT).map(move |id| {
        let mut request = good.clone();
        if id == BAD {
            request.inputs.clear();
        }
        StreamPredictRequest {
            id,
            request: Some(request),
        }
    }));
    let answers = client.stream_predict(requests).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert_eq!(answers.len(), 10_000);
    for (place, answer) in answers.into_iter().enumerate() {
        let place = u64::try_from(place).unwrap();
        assert_eq!(answer.id, place);
        match answer.result.unwrap() {
            Answer::Response(response) => {
                assert_ne!(place, BAD);
                assert_eq!(response.digest, model.digest);
            }
            Answer::Error(error) => {
                assert_eq!((place, error.code.as_str()), (BAD, "run-inputs"));
                assert_eq!(error.status, i32::from(Code::InvalidArgument));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_the_store_is_not_loaded_and_the_deployments_stay() {
    let world = World::start().await;
    let mut client = world.client().await;
    let digest = "0".repeat(64);
    let cases = [
        (
            "own",
            format!("registry.example/a/b:1@sha256:{digest}"),
            "artifact-missing",
            Code::NotFound,
        ),
        (
            "press",
            format!("registry.example/a/b:1@sha256:{digest}"),
            "model-exists",
            Code::AlreadyExists,
        ),
        (
            "own",
            "/etc/passwd".to_owned(),
            "reference-invalid",
            Code::InvalidArgument,
        ),
        (
            "../own",
            format!("registry.example/a/b:1@sha256:{digest}"),
            "model-name",
            Code::InvalidArgument,
        ),
    ];
    for (model, reference, expected, status) in cases {
        let model = model.to_owned();
        let load = LoadModelRequest { model, reference };
        let error = client.load_model(load).await.unwrap_err();
        assert_eq!((code(&error), error.code()), (expected, status), "{error}");
    }
    for (model, expected, status) in [
        ("press", "model-of-deployment", Code::FailedPrecondition),
        ("own", "model-not-found", Code::NotFound),
    ] {
        let model = model.to_owned();
        let error = client.unload_model(UnloadModelRequest { model }).await;
        let error = error.unwrap_err();
        assert_eq!((code(&error), error.code()), (expected, status), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_word_there_is_no_socket() {
    let world = World::start_with("", |config| config.inference.api = None).await;
    assert!(!world.socket.exists());
}
