//! Callers who ask for too much, stand still, flood, or go away.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use futures::future::join_all;
use selvedge::inference::TensorKind;
use selvedge::inference_api::proto::{Model, Tensor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::Code;

use super::world::{World, code, describe, request};
use crate::process::DEADLINE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_a_message_is_refused_and_the_next_call_works() {
    let world = World::start_with("", |config| {
        let api = config.inference.api.as_mut().unwrap();
        api.message_bytes_max = (64 << 10).try_into().unwrap();
        api.received_bytes_max = (256 << 10).try_into().unwrap();
    })
    .await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let good = request(&model, 0.5);
    for bytes in [65 << 10, 200 << 10, 8 << 20] {
        let mut large = good.clone();
        large.inputs.push(Tensor {
            data: vec![0; bytes].into(),
            ..Tensor::default()
        });
        let error = client.predict(large).await.unwrap_err();
        assert_eq!(error.code(), Code::OutOfRange, "{error}");
        client.predict(good.clone()).await.unwrap();
    }
}

/// A client that begins and then says half of a request, or nothing.
async fn stalled(world: &World, said: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(&world.socket).await.unwrap();
    // Whoever has no place may be gone already.
    drop(stream.write_all(said).await);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_connections_cost_their_owner_places_and_nobody_else() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut held = Vec::new();
    for place in 0..1000 {
        let said = if place % 2 == 0 {
            &preface[..]
        } else {
            &preface[..10]
        };
        held.push(stalled(&world, said).await);
    }
    // Those who have a place keep it, however many come.
    for _ in 0..10 {
        let answer = timeout(DEADLINE, client.predict(request(&model, 0.5))).await;
        answer.unwrap().unwrap();
    }
    // Who found no place is sent away.
    let ended = held.iter_mut().rev().take(100).map(async |stream| {
        let mut rest = Vec::new();
        let ended = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        ended.is_ok()
    });
    assert!(join_all(ended).await.into_iter().all(|ended| ended));
    drop(held);
    world
        .until("places again", async || {
            let endpoint = format!("unix://{}", world.socket.display());
            let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
            let Ok(channel) = endpoint.connect().await else {
                return false;
            };
            let mut client =
                selvedge::inference_api::proto::inference_client::InferenceClient::new(channel);
            client.predict(request(&model, 0.5)).await.is_ok()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_begin_is_sent_away() {
    let world = World::start().await;
    let mut silent = stalled(&world, b"PRI * HT").await;
    let begun = Instant::now();
    let mut rest = Vec::new();
    let ended = timeout(DEADLINE, silent.read_to_end(&mut rest)).await;
    drop(ended.expect("it is cut off"));
    assert!(begun.elapsed() > Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_keep_the_model_from_nobody() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let press = model.model.parse().unwrap();
    for _ in 0..63 {
        let calls = (0..16).map(|_| {
            let mut client = client.clone();
            let request = request(&model, 0.5);
            async move { drop(timeout(Duration::from_micros(300), client.predict(request)).await) }
        });
        join_all(calls).await;
        // As a plugin runs it: at once, with nothing to wait for but runs that end.
        let served = world.app.deployments().models().get(&press).cloned();
        let input = tensor(&model);
        let within = Some(Instant::now() + DEADLINE);
        served.unwrap().run(vec![input], within).await.unwrap();
    }
    // Whoever resets too much at once may have lost its connection.
    let mut client = world.client().await;
    let mut late = tonic::Request::new(request(&model, 0.5));
    late.set_timeout(Duration::from_nanos(1));
    let error = client.predict(late).await.unwrap_err();
    let told = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(told.contains(&error.code()), "{error}");
    for _ in 0..32 {
        let answer = timeout(DEADLINE, client.predict(request(&model, 0.5))).await;
        answer.unwrap().unwrap();
    }
}

/// What the model takes, as a plugin gives it.
fn tensor(model: &Model) -> (String, selvedge::inference::Tensor) {
    let Tensor {
        name,
        dimensions,
        data,
        ..
    } = request(model, 0.5).inputs.remove(0);
    let tensor = selvedge::inference::Tensor::new(dimensions, TensorKind::Fp32, data);
    (name, tensor.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_for_the_hosts_own_user_unless_others_are_named() {
    let mode = |world: &World| {
        let metadata = fs_err::metadata(&world.socket).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let world = World::start().await;
    assert_eq!(mode(&world), 0o600);
    let world = World::start_with("", |config| {
        config.inference.api.as_mut().unwrap().users = vec!["daemon".to_owned()];
    })
    .await;
    assert_eq!(mode(&world), 0o666);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_with_the_host_whoever_is_connected() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let endless = futures::stream::pending();
    let mut answers = client.stream_predict(endless).await.unwrap().into_inner();
    let _silent = stalled(&world, b"PRI").await;
    let ended = timeout(DEADLINE, world.app.shut_down()).await;
    ended.expect("it ends");
    let last = timeout(DEADLINE, answers.message()).await.unwrap();
    assert!(!matches!(last, Ok(Some(_))), "{last:?}");
    assert!(!world.socket.exists());
    assert!(client.predict(request(&model, 0.5)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_nothing_but_empty_tensors_is_refused_before_they_are_made() {
    let world = World::start().await;
    let mut client = world.client().await;
    let model = describe(&mut client).await;
    let mut many = request(&model, 0.5);
    many.inputs = vec![Tensor::default(); 1_000_000];
    for _ in 0..3 {
        let error = client.predict(many.clone()).await.unwrap_err();
        assert_eq!(code(&error), "message-parts-too-many", "{error}");
    }
    let request = request(&model, 0.5);
    client.predict(request).await.unwrap();
}
