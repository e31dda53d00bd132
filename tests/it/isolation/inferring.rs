//! Guests that feed models what they do not take.

use std::path::Path;

use selvedge::inference::{Dim, ModelSource, Port};
use selvedge::spec::BackendChoice;

use crate::support::{Host, Plugin};

/// Puts a shipped model into service as `name`; what it takes, as the guest
/// reads it.
async fn load(host: &Host, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/assets/press.onnx");
    let bytes = fs_err::read(file).unwrap();
    let source = ModelSource {
        backend: BackendChoice::Tract,
        ..ModelSource::onnx(bytes.into())
    };
    host.serve(name, source).await;
    let model = host.models().status().remove(0);
    let Port { name, shape, .. } = &model.inputs[0];
    let Some(Dim::Fixed(count)) = shape.last() else {
        panic!("a model of windows of one length: {shape:?}")
    };
    format!("{name} {count}")
}

/// What it saw on being sent one message.
async fn seen(guest: &str) -> String {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    let input = load(&host, "granted").await;
    load(&host, "secret").await;
    host.run(infers(guest)).await.unwrap();
    host.publish("offence/go", input).await;
    let answer = seen.next().await;
    host.neighbour_answers().await;
    host.running("offender").await;
    answer
}

fn infers(guest: &str) -> Plugin {
    let plugin = Plugin::guest(guest);
    let plugin = plugin.grants(|grants| grants.models = vec!["granted".parse().unwrap()]);
    plugin.limits(|limits| limits.call_ms_max = 10_000.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_granted_models_are_loaded() {
    assert_eq!(seen("infers:fits").await, "computed");
    let answer = seen("infers:loads-not-granted").await;
    assert_eq!(
        answer,
        "ErrorCode::Security: model `secret` is not granted to this plugin"
    );
    let answer = seen("infers:loads-bytes").await;
    assert!(
        answer.starts_with("ErrorCode::UnsupportedOperation: "),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_computes_reaches_the_guest_that_asked() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/granted");
    load(&host, "granted").await;
    host.run(infers("computes")).await.unwrap();
    host.publish("offence/go", "granted\nno-such-input fp32 1 00000000")
        .await;
    let answer = seen.next().await;
    assert!(
        answer.starts_with("ErrorCode::InvalidArgument: "),
        "{answer}"
    );
    host.running("offender").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_granted_models_are_described() {
    let answer = seen("infers:describes").await;
    assert!(answer.starts_with(r#"["`input` FP32 [1, "#), "{answer}");
    assert!(
        answer.ends_with(r#" -> ["`probabilities` FP32 [1, 3]"]"#),
        "{answer}"
    );

    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    for name in ["granted", "secret"] {
        load(&host, name).await;
    }
    host.run(infers("infers:describes-not-granted"))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    for name in ["secret", "no-such-model"] {
        let expected = format!("the model `{name}` is not granted to this plugin");
        assert_eq!(seen.next().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tensors_that_do_not_fit_are_refused() {
    for guest in [
        "infers:wrong-length",
        "infers:wrong-shape",
        "infers:wrong-type",
        "infers:wrong-name",
        "infers:no-input",
        "infers:one-input-twice",
        "infers:overflowing-shape",
    ] {
        let answer = seen(guest).await;
        assert!(
            answer.starts_with("ErrorCode::InvalidArgument: "),
            "{guest}: {answer}"
        );
    }
    assert_eq!(seen("infers:not-a-number").await, "computed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_bounded() {
    let host = Host::start().await;
    load(&host, "granted").await;
    host.run(infers("infers:hoards-contexts")).await.unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    assert!(
        error.contains("tensors, graphs, contexts and errors, the limit `resources_max`"),
        "{error}"
    );
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tensors_are_bounded() {
    let host = Host::start().await;
    load(&host, "granted").await;
    host.run(infers("infers:hoards-tensors")).await.unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    assert!(error.contains("tensor"), "{error}");
    host.neighbour_answers().await;
}
