//! What is refused, each with its code: before it is published, and by a host.

use super::{Lab, artifact, commit, fault, line};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_vouches_for_is_not_served() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", "--unsigned").await;
    let host = lab.host().await;
    let refused = fault(&host, line(1, &plugin, &artifact(&model))).await;
    assert_eq!(refused.code, "unsigned", "{refused:?}");
    // By someone who may release plugins, and no models.
    let sign = format!("sign {model} {}", lab.vendor);
    lab.world.done(&sign).await;
    let refused = fault(&host, line(2, &plugin, &artifact(&model))).await;
    assert_eq!(refused.code, "not-released", "{refused:?}");
    // A plugin under a line for models, and a model under one for plugins.
    let to = lab.at("models/infers");
    let publish = format!("publish infers.wasm {to} --version 1.0.0 {}", lab.lab);
    let disguised = lab.world.done(&publish).await;
    let refused = fault(&host, line(3, &disguised, &artifact(&model))).await;
    assert_eq!(refused.code, "kind-not-granted", "{refused:?}");
    let refused = fault(&host, line(4, &plugin, &artifact(&disguised))).await;
    assert_eq!(refused.code, "config-type-unsupported", "{refused:?}");
    let refused = fault(&host, line(5, &plugin, &artifact(&plugin))).await;
    assert_eq!(refused.code, "kind-not-granted", "{refused:?}");
    // A file, which nobody signs: for `selvedge dev` alone.
    let path = "path = \"press/press.onnx\"";
    let other = lab.world.path("press/press.onnx");
    let mut bytes = fs_err::read(&other).unwrap();
    // One that does not come with the binary.
    bytes.extend([0x32, 0x01, b'x']);
    fs_err::write(&other, bytes).unwrap();
    let refused = fault(&host, line(6, &plugin, path)).await;
    assert_eq!(refused.code, "model-not-signed", "{refused:?}");
    assert!(refused.help.unwrap().contains("selvedge model publish"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_was_released_is_not_served() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let host = lab.host().await;
    commit(&host, line(1, &plugin, &artifact(&model))).await;
    let renamed = model.replace("models/press:", "models/other:");
    let refused = fault(&host, line(2, &plugin, &artifact(&renamed))).await;
    assert_eq!(refused.code, "package-mismatch", "{refused:?}");
    let relabelled = model.replace(":1.0.0@", ":2.0.0@");
    let refused = fault(&host, line(3, &plugin, &artifact(&relabelled))).await;
    assert_eq!(refused.code, "version-mismatch", "{refused:?}");
    let other = format!(
        "{}\ndigest = \"sha256:{}\"",
        artifact(&model),
        "0".repeat(64)
    );
    let refused = fault(&host, line(4, &plugin, &other)).await;
    assert_eq!(refused.code, "model-not-loaded", "{refused:?}");
    // Bytes that change on the disk of the device.
    let bytes = lab.world.read("press/press.onnx");
    let digest = selvedge::names::Digest::of(&bytes).to_string();
    let (_, hex) = digest.split_once(':').unwrap();
    let blob = lab.world.find("data", hex);
    let mut altered = bytes;
    altered[100] ^= 1;
    fs_err::remove_file(&blob).unwrap();
    fs_err::write(&blob, altered).unwrap();
    let again = format!("{}\nrun.threads = 2", artifact(&model));
    let refused = fault(&host, line(5, &plugin, &again)).await;
    assert_eq!(refused.code, "artifact-corrupt", "{refused:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_computes_otherwise_is_neither_published_nor_served() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let golden = String::from_utf8(lab.world.read("press/press.golden.json")).unwrap();
    let mut golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    golden["outputs"][0]["values"][0] = 1e6.into();
    lab.world
        .write("press/press.golden.json", golden.to_string());
    let to = lab.at("models/press");
    let publish = format!("model publish press {to} {}", lab.lab);
    let ended = lab.world.cli(&publish).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("does not compute its golden vector"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("--no-check"), "{ended:?}");
    let model = lab
        .publish("press", &format!("{} --no-check", lab.lab))
        .await;
    let plugin = lab.plugin().await;
    let host = lab.host().await;
    let refused = fault(&host, line(1, &plugin, &artifact(&model))).await;
    assert_eq!(refused.code, "model-golden-wrong", "{refused:?}");
    // Nor one that takes otherwise than it promises.
    lab.model("press", "press", "1.1.0");
    let text = String::from_utf8(lab.world.read("press/model.toml")).unwrap();
    let promise = "[[inputs]]\nname = \"x\"\nshape = [1, 3]\n[[outputs]]\nname = \"y\"\n";
    lab.world.write("press/model.toml", text + promise);
    let model = lab
        .publish("press", &format!("{} --no-check", lab.lab))
        .await;
    let refused = fault(&host, line(2, &plugin, &artifact(&model))).await;
    assert_eq!(refused.code, "model-not-as-promised", "{refused:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_model_and_one_of_no_grant_are_refused() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let to = lab.at("nobody/press");
    let publish = format!("model publish press {to} {}", lab.lab);
    let foreign = lab.world.done(&publish).await;
    let host = lab.host().await;
    let refused = fault(&host, line(1, &plugin, &artifact(&foreign))).await;
    assert_eq!(refused.code, "package-not-granted", "{refused:?}");
    // By the digest of its file alone, in whatever artifact it comes.
    let digest = selvedge::names::Digest::of(&lab.world.read("press/press.onnx"));
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let refused = fault(&host, line(2, &plugin, &artifact(&model))).await;
    assert_eq!(refused.code, "digest-revoked", "{refused:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_document_names_one_origin_of_a_model_and_pins_it() {
    let lab = Lab::new().await;
    let check = async |model: &str| {
        lab.world
            .write("line.toml", line(1, "shipped:window", model));
        let ended = lab.world.cli("check line.toml --json").await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        ended.stdout
    };
    let found = check("artifact = \"registry.example/acme/press:1.0.0\"").await;
    assert!(found.contains("reference-not-pinned"), "{found}");
    let pinned = format!("registry.example/acme/press@sha256:{}", "0".repeat(64));
    let found = check(&format!("artifact = \"{pinned}\"\npath = \"press.onnx\"")).await;
    assert!(found.contains("both `artifact` and `path`"), "{found}");
    let found = check("").await;
    assert!(found.contains("neither `artifact` nor `path`"), "{found}");
}
