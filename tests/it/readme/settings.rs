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
