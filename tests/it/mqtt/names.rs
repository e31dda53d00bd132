//! Who may have a name on the bus: uplinks and plugins before devices, and nobody
//! takes it from another or harms a third.

use tempfile::TempDir;

use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Version};
use crate::process::{Process, run, selvedge};

/// One plugin, which is called `window`.
const DEPLOYMENT: &str = r##"name = "edge"
version = "1.0.0"

[plugins.window]
component = "shipped:window"

[plugins.window.config]
step_ms = 100
length = 64
hop = 16
max_gap_ms = 500
series = [{ record = "vibration", features = ["rms"] }]

[plugins.window.grants]
subscribe = ["telemetry/#"]
publish = ["feature/#"]
"##;

/// An uplink of this name to nobody.
fn uplink(name: &str) -> String {
    format!(
        "[uplinks.{name}]\nendpoint = \"127.0.0.1:9\"\nplain = true\nclient_id = \"gw\"\n\
         [[uplinks.{name}.rules]]\nfilter = \"out/#\"\n"
    )
}

/// Whether the device `name` is let in; others are.
async fn comes_in(gateway: &Gateway, name: &str) -> Result<Client, Option<u8>> {
    let connect = Connect::new(Version::V4, "pump");
    Client::connect(&gateway.target("pump"), &connect)
        .await
        .ping()
        .await;
    let connect = Connect::kept(Version::V5, name);
    Client::try_connect(&gateway.target(name), &connect).await
}

#[tokio::test]
async fn a_device_with_the_name_of_an_uplink_is_refused_and_nobody_else() {
    let setup = Setup {
        broker: uplink("cloud"),
        ..Setup::default()
    };
    let mut gateway = Gateway::start_with(setup, &["cloud", "pump"]).await;
    assert_eq!(comes_in(&gateway, "cloud").await.err(), Some(Some(0x88)));
    let line = gateway.refused("party-reserved").await;
    assert!(line.to_string().contains("cloud"), "{line}");
    assert!(gateway.get("/v1/uplinks").contains("cloud"));
}

#[tokio::test]
async fn a_device_and_a_plugin_do_not_take_each_others_name() {
    let mut gateway = Gateway::start(&["window", "pump"]).await;
    let file = gateway.path("edge.toml");
    fs_err::write(&file, DEPLOYMENT).unwrap();
    let deploy = ["deploy", file.to_str().unwrap()];
    // The device came first: it stays, and the deployment is refused and says why.
    let mut device = comes_in(&gateway, "window").await.unwrap();
    let refused = run(&mut gateway.ask(&deploy)).await;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let all = format!("{}{}", refused.stdout, refused.stderr);
    assert!(all.contains("`window` is already on the bus"), "{all}");
    device.ping().await;
    device.disconnect().await;
    // Without it the plugin is deployed, and from then on has the name.
    gateway.device("window", "revoked = { at = \"2026-01-01T00:00:00Z\" }\n");
    gateway
        .logged(1, |line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("session ended"))
        })
        .await;
    let deployed = run(&mut gateway.ask(&deploy)).await;
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    gateway.device("window", "subscribe = [\"#\"]\n");
    gateway.kill().await;
    gateway.start_again().await;
    assert_eq!(comes_in(&gateway, "window").await.err(), Some(Some(0x88)));
    gateway.refused("party-reserved").await;
    let plugins = run(&mut gateway.ask(&["ps"])).await;
    assert!(plugins.stdout.contains("running"), "{plugins:?}");
}

#[tokio::test]
async fn an_uplink_with_the_name_of_a_plugin_is_refused_at_start_and_at_deployment() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
    let host = "data_directory = \"data\"\n";
    write("edge.toml", DEPLOYMENT);
    write("host.toml", &format!("{host}{}", uplink("window")));
    let start = |arguments: &[&str]| {
        let mut command = selvedge(arguments);
        command.args(["--host-config", "host.toml"]);
        command.current_dir(folder.path());
        Process::start(&mut command)
    };
    let ended = start(&["run", "edge.toml"]).end().await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    let says = "plugin `window` has the name of an uplink";
    assert!(ended.stderr.contains(says), "{ended:?}");
    // Deployed before there was such an uplink.
    write("host.toml", host);
    let mut first = start(&["run", "edge.toml"]);
    first.line("deployment committed").await;
    first.signal("TERM").await;
    assert_eq!(first.end().await.code, Some(0));
    write("host.toml", &format!("{host}{}", uplink("window")));
    let ended = start(&["run"]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let says = "uplink `window` has the name of a plugin";
    assert!(ended.stderr.contains(says), "{ended:?}");
}
