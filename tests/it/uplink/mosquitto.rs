//! mosquitto as the cloud, over mutual TLS: one gateway sends, another receives.

use std::path::Path;

use selvedge::uplink::LinkState;
use selvedge::uplink::config::UplinkConfig;

use super::world::{QUICK, World, next};
use crate::mqtt::certificates::{Authority, Files};
use crate::mqtt::mosquitto::{self, Mosquitto, mutual_tls};

const PERSISTS: &str = "persistence true\nautosave_on_changes true\nautosave_interval 1\n\
    max_queued_messages 100000\n";

fn config(endpoint: &Mosquitto, files: &Files, protocol: &str, rules: &str) -> UplinkConfig {
    let text = format!(
        "endpoint = \"{}\"\nclient_id = \"{}\"\nprotocol = \"{protocol}\"\n\
         ca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\ntimes = {{ {QUICK} }}\n{rules}",
        endpoint.address,
        files.key.file_stem().unwrap().to_str().unwrap(),
        files.authority.display(),
        files.certificate.display(),
        files.key.display(),
    );
    toml::from_str(&text).unwrap()
}

async fn from_gateway_to_gateway(program: &Path, protocol: &str) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("cloud");
    let files = |name: &str| authority.write(name, folder.path());
    let settings = format!("{PERSISTS}{}", mutual_tls(&files("server")));
    let mut cloud = Mosquitto::start(program, &settings);
    let rules = "[[rules]]\nfilter = \"up/#\"\ndirection = \"in\"\nto = \"got/{#}\"\n";
    let receiver = World::start(config(&cloud, &files("receiver"), protocol, rules));
    let mut got = receiver.listen("got/#");
    receiver
        .until(|status| status.state == LinkState::Connected)
        .await;
    let rules = "[[rules]]\nfilter = \"out/#\"\nto = \"up/{#}\"\n";
    let sender = World::start(config(&cloud, &files("sender"), protocol, rules));
    for round in 0..2 {
        if round == 1 {
            cloud.kill();
            sender
                .until(|status| status.state == LinkState::Connecting)
                .await;
        }
        sender.publish_all(|_| format!("out/{round}"), 300).await;
        if round == 1 {
            assert_eq!(sender.uplink.status().queue_messages, 300);
            cloud.restart();
        }
        let mut expected = 0;
        while expected < 300 {
            let message = next(&mut got).await;
            // Killed, mosquitto has forgotten some of our acknowledgements.
            if message.topic.as_str() != format!("got/{round}") {
                continue;
            }
            let number: u64 = std::str::from_utf8(&message.payload)
                .unwrap()
                .parse()
                .unwrap();
            // What was sent and not acknowledged may come again, never later ones
            // before earlier ones.
            assert!(number <= expected, "{number} before {expected}");
            expected = expected.max(number + 1);
        }
        sender.drained().await;
    }
    let status = receiver.uplink.status();
    assert!(
        status.dead_letters_total.is_empty(),
        "{status:?}\n{}",
        cloud.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_meet_at_mosquitto_over_mutual_tls_in_both_versions() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    from_gateway_to_gateway(&program, "5").await;
    from_gateway_to_gateway(&program, "3.1.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_replaced_are_read_again() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("cloud");
    let server = authority.write("server", folder.path());
    let cloud = Mosquitto::start(&program, &mutual_tls(&server));
    let stranger = Authority::new("stranger").issue("gw");
    let files = Files {
        certificate: folder.path().join("gw.pem"),
        key: folder.path().join("gw.key"),
        ..server
    };
    fs_err::write(&files.certificate, stranger.certificate).unwrap();
    fs_err::write(&files.key, stranger.key).unwrap();
    let rules = "[[rules]]\nfilter = \"out/#\"\n";
    let world = World::start(config(&cloud, &files, "5", rules));
    world.publish("out/a", "1").await;
    world.until(|status| status.last_error.is_some()).await;
    assert_eq!(world.uplink.status().connections_total, 0);
    authority.write("gw", folder.path());
    world
        .until(|status| status.state == LinkState::Connected)
        .await;
    world.drained().await;
}
