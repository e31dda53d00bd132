//! Captured data, from a run to the bus and to a file.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge::inference::CaptureConfig;
use selvedge::inference_api::proto::{
    Auxiliary, CaptureDataRequest, CaptureStatus, GetCaptureDataStatusRequest,
};
use serde_json::Value as Json;
use tokio::time::timeout;
use tonic::Code;

use super::world::{Client, World, code, describe, request};
use crate::process::DEADLINE;

async fn status(client: &mut Client, id: &str) -> CaptureStatus {
    let asked = GetCaptureDataStatusRequest {
        capture_id: id.to_owned(),
    };
    let answer = client.get_capture_data_status(asked).await.unwrap();
    answer.into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_captured_unless_a_deployment_says_so() {
    let world = World::start_with("", |config| {
        config.inference.capture = Some(CaptureConfig::default());
    })
    .await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    for _ in 0..50 {
        client.predict(request(&model, 0.5)).await.unwrap();
    }
    let explicit = CaptureDataRequest {
        model: model.model.clone(),
        ..CaptureDataRequest::default()
    };
    let error = client.capture_data(explicit).await.unwrap_err();
    let expected = ("capture-not-allowed", Code::FailedPrecondition);
    assert_eq!((code(&error), error.code()), expected);
    let capture = &world.app.deployments().deployer().capture;
    assert_eq!(capture.status().queued_total, 0);
    assert!(!world.folder().join("data/capture").exists());
    let parties = world.app.bus().parties();
    assert!(parties.iter().all(|party| party.name.as_str() != "capture"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_part_that_was_asked_for_goes_to_the_bus_and_to_a_file() {
    let capture = "capture = { fraction = 0.1, per_s_max = 1000 }";
    let world = World::start_with(capture, |config| {
        config.inference.capture = Some(CaptureConfig::default());
    })
    .await;
    let mut heard = world.listen("capture/press");
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    assert!(model.captures);
    let asked = request(&model, 0.5);
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(client.predict(asked.clone()).await.unwrap().into_inner());
    }
    let mut records = Vec::new();
    while records.len() < 10 {
        let received = timeout(DEADLINE, heard.receive(16, &mut records)).await;
        received.expect("each tenth run is captured");
    }
    assert_eq!(records.len(), 10);
    assert_eq!(records[0].content_type.as_deref(), Some("application/json"));
    let record: Json = serde_json::from_slice(&records[0].payload).unwrap();
    assert_eq!(record["model"], "press");
    assert_eq!(record["source"], "run");
    assert_eq!(record["digest"], model.digest);
    assert_eq!(record["backend"], "tract");
    let data = |part: &Json| STANDARD.decode(part["data"].as_str().unwrap()).unwrap();
    assert_eq!(record["inputs"][0]["name"], model.inputs[0].name);
    assert_eq!(data(&record["inputs"][0]), asked.inputs[0].data);
    assert_eq!(data(&record["outputs"][0]), answers[0].outputs[0].data);
    let id = record["capture"].as_str().unwrap();
    assert_eq!(status(&mut client, id).await, CaptureStatus::Published);

    let folder = world.folder().join("data/capture");
    let files: Vec<_> = fs_err::read_dir(folder).unwrap().collect();
    let text = fs_err::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    let lines: Vec<_> = text.lines().map(str::as_bytes).collect();
    let payloads: Vec<_> = records.iter().map(|record| &record.payload[..]).collect();
    assert_eq!(lines, payloads);

    // What is no longer asked for ends with the next deployment.
    world.deploy(2, "").await;
    for _ in 0..50 {
        client.predict(asked.clone()).await.unwrap();
    }
    let capture = &world.app.deployments().deployer().capture;
    assert_eq!(capture.status().queued_total, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_hands_in_is_captured_within_the_rate() {
    let capture = "capture = { fraction = 0, per_s_max = 2, topic = \"training/press\" }";
    let world = World::start_with(capture, |_| ()).await;
    let mut heard = world.listen("training/press");
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let explicit = |id: &str| CaptureDataRequest {
        model: model.model.clone(),
        capture_id: id.to_owned(),
        time_ns: 1_700_000_000_000_000_000,
        inputs: request(&model, 1.0).inputs,
        auxiliary: vec![Auxiliary {
            name: "photo".into(),
            content_type: "image/jpeg".into(),
            data: vec![1, 2, 3].into(),
        }],
        ..CaptureDataRequest::default()
    };
    let answer = client.capture_data(explicit("shift-7")).await.unwrap();
    assert_eq!(answer.into_inner().capture_id, "shift-7");
    let mut records = Vec::new();
    timeout(DEADLINE, heard.receive(1, &mut records))
        .await
        .unwrap();
    let record: Json = serde_json::from_slice(&records[0].payload).unwrap();
    assert_eq!(record["capture"], "shift-7");
    assert_eq!(record["source"], "client");
    assert_eq!(record["time"], "2023-11-14T22:13:20Z");
    assert_eq!(record["auxiliary"][0]["name"], "photo");
    assert_eq!(record["auxiliary"][0]["data"], STANDARD.encode([1, 2, 3]));
    assert!(record.get("outputs").is_none());
    world
        .until("published", async || {
            let mut client = client.clone();
            status(&mut client, "shift-7").await == CaptureStatus::Published
        })
        .await;
    assert_eq!(status(&mut client, "other").await, CaptureStatus::Unknown);
    assert_eq!(status(&mut client, "../..").await, CaptureStatus::Unknown);

    let error = client
        .capture_data(explicit("no spaces"))
        .await
        .unwrap_err();
    assert_eq!(code(&error), "capture-id");
    let begun = std::time::Instant::now();
    let mut limited = 0;
    for _ in 0..10 {
        match client.capture_data(explicit("")).await {
            Ok(answer) => assert!(!answer.into_inner().capture_id.is_empty()),
            Err(error) => {
                assert_eq!(error.code(), Code::ResourceExhausted);
                limited += 1;
            }
        }
    }
    // Two in each second that began.
    if begun.elapsed() < Duration::from_secs(2) {
        assert!(limited >= 4, "{limited}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_all_places_is_counted_and_lost() {
    let world = World::start_with("capture = { fraction = 0 }", |_| ()).await;
    let mut client = world.client().await;
    let large = |bytes: usize| CaptureDataRequest {
        model: "press".into(),
        capture_id: format!("large-{bytes}"),
        auxiliary: vec![Auxiliary {
            name: "photo".into(),
            data: vec![7; bytes].into(),
            ..Auxiliary::default()
        }],
        ..CaptureDataRequest::default()
    };
    let error = client.capture_data(large(5 << 20)).await.unwrap_err();
    let expected = ("capture-too-large", Code::ResourceExhausted);
    assert_eq!((code(&error), error.code()), expected);
    // Within a record, but not within a message of the bus; and there are no files.
    client.capture_data(large(1 << 20)).await.unwrap();
    world
        .until("dropped", async || {
            let mut client = client.clone();
            status(&mut client, "large-1048576").await == CaptureStatus::Dropped
        })
        .await;
    let capture = &world.app.deployments().deployer().capture;
    assert_eq!(capture.status().too_large_total, 2);
}
