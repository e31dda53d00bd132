use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::line::Line;
use super::{Batch, Gatherer};
use crate::bus::Message;
use crate::cloud::config::{LineLevel, LogsConfig};

fn gatherer(more: &str, now: Instant) -> Gatherer {
    let config: LogsConfig = toml::from_str(&format!("topic = \"logs/gw\"\n{more}")).unwrap();
    let mut gatherer = Gatherer::new(&config, now);
    gatherer.connected(true);
    gatherer
}

fn line(text: &str) -> Line {
    Line {
        at: Timestamp::UNIX_EPOCH,
        source: "window".to_owned(),
        level: LineLevel::Error,
        text: text.to_owned(),
        dropped: 0,
    }
}

fn lines(batch: &Batch) -> Vec<Value> {
    let text = std::str::from_utf8(&batch.payload).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn lines_leave_together_in_order_when_the_first_has_waited() {
    let now = Instant::now();
    let mut gatherer = gatherer("batch_s_max = 5", now);
    gatherer.add(&line("one"), now);
    gatherer.add(&line("two"), now + Duration::from_secs(4));
    assert_eq!(gatherer.take(now + Duration::from_secs(4)), None);
    let batch = gatherer.take(now + Duration::from_secs(5)).unwrap();
    let texts: Vec<_> = lines(&batch)
        .iter()
        .map(|line| line["text"].clone())
        .collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(gatherer.due(), None);
}

#[test]
fn what_is_less_severe_is_left_out_and_not_counted() {
    let now = Instant::now();
    let mut gatherer = gatherer("level = \"error\"", now);
    let level = LineLevel::Warn;
    gatherer.add(
        &Line {
            level,
            ..line("no")
        },
        now,
    );
    assert_eq!((gatherer.take_all(), gatherer.dropped_total), (None, 0));
}

#[test]
fn no_batch_is_larger_than_it_may_be_whatever_is_logged() {
    let now = Instant::now();
    let mut gatherer = gatherer("batch_bytes_max = 4096\nlines_per_s_max = 100000", now);
    let (mut taken, mut told) = (0, 0);
    for index in 0..500_usize {
        let text = "\u{1}\"\\\u{1F600}".repeat(index * 7);
        gatherer.add(&line(&text), now);
        while let Some(batch) = gatherer.take(now) {
            assert!(batch.payload.len() <= 4096, "{}", batch.payload.len());
            taken += batch.lines;
            told += lines(&batch).len() as u64;
        }
    }
    taken += gatherer.take_all().map_or(0, |batch| batch.lines);
    assert_eq!(taken, 500);
    assert!(told > 0);
}

#[test]
fn what_is_dropped_is_counted_by_its_reason_and_said_in_the_stream() {
    let now = Instant::now();
    let check = |more: &str, add: &dyn Fn(&mut Gatherer), reason: &str, count: u64| {
        let mut gatherer = gatherer(more, now);
        add(&mut gatherer);
        let batch = gatherer.take_all().unwrap();
        let first = &lines(&batch)[0];
        assert_eq!(first["dropped"][reason], count, "{first}");
        assert_eq!(first["source"], "selvedge");
        assert_eq!(gatherer.dropped_total, count);
        assert_eq!(gatherer.take_all(), None, "it is said once");
    };
    let many = |gatherer: &mut Gatherer| (0..30).for_each(|_| gatherer.add(&line("x"), now));
    check("lines_per_s_max = 20", &many, "rate", 10);
    let size = line("x").json(4096).len() + 1;
    check(&format!("day_bytes_max = {}", size * 25), &many, "day", 5);
    let away = |gatherer: &mut Gatherer| {
        gatherer.connected(false);
        many(gatherer);
    };
    check(&format!("disk_bytes_max = {}", size * 29), &away, "disk", 1);
    let lossy = |gatherer: &mut Gatherer| {
        let dropped = 7;
        gatherer.add(
            &Line {
                dropped,
                ..line("x")
            },
            now,
        );
    };
    check("", &lossy, "source", 7);
    let refused = |gatherer: &mut Gatherer| {
        many(gatherer);
        let batch = gatherer.take_all().unwrap();
        gatherer.refused(&batch, now);
    };
    check("", &refused, "queue", 30);
}

#[test]
fn a_second_gives_back_what_may_be_sent_and_so_does_a_day() {
    let now = Instant::now();
    let mut gatherer = gatherer("lines_per_s_max = 1\nday_bytes_max = 400", now);
    for second in 0..3 {
        gatherer.add(&line("x"), now + Duration::from_secs(second));
    }
    assert_eq!(gatherer.dropped_total, 0);
    for second in 3..100 {
        gatherer.add(&line("x"), now + Duration::from_secs(second));
    }
    assert!(gatherer.dropped_total > 90);
    let before = gatherer.dropped_total;
    gatherer.add(&line("x"), now + Duration::from_secs(90_000));
    assert_eq!(gatherer.dropped_total, before);
}

#[test]
fn lines_are_read_from_the_bus_and_garbage_is_none() {
    let message = |topic: &str, payload: &str| {
        Message::new(topic.parse().unwrap(), payload.as_bytes().to_vec())
    };
    let read = |topic: &str, payload: &str| Line::of(&message(topic, payload));
    let log = "$selvedge/log/window";
    let line = read(
        log,
        r#"{"level":"warn","context":"c","text":"t","dropped":2}"#,
    )
    .unwrap();
    assert_eq!(
        (&*line.source, line.level, &*line.text, line.dropped),
        ("window", LineLevel::Warn, "c: t", 2)
    );
    let line = read(
        "$selvedge/state/uplink-aws",
        r#"{"state":"backing-off","error":"no"}"#,
    )
    .unwrap();
    assert_eq!(
        (&*line.source, line.level, &*line.text),
        ("selvedge", LineLevel::Warn, "uplink-aws backing-off: no")
    );
    for (topic, payload) in [
        (log, "{"),
        (log, "[]"),
        ("$selvedge/deployment", "{}"),
        ("a/b", "{}"),
    ] {
        assert_eq!(read(topic, payload), None);
    }
    let mut kept = message("$selvedge/state/x", r#"{"state":"running"}"#);
    kept.retain = true;
    assert_eq!(Line::of(&kept), None);
}
