//! The metrics page, read by the rules of its format and of `promtool check`.

use std::collections::{BTreeMap, BTreeSet};

use selvedge::config::HostConfig;
use selvedge::devices::{Authority, KeyType, NewAuthority};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{Plugin, World};

/// Families and their samples, as a reader of the format finds them.
#[derive(Debug, Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads a page, and fails where it breaks a rule.
fn read(text: &str) -> Page {
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let mut page = Page::default();
    let (mut helped, mut family) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()), "helped twice: {name}");
            assert!(!help.is_empty());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name), "no help: {name}");
            let again = page.kinds.insert(name.to_owned(), kind.to_owned());
            assert_eq!(again, None, "typed twice: {name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            family = name.to_owned();
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let own = name.strip_prefix(family.as_str());
            let suffixes: &[&str] = match page.kinds[&family].as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(
                own.is_some_and(|own| suffixes.contains(&own)),
                "{line} in {family}"
            );
            check_labels(&sample[name.len()..]);
            let value: f64 = value.parse().unwrap();
            let again = page.samples.insert(sample.to_owned(), value);
            assert_eq!(again, None, "twice: {sample}");
        }
    }
    for name in page.kinds.keys() {
        let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
        assert!(
            name.starts_with("selvedge_") && name.chars().all(plain),
            "{name}"
        );
    }
    page
}

fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    for pair in inner.unwrap().split("\",") {
        let (name, value) = pair.split_once("=\"").unwrap();
        let known = [
            "version", "plugin", "unit", "state", "model", "party", "outcome", "le", "uplink",
            "reason", "code", "standing", "backend", "provider", "device", "shadow",
        ];
        assert!(known.contains(&name), "{labels}");
        assert!(!value.trim_end_matches('"').contains('"'), "{labels}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_keeps_the_rules_and_counts_what_happens() {
    let world = World::start().await;
    let echo = Plugin {
        name: "echo",
        guest: "echo",
        mode: "",
        more: "grants = { publish = [\"echo/#\"], subscribe = [\"in/#\"] }",
    };
    world.deploy(&[echo]).await;
    let mut echoed = world.listen("echo/#");
    world.publish("in/secret-topic", "x");
    echoed.receive(1, &mut Vec::new()).await;
    let party = "selvedge_party_published_messages_total{party=\"echo\"}";
    let committed = "selvedge_deployments_total{outcome=\"committed\"}";
    let response = world.metrics_with(&[party, committed]).await;
    let media_type = response.headers().get("content-type").unwrap();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    // Topics are for the bus.
    assert!(!text.contains("secret"));
    let page = read(&text);
    let sample = |name: &str| page.samples.get(name).copied();
    assert_eq!(sample("selvedge_host_ready"), Some(1.0));
    assert_eq!(sample(committed), Some(1.0));
    assert_eq!(
        sample("selvedge_unit_state{unit=\"plugin/echo\",state=\"running\"}"),
        Some(1.0)
    );
    assert_eq!(
        sample("selvedge_unit_state{unit=\"plugin/echo\",state=\"stopped\"}"),
        Some(0.0)
    );
    assert_eq!(sample(party), Some(1.0));
    assert!(sample("selvedge_store_bytes") > Some(0.0));
    assert!(sample("selvedge_host_start_time_seconds") > Some(1e9));
    let buckets = page.samples.iter();
    let buckets: Vec<_> = buckets
        .filter(|(name, _)| name.contains("_bucket{"))
        .collect();
    assert!(buckets.len() > 3);
    assert_eq!(
        sample("selvedge_swap_pause_seconds_bucket{le=\"+Inf\"}"),
        sample("selvedge_swap_pause_seconds_count")
    );
}

/// A broker without TLS on loopback, where everybody is the device `local`, and a
/// device that is revoked.
fn with_devices(config: &mut HostConfig) {
    let data = &config.data_directory;
    let authority = NewAuthority {
        name: "site".to_owned(),
        days: 1,
        key_type: KeyType::default(),
        from: None,
        server_names: Vec::new(),
    };
    Authority::create(data, &authority).unwrap();
    fs_err::create_dir_all(data.join("devices")).unwrap();
    let revoked = "[revoked]\nat = \"2026-01-01T00:00:00Z\"\n";
    fs_err::write(data.join("devices/local.toml"), "publish = [\"state/#\"]").unwrap();
    fs_err::write(data.join("devices/press.toml"), revoked).unwrap();
    let broker =
        "listen = \"127.0.0.1:0\"\nplain = { listen = \"127.0.0.1:0\", device = \"local\" }";
    config.broker = Some(toml::from_str(broker).unwrap());
}

/// What is answered to a CONNECT (MQTT 3.1.1) with this client id.
async fn connect(world: &World, client_id: &str) -> (TcpStream, [u8; 4]) {
    let address = world.app.broker().unwrap().addresses().plain.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = u8::try_from(client_id.len()).unwrap();
    let head = [
        0x10,
        12 + length,
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        4,
        2,
        0,
        60,
        0,
        length,
    ];
    stream
        .write_all(&[&head[..], client_id.as_bytes()].concat())
        .await
        .unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    (stream, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_counts_what_devices_do_and_names_no_client() {
    let world = World::start_with(with_devices).await;
    let (_, refused) = connect(&world, "someone-else").await;
    assert_eq!(refused, [0x20, 2, 0, 2]);
    let (mut device, connected) = connect(&world, "local-secret").await;
    assert_eq!(connected, [0x20, 2, 0, 0]);
    let topic = b"state/a";
    let publish = [&[0x33, 12, 0, 7][..], topic, &[0, 1, b'x']].concat();
    device.write_all(&publish).await.unwrap();
    let mut acknowledged = [0; 4];
    device.read_exact(&mut acknowledged).await.unwrap();
    assert_eq!(acknowledged, [0x40, 2, 0, 1]);

    let party = "selvedge_party_published_messages_total{party=\"local\"}";
    let page = world.metrics_with(&[party]).await;
    let text = page.text().await.unwrap();
    assert!(!text.contains("secret") && !text.contains("someone"));
    let page = read(&text);
    let sample = |name: &str| page.samples.get(&format!("selvedge_{name}")).copied();
    assert_eq!(sample("mqtt_connections{state=\"inside\"}"), Some(1.0));
    assert_eq!(
        sample("mqtt_refusals_total{code=\"client-id-foreign\"}"),
        Some(1.0)
    );
    assert_eq!(sample("mqtt_received_messages_total"), Some(1.0));
    assert_eq!(sample("mqtt_devices{standing=\"good\"}"), Some(1.0));
    assert_eq!(sample("mqtt_devices{standing=\"revoked\"}"), Some(1.0));
    assert_eq!(sample("mqtt_device_faults"), Some(0.0));
    let party = "party_published_messages_total{party=\"local\"}";
    assert_eq!(sample(party), Some(1.0));
    // It was retained, and acknowledged when it was on the disk.
    assert!(sample("retained_saved_messages_total") >= Some(1.0));
    assert_eq!(sample("retained_unsaved_messages_total"), Some(0.0));
    // Nothing that the broker counts is left out.
    let counted = page
        .kinds
        .keys()
        .filter(|name| name.starts_with("selvedge_mqtt_") && name.ends_with("_total"));
    let counters = world.app.broker().unwrap().counters();
    assert_eq!(counted.count(), counters.len() + 1, "{counters:?}");
}
