//! What the READMEs show of `host.toml` is taken by the host.

use wasm_build::Workspace;

use crate::process::{run, selvedge};

/// The `toml` blocks of a text, together.
fn settings(text: &str) -> String {
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_settings_for_mqtt_in_the_readmes_are_taken() {
    let workspace = Workspace::here();
    let read = |name: &str| fs_err::read_to_string(workspace.root().join(name)).unwrap();
    let readme = read("README.md");
    let (_, section) = readme
        .split_once("## Devices and the cloud, over MQTT")
        .expect("README has devices");
    let (section, _) = section.split_once("\n## ").expect("README goes on");
    let folder = tempfile::tempdir().unwrap();
    for (text, table) in [
        (section, "[uplinks.aws]"),
        (&read("host/src/broker/README.md"), "[broker]"),
        (&read("host/src/uplink/README.md"), "[cloud]"),
    ] {
        let settings = settings(text);
        assert!(settings.contains(table), "{settings}");
        fs_err::write(folder.path().join("host.toml"), settings).unwrap();
        let mut check = selvedge(&["check", "host.toml"]);
        let checked = run(check.current_dir(folder.path())).await;
        let expected = "host.toml: ok (host configuration)\n";
        assert_eq!(
            (checked.code, checked.stdout.as_str()),
            (Some(0), expected),
            "{}",
            checked.stderr
        );
    }
}

/// The `toml` block of a text that begins so.
fn block<'a>(text: &'a str, begin: &str) -> &'a str {
    let mut blocks = text.split("```toml\n").skip(1);
    let block = blocks.find(|block| block.starts_with(begin));
    let block = block.unwrap_or_else(|| panic!("no block begins with `{begin}`"));
    block.split("```").next().unwrap()
}

#[tokio::test]
async fn what_is_said_of_models_is_taken() {
    let path = Workspace::here()
        .root()
        .join("host/src/inference/README.md");
    let text = fs_err::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let check = async |file: &str, text: &str| {
        fs_err::write(folder.path().join(file), text).unwrap();
        let mut check = selvedge(&["check", file]);
        let checked = run(check.current_dir(folder.path())).await;
        assert_eq!(
            checked.code,
            Some(0),
            "{}{}",
            checked.stdout,
            checked.stderr
        );
    };
    check("host.toml", block(&text, "[inference.api]")).await;

    let model = block(&text, "[models.panel]");
    let digest = format!("sha256:{}", "0".repeat(64));
    let model = model.replace("sha256:…", &digest);
    let next = format!("[models.panel-next]\nartifact = \"localhost:5000/acme/panel@{digest}\"\n");
    let document = format!("name = \"camera\"\nversion = \"1.0.0\"\n{model}{next}");
    check("camera.toml", &document).await;

    let panel = folder.path().join("panel");
    fs_err::create_dir(&panel).unwrap();
    let named = ["panel.onnx", "panel.golden.json"];
    for file in named {
        let from = Workspace::here().root().join("plugins/classifier/model");
        fs_err::copy(from.join(file), panel.join(file)).unwrap();
    }
    fs_err::write(panel.join("model.toml"), block(&text, "name = \"panel\"")).unwrap();
    let mut inspect = selvedge(&["model", "inspect", "panel"]);
    let inspected = run(inspect.current_dir(folder.path())).await;
    assert_eq!(inspected.code, Some(0), "{}", inspected.stderr);
    assert!(inspected.stdout.contains("image fp32[n, 3, 96, 96]"));
}
