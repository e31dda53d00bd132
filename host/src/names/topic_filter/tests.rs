use proptest::prelude::*;

use super::{Topic, TopicFilter};

fn filter(text: &str) -> TopicFilter {
    text.parse().unwrap()
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

/// What a filter matches and what it does not.
fn check(text: &str, matched: &[&str], unmatched: &[&str]) {
    let filter = filter(text);
    for name in matched {
        assert!(filter.matches(&topic(name)), "`{text}` matches `{name}`");
    }
    for name in unmatched {
        assert!(!filter.matches(&topic(name)), "`{text}` passes `{name}` by");
    }
}

#[test]
fn the_multi_level_wildcard_matches_as_in_section_4_7_1_2() {
    check(
        "sport/tennis/player1/#",
        &[
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
        &[
            "sport/tennis",
            "sport/tennis/player10",
            "sport/tennis/player2",
        ],
    );
    check(
        "sport/#",
        &["sport", "sport/", "sport/a/b"],
        &["sports", "/sport"],
    );
    check("#", &["a", "/", "a/b/c", "/a"], &["$SYS", "$SYS/a"]);
    check("sport/tennis/#", &["sport/tennis"], &["sport"]);
}

#[test]
fn the_single_level_wildcard_matches_as_in_section_4_7_1_3() {
    check(
        "sport/tennis/+",
        &[
            "sport/tennis/player1",
            "sport/tennis/player2",
            "sport/tennis/",
        ],
        &["sport/tennis/player1/ranking", "sport/tennis"],
    );
    check("sport/+", &["sport/"], &["sport"]);
    check("+", &["a"], &["/finance", "a/b", "$SYS"]);
    check("+/+", &["/finance"], &["finance", "a/b/c"]);
    check("/+", &["/finance"], &["finance"]);
    check("+/tennis/#", &["a/tennis", "/tennis/x"], &["tennis"]);
    check(
        "sport/+/player1",
        &["sport/a/player1", "sport//player1"],
        &["sport/player1"],
    );
}

#[test]
fn dollar_topics_are_passed_by_as_in_section_4_7_2() {
    check(
        "+/monitor/Clients",
        &["a/monitor/Clients"],
        &["$SYS/monitor/Clients"],
    );
    check("$SYS/#", &["$SYS", "$SYS/monitor/Clients"], &["SYS/a"]);
    check(
        "$SYS/monitor/+",
        &["$SYS/monitor/Clients"],
        &["$SYS/monitor"],
    );
    check("a/#", &["a/$SYS"], &[]);
    check("a/+", &["a/$SYS"], &[]);
}

#[test]
fn names_compare_as_in_section_4_7_3() {
    check("ACCOUNTS", &["ACCOUNTS"], &["Accounts"]);
    check("Accounts payable", &["Accounts payable"], &[]);
    check("/finance", &["/finance"], &["finance", "finance/"]);
    check("a//b", &["a//b"], &["a/b"]);
}

#[test]
fn misplaced_wildcards_are_refused() {
    for text in [
        "sport/tennis#",
        "sport/tennis/#/ranking",
        "sport+",
        "a/b+",
        "+a/b",
        "##",
        "#/",
    ] {
        assert!(text.parse::<TopicFilter>().is_err(), "{text}");
    }
    for text in [
        "sport/tennis/#",
        "#",
        "+",
        "+/tennis/#",
        "sport/+/player1",
        "/+",
        "/#",
        "+/+",
    ] {
        assert!(text.parse::<TopicFilter>().is_ok(), "{text}");
    }
}

#[test]
fn lengths_and_characters_are_bounded_as_for_topics() {
    for text in ["", "a\0", "a\u{1f}", "\u{fdd0}/#", "+/\u{ffff}"] {
        assert!(text.parse::<TopicFilter>().is_err(), "{text:?}");
    }
    assert!("a".repeat(1024).parse::<TopicFilter>().is_ok());
    assert!("a".repeat(1025).parse::<TopicFilter>().is_err());
}

#[test]
fn shared_subscriptions_parse_as_in_section_4_8_2() {
    let shared = filter("$share/consumer1/sport/tennis/+");
    assert_eq!(shared.group(), Some("consumer1"));
    assert_eq!(shared.filter(), "sport/tennis/+");
    assert_eq!(shared.as_str(), "$share/consumer1/sport/tennis/+");
    assert_ne!(shared, filter("sport/tennis/+"));
    check(
        "$share/consumer1/sport/tennis/+",
        &["sport/tennis/a"],
        &["sport/tennis"],
    );
    check("$share/g//finance", &["/finance"], &["finance"]);
    check("$share/g/#", &["a"], &["$SYS/a", "$share/g/a"]);
    check("$share/g/$SYS/#", &["$SYS/a"], &[]);

    for text in [
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/g+/a",
        "$share/#/a",
    ] {
        assert!(text.parse::<TopicFilter>().is_err(), "{text}");
    }
    // Without the slash it is a name like any other.
    assert_eq!(filter("$share").group(), None);
    assert_eq!(filter("$shared/g/a").group(), None);
    assert_eq!(filter("a").group(), None);
}

#[test]
fn covering_is_known_on_the_edges() {
    let covered = [
        ("#", "#"),
        ("#", "a/+/b"),
        ("+/#", "#"),
        ("#", "+/#"),
        ("a/#", "a"),
        ("a/#", "a/#"),
        ("a/+", "a/b"),
        ("a/+/#", "a/+/b/#"),
        ("$SYS/#", "$SYS/a"),
        ("a/#", "$share/g/a/b"),
        ("+", "+"),
    ];
    for (wide, narrow) in covered {
        assert!(
            filter(wide).covers(&filter(narrow)),
            "`{wide}` covers `{narrow}`"
        );
    }
    let uncovered = [
        ("#", "$SYS/a"),
        ("+/#", "$SYS/#"),
        ("+", "$SYS"),
        ("a/+", "a/#"),
        ("a/+/#", "a/#"),
        ("+/+/#", "#"),
        ("a", "a/#"),
        ("a", "+"),
        ("a/b", "a/+"),
        ("a/b", "a"),
        ("a", "a/b"),
    ];
    for (narrow, wide) in uncovered {
        assert!(
            !filter(narrow).covers(&filter(wide)),
            "`{narrow}` leaves out some of `{wide}`"
        );
    }
}

/// The rules of section 4.7 written down anew, by recursion over the levels.
fn matches_by_the_book(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches_by_the_book(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => {
            level == name && matches_by_the_book(filter, topic)
        }
        _ => false,
    }
}

fn reference(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    matches_by_the_book(&filter, &topic)
}

fn topics() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$s"]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("one byte at least", |text| !text.is_empty())
}

fn filters() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$s", "+", "+"]);
    (prop::collection::vec(level, 0..4), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            if hash || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
        .prop_filter("one byte at least", |text| !text.is_empty())
}

/// Every topic of up to four levels over names that tell filters apart.
fn universe() -> Vec<Topic> {
    let names = ["a", "b", "", "$s", "other"];
    let mut all: Vec<String> = Vec::new();
    let mut longest: Vec<String> = names.map(str::to_owned).to_vec();
    for _ in 0..5 {
        all.extend(longest.iter().cloned());
        longest = longest
            .iter()
            .flat_map(|head| names.map(|name| format!("{head}/{name}")))
            .collect();
    }
    all.iter().filter_map(|text| text.parse().ok()).collect()
}

proptest! {
    #[test]
    fn matching_agrees_with_the_book(text in filters(), name in topics()) {
        prop_assert_eq!(filter(&text).matches(&topic(&name)), reference(&text, &name));
        let shared = filter(&format!("$share/g/{text}"));
        prop_assert_eq!(shared.matches(&topic(&name)), reference(&text, &name));
    }

    #[test]
    fn parsing_never_panics_and_reads_back(text in "\\PC{0,12}|[$a+#/]{0,8}|\\$share/[a+#/]{0,6}") {
        if let Ok(filter) = text.parse::<TopicFilter>() {
            prop_assert_eq!(filter.as_str(), text);
        }
    }
}

#[test]
fn covering_agrees_with_the_topics_matched() {
    let universe = universe();
    let runner = &mut proptest::test_runner::TestRunner::deterministic();
    for _ in 0..400 {
        let mut draw = || {
            let tree = filters().new_tree(runner).unwrap();
            filter(&proptest::strategy::ValueTree::current(&tree))
        };
        let (one, other) = (draw(), draw());
        let all = universe
            .iter()
            .all(|topic| !other.matches(topic) || one.matches(topic));
        assert_eq!(one.covers(&other), all, "`{one}` and `{other}`");
    }
}

/// Against the meaning, with all short filters and topics over a few levels.
#[test]
fn filters_overlap_if_and_only_if_a_topic_matches_both() {
    let paths = |levels: &[&str]| {
        let mut paths: Vec<String> = levels.iter().map(ToString::to_string).collect();
        let mut longest = paths.clone();
        for _ in 0..2 {
            let longer = longest.iter();
            let longer =
                longer.flat_map(|path| levels.iter().map(move |level| format!("{path}/{level}")));
            longest = longer.collect();
            paths.extend(longest.clone());
        }
        paths
    };
    let filters = paths(&["a", "$b", "+", "#"]);
    let filters: Vec<TopicFilter> = filters
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    // One level that no filter names, and topics longer than any filter.
    let mut topics = paths(&["a", "$b", "x"]);
    topics.extend(topics.clone().iter().map(|topic| format!("{topic}/x")));
    let topics: Vec<Topic> = topics.iter().map(|text| topic(text)).collect();
    for one in &filters {
        for other in &filters {
            let met = topics
                .iter()
                .any(|topic| one.matches(topic) && other.matches(topic));
            assert_eq!(one.overlaps(other), met, "{one} and {other}");
        }
    }
}
