use super::{DEAD_BYTES_MAX, LINES_MAX, Message, PAUSES_US, PLUGINS_MAX, Phase, Recorder, Watched};
use crate::deployment::report::DeploymentId;

fn line(plugin: &str, text: &str) -> Message {
    let topic = format!("$selvedge/log/{plugin}").parse().unwrap();
    let body = serde_json::json!({
        "level": "info", "context": "", "text": text, "dropped": 0,
    });
    Message::new(topic, body.to_string())
}

fn texts(recorder: &Recorder, plugin: Option<&str>, max: usize) -> Vec<String> {
    let (lines, _) = recorder.lines(plugin, max);
    lines.iter().map(|line| line.text.clone()).collect()
}

#[test]
fn lines_come_back_in_order_by_plugin_or_all() {
    let recorder = Recorder::default();
    for (plugin, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        recorder.take(&line(plugin, text));
    }
    assert_eq!(texts(&recorder, None, 3), ["2", "3", "4"]);
    assert_eq!(texts(&recorder, Some("a"), 10), ["1", "3"]);
    assert!(texts(&recorder, Some("c"), 10).is_empty());
}

#[test]
fn a_flood_of_lines_and_of_plugins_is_bounded() {
    let recorder = Recorder::default();
    for index in 0..LINES_MAX + 50 {
        recorder.take(&line("loud", &index.to_string()));
    }
    let kept = texts(&recorder, Some("loud"), usize::MAX);
    assert_eq!(kept.len(), LINES_MAX);
    assert_eq!(kept.first().unwrap(), "50");
    for index in 0..PLUGINS_MAX {
        recorder.take(&line(&format!("p{index}"), "x"));
    }
    assert_eq!(recorder.rings.lock().by_plugin.len(), PLUGINS_MAX);
    assert!(
        texts(&recorder, Some("loud"), 1).is_empty(),
        "silent longest"
    );
}

#[test]
fn a_large_dead_letter_is_kept_without_its_payload() {
    let recorder = Recorder::default();
    let topic = || "$selvedge/dead-letter/p".parse().unwrap();
    let mut large = Message::new(topic(), vec![0xff; DEAD_BYTES_MAX]);
    large.properties = [("dead-letter-topic", "in/x"), ("dead-letter-reason", "no")]
        .into_iter()
        .collect();
    recorder.take(&large);
    let (letters, _) = recorder.dead_letters(Some("p"), 10);
    let letter = letters.first().unwrap();
    assert_eq!((&*letter.message.topic, &*letter.reason), ("in/x", "no"));
    assert_eq!(
        (&letter.message.text, &letter.message.base64),
        (&None, &None)
    );
    let omitted = letter.message.properties.last().unwrap();
    assert_eq!(omitted.1, DEAD_BYTES_MAX.to_string());
}

#[test]
fn what_is_no_line_is_not_remembered() {
    let recorder = Recorder::default();
    let topic = || "$selvedge/log/p".parse().unwrap();
    for nonsense in ["", "{", "[]", "{\"level\":1}"] {
        recorder.take(&Message::new(topic(), nonsense));
    }
    assert!(texts(&recorder, None, 10).is_empty());
}

#[test]
fn each_deployment_counts_once_and_pauses_add_up() {
    let mut watched = Watched::default();
    for phase in [Phase::Swap, Phase::Committed, Phase::Committed] {
        watched.ended(DeploymentId(1), phase);
    }
    watched.ended(DeploymentId(2), Phase::RolledBack);
    assert_eq!(watched.outcomes.get("committed"), Some(&1));
    assert_eq!(watched.outcomes.get("rolled-back"), Some(&1));
    watched.pauses.add(300);
    watched.pauses.add(u64::MAX);
    watched.pauses.add(1);
    let [first, .., last] = watched.pauses.up_to;
    assert_eq!((first, last, watched.pauses.count), (1, 2, 3));
    assert!(PAUSES_US.is_sorted());
}
