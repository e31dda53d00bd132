//! The shipped classifier on a real host: JPEG frames in, labels out; and frames
//! that nobody would send by mistake.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use selvedge::bus::Message;
use selvedge::inference::{Golden, ModelSource};
use selvedge::spec::{BackendChoice, Grants, Limits};
use serde_json::{Value as Json, json};

use crate::gateway::Gateway;
use crate::support::{Host, Listener, Plugin, filters};

/// The frames of a real encoder, and what each shows.
const FRAMES: [&str; 4] = ["normal", "high", "alarm-lamp", "blocked-view"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/classifier/model")
}

fn file(name: &str) -> Vec<u8> {
    fs_err::read(folder().join(name)).unwrap()
}

fn frame(name: &str) -> Vec<u8> {
    file(&format!("frames/{name}.jpg"))
}

/// The metadata of `model.toml`, as its publisher wrote it.
fn metadata() -> toml::Table {
    let text = String::from_utf8(file("model.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["metadata"].as_table().unwrap().clone()
}

fn panel() -> ModelSource {
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let metadata = metadata();
    let metadata = metadata
        .iter()
        .map(|(key, value)| (key.clone(), text(value)));
    ModelSource {
        backend: BackendChoice::Tract,
        golden: vec![Golden::parse(&file("panel.golden.json")).unwrap()],
        version: Some("1.0.0".to_owned()),
        metadata: metadata.collect(),
        ..ModelSource::onnx(file("panel.onnx").into())
    }
}

fn classifier(config: Json) -> Plugin {
    Plugin {
        name: "classifier",
        wasm: selvedge_bundle::find("classifier")
            .unwrap()
            .component
            .to_vec(),
        config,
        grants: Grants {
            publish: filters(&["label/+/+"]),
            subscribe: filters(&["camera/+/+"]),
            models: vec!["panel".parse().unwrap()],
            ..Grants::default()
        },
        limits: Limits {
            call_ms_max: 10_000.try_into().unwrap(),
            batch_messages_max: 4.try_into().unwrap(),
            // It is given up at its first failure: no test needs a second.
            restarts_max: 0,
            ..Limits::default()
        },
    }
}

/// A host on which the classifier runs.
async fn start(config: Json) -> (Host, Listener) {
    let host = Host::start().await;
    let labels = host.listen("label/#");
    host.serve("panel", panel()).await;
    host.run(classifier(config)).await.unwrap();
    host.running("classifier").await;
    (host, labels)
}

async fn label(labels: &mut Listener) -> Json {
    let message = labels.message().await;
    assert_eq!(message.content_type.as_deref(), Some("application/json"));
    serde_json::from_slice(&message.payload).unwrap()
}

/// The same frame, saying that it is of another size: what it lacks is grey.
fn of_size(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let is_header = |pair: &[u8]| pair == [0xFF, 0xC0] || pair == [0xFF, 0xC2];
    let header = jpeg.windows(2).position(is_header).unwrap();
    jpeg[header + 5..header + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[header + 7..header + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// Why the next frame was given up.
async fn reason(letters: &mut Listener) -> String {
    let letter = letters.message().await;
    let mut properties = letter.properties.iter();
    let found = properties.find(|(name, _)| &**name == "dead-letter-reason");
    found.unwrap().1.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_frame_gets_the_label_of_what_it_shows() {
    let (host, mut labels) = start(json!({ "model": "panel" })).await;
    let started = Instant::now();
    let count = 8 * FRAMES.len();
    for name in FRAMES.repeat(8) {
        host.publish(&format!("camera/hall/{name}"), frame(name))
            .await;
        let found = label(&mut labels).await;
        assert_eq!(found["label"], name, "{found}");
        assert_eq!(
            (&found["site"], &found["device"]),
            (&json!("hall"), &json!(name))
        );
        assert_eq!(found["model"]["name"], "panel");
        assert_eq!(found["model"]["version"], "1.0.0");
        let top = found["top"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["label"]), (3, &json!(name)));
        let sum: f64 = top.iter().map(|one| one["score"].as_f64().unwrap()).sum();
        assert!((0.5..1.001).contains(&sum), "probabilities: {found}");
        assert!(found["published_at"].as_f64().unwrap() > 1.7e9);
    }
    let took = started.elapsed() / u32::try_from(count).unwrap();
    let model = host.models().status().remove(0).runs.run_p50_us;
    println!("{count} frames, {took:?} each, of which the model takes {model} us");
    assert!(took < Duration::from_secs(5));
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_frames_are_rejected_with_reasons_and_the_plugin_lives_on() {
    let (host, mut labels) = start(json!({ "model": "panel" })).await;
    let mut letters = host.listen("$selvedge/dead-letter/classifier");
    let good = frame("high");
    let sof = good
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let mut largest = good.clone();
    largest[sof + 5..sof + 9].fill(0xFF);
    let random: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let disguised = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &random].concat();
    let hostile: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "not a JPEG"),
        (random, "not a JPEG"),
        (disguised, "the frame is"),
        (good[..good.len() / 2].to_vec(), "cut off"),
        (largest, "65535 x 65535, larger than"),
        (frame("progressive"), "`progressive` does not allow"),
        (frame("cmyk"), "in four colours (CMYK)"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "not a JPEG"),
    ];
    for (payload, why) in hostile {
        host.publish("camera/hall/c1", payload).await;
        let reason = reason(&mut letters).await;
        assert!(reason.contains(why), "{reason}");
    }
    // What the bus takes no plugin need fear: it refuses 5 MB itself.
    assert!(!host.try_publish("camera/hall/c1", vec![0xFF; 5_000_000]));
    for _ in 0..3 {
        host.publish("camera/hall/c1", good.clone()).await;
        assert_eq!(label(&mut labels).await["label"], "high");
    }
    // Grey frames are judged as they are.
    host.publish("camera/hall/c1", frame("grey")).await;
    assert_eq!(label(&mut labels).await["device"], "c1");
    host.neighbour_answers().await;
}

/// Bytes of a good frame, each time another one overwritten: whatever comes of it,
/// nothing traps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_frames_never_end_the_plugin() {
    let config = json!({ "model": "panel", "frame": { "progressive": true } });
    let (host, mut labels) = start(config).await;
    let (good, other) = (frame("normal"), frame("progressive"));
    host.publish("camera/hall/other", other.clone()).await;
    assert_eq!(label(&mut labels).await["label"], "alarm-lamp");
    for (step, whole) in (1_usize..).zip([&good, &other].repeat(1_000)) {
        let mut damaged = whole.clone();
        for place in [step * 7919, step * 104_729] {
            let place = place % damaged.len();
            damaged[place] ^= u8::try_from(step % 255 + 1).unwrap();
        }
        host.publish("camera/hall/damaged", damaged).await;
    }
    host.publish("camera/hall/end", good).await;
    while label(&mut labels).await["device"] != "end" {}
    host.neighbour_answers().await;
}

/// As the README says: whatever they hold, within 16 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frames_fit_into_the_usual_memory() {
    let config = json!({ "model": "panel", "frame": { "progressive": true } });
    assert_eq!(Limits::default().memory_bytes_max.get(), 16 << 20);
    let (host, mut labels) = start(config).await;
    for name in ["normal", "progressive", "grey", "normal", "progressive"] {
        let started = Instant::now();
        let largest = of_size(frame(name), 1_280, 960);
        host.publish("camera/hall/c1", largest).await;
        label(&mut labels).await;
        println!("{name}, 1280 x 960: {:?}", started.elapsed());
    }
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_does_not_fit_is_said_at_the_start() {
    let host = Host::start().await;
    host.serve("panel", panel()).await;
    for (name, config, why) in [
        (
            "two-labels",
            json!({ "model": "panel", "labels": ["a", "b"] }),
            "there are 2 labels, but the output `logits` FP32 [n, 4] gives 4",
        ),
        (
            "not-granted",
            json!({ "model": "secret" }),
            "the model `secret` is not granted to this plugin",
        ),
        (
            "other-layout",
            json!({ "model": "panel", "image": { "layout": "nhwc" } }),
            "the input `image` FP32 [n, 3, 96, 96] is no picture",
        ),
    ] {
        host.run(classifier(config).named(name)).await.unwrap();
        let error = host.given_up(name).await;
        assert!(error.contains(why), "{error}");
    }
}

/// As an operator deploys it: shipped, with all that the model does not say in the
/// configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_alone_are_reported_and_kept() {
    let text = r#"
        name = "cameras"
        version = "1.0.0"

        [plugins.classifier]
        component = "shipped:classifier"
        grants.subscribe = ["camera/+/+"]
        grants.publish = ["label/+/+"]
        grants.models = ["panel"]
        limits.call_ms_max = 10000
        limits.batch_messages_max = 4

        [plugins.classifier.config]
        model = "panel"
        labels = ["normal", "high", "alarm-lamp", "blocked-view"]
        softmax = true
        image = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
        publish = "changes"
        score_min = 0.4

        [models.panel]
        path = "panel.onnx"
        golden = "panel.golden.json"
    "#;
    let document = folder().join("classifier.toml");
    let mut gateway = Gateway::start(&document, text, &["label/#"]).await;
    let shown = ["normal", "normal", "high", "high", "high", "normal"];
    for name in shown {
        let topic = "camera/hall/c1".parse().unwrap();
        let mut message = Message::new(topic, frame(name));
        message.content_type = Some("image/jpeg".into());
        gateway.publish(message);
    }
    for expected in ["normal", "high", "normal"] {
        let message = gateway.message().await;
        let found: Json = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(found["label"], expected, "{found}");
    }
    gateway.stop().await;
}
