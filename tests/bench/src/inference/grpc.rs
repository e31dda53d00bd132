//! The inference API: one client's `Predict` over the Unix socket, one call after
//! another, beside the same model called natively.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use selvedge::app::{App, Mode};
use selvedge::config::HostConfig;
use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::Submission;
use selvedge::inference::ModelStore;
use selvedge::inference_api::proto::inference_client::InferenceClient;
use selvedge::inference_api::proto::{PredictRequest, Tensor, TensorKind};
use serde_json::json;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use super::libraries::Way;
use super::models::{Case, Size};
use super::single::{PATIENCE, native, source};
use crate::Outcome;
use crate::measure::all_cores;
use crate::pace::Latency;
use crate::report::{Figure, Row};

const WARM_UP: usize = 20;

pub(super) fn measure(store: &ModelStore, way: Way) -> Outcome<Vec<Row>> {
    let runtime = all_cores()?;
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        for case in [Case::autoencoder()?, Case::panel()?] {
            rows.extend(beside(store, way, &case).await?);
        }
        Ok(rows)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    rows
}

async fn beside(store: &ModelStore, way: Way, case: &Case) -> Outcome<Vec<Row>> {
    let calls = match case.size {
        Size::Small => 5_000,
        Size::Middle | Size::MobileNet => 500,
    };
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("inference.sock");
    let mut config = HostConfig {
        data_directory: folder.path().join("data"),
        ..HostConfig::default()
    };
    config.inference.api = Some(serde_json::from_value(json!({"socket": &socket}))?);
    let app = App::build(&config, Mode::Development)?;
    app.serve(&config)?;
    app.resume().await?;
    deploy(&app, &folder, case).await?;

    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
    let mut client = InferenceClient::new(endpoint.connect().await?);
    let input = case.tensor()?;
    let request = PredictRequest {
        model: "model".to_owned(),
        inputs: vec![Tensor {
            name: case.input.to_owned(),
            kind: TensorKind::Fp32.into(),
            dimensions: case.shape.to_vec(),
            data: input.data().clone(),
        }],
        ..PredictRequest::default()
    };
    let model = store.prepare(&source(way, case))?;
    let (mut ours, mut raw) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    for call in 0..calls + WARM_UP {
        let start = Instant::now();
        let answer = client.predict(request.clone()).await?;
        let took = start.elapsed();
        std::hint::black_box(answer);
        let alone = native(&model, &input, 1)?;
        if call >= WARM_UP {
            ours.record(u64::try_from(took.as_nanos())?)?;
            raw.record(u64::try_from(alone.as_nanos())?)?;
        }
    }
    app.shut_down().await;
    let (ours, raw) = (Latency::of(&ours), Latency::of(&raw));
    let row = |name: &str, ours, raw| {
        let what = format!("Predict over gRPC, {}, {}: {name}", case.name, way.text());
        Row::new(what, Figure::Nanos(ours)).raw(Figure::Nanos(raw))
    };
    Ok(vec![
        row("p50", ours.p50, raw.p50),
        row("p99", ours.p99, raw.p99),
    ])
}

/// The model alone: no plugin is needed.
async fn deploy(app: &App, folder: &tempfile::TempDir, case: &Case) -> Outcome<()> {
    let file = folder.path().join("bench.toml");
    fs_err::write(folder.path().join("model.onnx"), &case.bytes)?;
    let text = "name = 'bench'\nversion = '1.0.0'\nprobation.seconds = 0\n\
                [models.model]\npath = 'model.onnx'\nbackend = 'tract'\n";
    fs_err::write(&file, text)?;
    let deployments = app.deployments();
    let submission = Submission::of_file(&file, &[], deployments.files())?;
    let submitted = deployments.submit(submission).await;
    let id = submitted.map_err(|error| format!("{error}: {error:?}"))?;
    let report = timeout(PATIENCE, deployments.ended(id)).await?;
    let report = report.ok_or("the deployment is forgotten")?;
    match report.phase {
        Phase::Committed => Ok(()),
        phase => Err(format!("{phase:?}: {:?}", report.faults).into()),
    }
}
