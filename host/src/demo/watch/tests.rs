use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Sources, WATCHED, watch};
use crate::bus::{Bus, BusLimits, Inbox, InboxLimits, Message, Party};
use crate::demo::{Cloud, Machines, Options};
use crate::names::TopicFilter;
use crate::spec::Overflow;

const LIMITS: InboxLimits = InboxLimits {
    messages_max: 64,
    bytes_max: 1 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

fn line() -> (Party, Inbox) {
    let party = Bus::new(BusLimits::default()).host_party();
    let filters: Vec<TopicFilter> = WATCHED.iter().map(|text| text.parse().unwrap()).collect();
    let inbox = party.subscribe(&filters, LIMITS).unwrap();
    (party, inbox)
}

/// A cloud that is a bus, and where it and `bus` are watched.
fn with_cloud(bus: Inbox) -> (Party, Sources) {
    let party = Bus::new(BusLimits::default()).host_party();
    let filter = "selvedge/demo/#".parse().unwrap();
    let inbox = party.subscribe(&[filter], LIMITS).unwrap();
    let cloud = Cloud::StandIn(inbox);
    (party, Sources { bus, cloud })
}

fn say(party: &Party, topic: &str, payload: &'static str) {
    party
        .publish(Message::new(topic.parse().unwrap(), payload))
        .unwrap();
}

/// What is shown of a run that is stopped after the first alarm.
async fn shown(options: Options) -> (bool, String) {
    let machines = Machines::start(&options).await.unwrap();
    let (party, bus) = line();
    let (cloud, mut sources) = with_cloud(bus);
    for device in ["pump-1", "press-1", "oven-1", "pump-2"] {
        say(
            &party,
            &format!("telemetry/plant/{device}"),
            r#"[{"n":"vibration","v":1}]"#,
        );
    }
    let raised = r#"{"state":"raised","kind":"bearing-wear"}"#;
    say(&party, "anomaly/plant/pump-1", raised);
    say(&cloud, "selvedge/demo/anomaly/plant/pump-1", raised);
    say(
        &cloud,
        "selvedge/demo/notice/plant/pump-1",
        r#"{"text":"news"}"#,
    );
    let stop = CancellationToken::new();
    let mut out = Vec::new();
    let director = machines.director();
    let follow = watch(&mut sources, &director, &options, stop.clone(), &mut out);
    let (summary, ()) = tokio::join!(follow, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    let summary = summary.unwrap();
    assert_eq!(summary.machines[0].false_alarms, 1);
    assert_eq!(summary.machines[0].not_in_cloud, 0);
    (summary.passed, String::from_utf8(out).unwrap())
}

#[tokio::test(start_paused = true)]
async fn without_a_terminal_news_are_lines_and_the_summary_comes_last() {
    let (passed, text) = shown(Options::default()).await;
    assert!(!passed);
    assert!(
        text.contains("0.0 s  pump-1: bearing-wear raised\n"),
        "{text}"
    );
    assert!(
        text.contains("pump-1: bearing-wear in the cloud after 0 ms\n"),
        "{text}"
    );
    assert!(
        text.ends_with("not everything went as it should\n"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test(start_paused = true)]
async fn in_json_every_line_is_an_object_and_the_last_one_the_summary() {
    let options = Options {
        json: true,
        ..Options::default()
    };
    let (_, text) = shown(options).await;
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "telemetry",
            "telemetry",
            "telemetry",
            "telemetry",
            "anomaly",
            "cloud",
            "summary"
        ]
    );
    assert_eq!(events[6]["machines"][0]["device"], "pump-1");
    assert_eq!(events[5]["state"], "raised");
    assert!(events[5]["after_s"].as_f64().unwrap() >= 0.0);
    assert_eq!(events[0]["readings"]["vibration"], 1.0);
    assert_eq!(events[6]["passed"], false);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_gets_its_cursor_back() {
    let options = Options {
        terminal: true,
        ..Options::default()
    };
    let (_, text) = shown(options).await;
    let (hidden, shown) = (text.find("\u{1b}[?25l"), text.rfind("\u{1b}[?25h"));
    assert!(hidden.is_some() && hidden < shown);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_gets_ready_fails_in_time() {
    let options = Options::default();
    let machines = Machines::start(&options).await.unwrap();
    let (_party, bus) = line();
    let (_cloud, mut sources) = with_cloud(bus);
    let (director, mut out) = (machines.director(), Vec::new());
    let stop = CancellationToken::new();
    let summary = watch(&mut sources, &director, &options, stop, &mut out)
        .await
        .unwrap();
    assert!(!summary.passed);
    assert!(
        summary
            .machines
            .iter()
            .all(|verdict| verdict.injected_s.is_none())
    );
}
