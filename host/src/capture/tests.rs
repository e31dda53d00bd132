//! What waits is bounded, and what makes room is told.

use std::collections::BTreeMap;

use super::{Auxiliary, Capture, CaptureId, Captured, Outcome};
use crate::bus::{Bus, BusLimits};
use crate::inference::ModelSet;
use crate::names::ModelName;
use crate::spec::CaptureOptions;

fn captured(id: &str, bytes: usize) -> Captured {
    Captured {
        model: "press".parse().unwrap(),
        digest: None,
        id: Some(id.parse().unwrap()),
        time_ns: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        auxiliary: vec![Auxiliary {
            name: "photo".to_owned(),
            content_type: String::new(),
            data: vec![0; bytes].into(),
        }],
    }
}

/// One that brings nothing out.
fn capture() -> Capture {
    let options = toml::from_str("fraction = 0\nper_s_max = 100000").unwrap();
    let name: ModelName = "press".parse().unwrap();
    let asked = BTreeMap::<_, CaptureOptions>::from([(name, options)]);
    let capture = Capture::new(&Bus::new(BusLimits::default()), None);
    capture.apply(&ModelSet::default(), &asked);
    capture
}

fn outcome(capture: &Capture, id: &str) -> Option<Outcome> {
    capture.outcome(&id.parse::<CaptureId>().unwrap())
}

#[test]
fn the_oldest_records_make_room_in_number_and_in_bytes() {
    let capture = capture();
    for number in 0..300 {
        let id = format!("small-{number}");
        capture.submit(captured(&id, 10)).unwrap();
    }
    let status = capture.status();
    assert_eq!((status.waiting.records, status.dropped_total), (256, 44));
    assert_eq!(outcome(&capture, "small-43"), Some(Outcome::Dropped));
    assert_eq!(outcome(&capture, "small-44"), Some(Outcome::Queued));
    for number in 0..10 {
        let id = format!("large-{number}");
        capture.submit(captured(&id, 3 << 20)).unwrap();
    }
    let status = capture.status();
    assert!(status.waiting.bytes <= 16 << 20, "{status:?}");
    assert_eq!(outcome(&capture, "small-299"), Some(Outcome::Dropped));
    assert_eq!(outcome(&capture, "large-0"), Some(Outcome::Dropped));
    assert_eq!(outcome(&capture, "large-9"), Some(Outcome::Queued));
}

#[test]
fn a_fraction_is_from_nought_to_one() {
    for text in ["-0.1", "1.1", "nan", "inf"] {
        let read = toml::from_str::<CaptureOptions>(&format!("fraction = {text}"));
        assert!(read.is_err(), "{text}");
    }
    let read: CaptureOptions = toml::from_str("fraction = 0.01").unwrap();
    assert_eq!(read.fraction.ppm(), 10_000);
    assert!(toml::from_str::<CaptureOptions>("").is_err());
}
