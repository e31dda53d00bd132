//! The metrics page, read by the rules of its format and of `promtool check`.

use std::collections::{BTreeMap, BTreeSet};

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
            "version", "plugin", "unit", "state", "model", "party", "outcome", "le",
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
    let response = world.get("/metrics").await;
    let media_type = response.headers().get("content-type").unwrap();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    // Topics are for the bus.
    assert!(!text.contains("secret"));
    let page = read(&text);
    let sample = |name: &str| page.samples.get(name).copied();
    assert_eq!(sample("selvedge_host_ready"), Some(1.0));
    assert_eq!(
        sample("selvedge_deployments_total{outcome=\"committed\"}"),
        Some(1.0)
    );
    assert_eq!(
        sample("selvedge_unit_state{unit=\"plugin/echo\",state=\"running\"}"),
        Some(1.0)
    );
    assert_eq!(
        sample("selvedge_unit_state{unit=\"plugin/echo\",state=\"stopped\"}"),
        Some(0.0)
    );
    let party = "selvedge_party_published_messages_total{party=\"echo\"}";
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
