use std::collections::BTreeMap;

use super::{Before, Failing, Fare, Judge, Watched};
use crate::deployment::document::probation::Probation;
use crate::names::PluginName;

const RULES: Probation = Probation {
    seconds: 10,
    dead_letters_max: 2,
    model_failures_max: 2,
};

fn a() -> PluginName {
    "a".parse().unwrap()
}

fn watched(predecessor: Option<Before>) -> Watched {
    Watched {
        inbox_messages_max: 100,
        inbox_bytes_max: 1_000,
        blocks: true,
        predecessor,
    }
}

/// What is said of one plugin that fares so, look by look.
fn check(watched: Watched, fares: &[Fare]) -> Option<Failing> {
    let one = |fare| BTreeMap::from([(a(), fare)]);
    let begin = fares.first().copied().unwrap_or_default();
    let mut judge = Judge::new(RULES, BTreeMap::from([(a(), watched)]), one(begin));
    let looks = fares.iter().map(|fare| judge.look(&one(*fare)));
    looks.flatten().next()
}

fn full() -> Fare {
    Fare {
        inbox_messages: 81,
        ..Fare::default()
    }
}

#[test]
fn one_that_fares_well_stays() {
    let busy = Fare {
        inbox_messages: 80,
        inbox_bytes: 800,
        dead_letters_total: 7,
        dropped_total: 7,
        rate_limited_total: 7,
        looped_total: 7,
    };
    // Totals of before the swap are not its own.
    assert_eq!(check(watched(None), &[busy; 20]), None);
}

#[test]
fn an_inbox_that_is_full_most_of_the_time_is_too_slow() {
    let slow = Some(Failing::Slow { plugin: a() });
    assert_eq!(check(watched(Some(Before::default())), &[full(); 11]), slow);
    assert_eq!(check(watched(None), &[full(); 11]), slow);
    assert_eq!(check(watched(None), &[full(); 10]), None);
    let by_bytes = Fare {
        inbox_bytes: 801,
        ..Fare::default()
    };
    assert_eq!(check(watched(None), &[by_bytes; 11]), slow);
    let now_and_then: Vec<_> = (0..20)
        .map(|look| {
            if look % 2 == 0 {
                full()
            } else {
                Fare::default()
            }
        })
        .collect();
    assert_eq!(check(watched(None), &now_and_then), None);
    // Its predecessor was no faster, or it may drop.
    let as_before = Before {
        full: true,
        ..Before::default()
    };
    assert_eq!(check(watched(Some(as_before)), &[full(); 20]), None);
    let drops = Watched {
        blocks: false,
        ..watched(None)
    };
    assert_eq!(check(drops, &[full(); 20]), None);
}

#[test]
fn what_drops_though_its_predecessor_did_not_is_too_slow() {
    let dropping = |count| Fare {
        dropped_total: count,
        ..Fare::default()
    };
    let fares = [dropping(5), dropping(8)];
    let failing = Failing::Drops {
        plugin: a(),
        count: 3,
    };
    assert_eq!(
        check(watched(Some(Before::default())), &fares),
        Some(failing)
    );
    let as_before = Before {
        dropped: true,
        ..Before::default()
    };
    assert_eq!(check(watched(Some(as_before)), &fares), None);
}

#[test]
fn a_plugin_that_feeds_itself_is_named() {
    let looping = Fare {
        looped_total: 1,
        ..Fare::default()
    };
    let flooding = Fare {
        rate_limited_total: 1,
        ..Fare::default()
    };
    let begin = Fare::default();
    let failing = check(watched(None), &[begin, looping]).unwrap();
    assert_eq!(failing.code(), "topics-form-a-cycle");
    assert!(failing.to_string().contains("`a`"));
    let failing = check(watched(None), &[begin, flooding]).unwrap();
    assert_eq!(failing.code(), "plugin-floods");
    let as_before = Before {
        flooded: true,
        ..Before::default()
    };
    assert_eq!(
        check(watched(Some(as_before)), &[begin, looping, flooding]),
        None
    );
}

#[test]
fn dead_letters_are_tolerated_up_to_their_bound() {
    let dead = |count| Fare {
        dead_letters_total: count,
        ..Fare::default()
    };
    assert_eq!(check(watched(None), &[dead(1), dead(3)]), None);
    let failing = check(watched(None), &[dead(1), dead(4)]).unwrap();
    assert_eq!(failing.code(), "too-many-dead-letters");
    // Those of a plugin that nobody changed are not counted.
    let mut judge = Judge::new(RULES, BTreeMap::new(), BTreeMap::new());
    assert_eq!(judge.look(&BTreeMap::from([(a(), dead(99))])), []);
}
