use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::ceilings::Ceilings;
use super::fault::{Checked, Faults};
use super::place::Place;
use super::source::Source;
use super::{Document, Site};
use crate::names::Digest;

fn check(text: impl Into<Vec<u8>>) -> Result<Checked<Document>, Faults> {
    let source = Source::new(Path::new("press.toml"), text.into());
    let source = source.map_err(|fault| Faults(vec![fault]))?;
    let site = Site {
        ceilings: Ceilings::default(),
        message_bytes_max: 1 << 20,
        shipped: BTreeMap::from([("modbus".parse().unwrap(), Digest::of(b"modbus"))]),
        plugin_directories: Vec::new(),
        uplinks: ["cloud".parse().unwrap()].into(),
    };
    Document::check(&Arc::new(source), &site)
}

fn refused(text: impl Into<Vec<u8>>) -> String {
    check(text).unwrap_err().to_string()
}

const GOOD: &str = r#"name = "press-line"
version = "1.0.0"
[plugins.modbus]
component = "shipped:modbus"
config.rate = 2.5
config.since = 1979-05-27T07:32:00Z
config.units = [{ id = 1 }, { id = 0x7f, "a.b" = [true, "x"] }]
grants.publish = ["telemetry/#"]
grants.subscribe = [
    "command/press/#",
    "$share/g/feature/+",
]
[plugins.modbus.limits]
call_ms_max = 50
"#;

#[test]
fn a_good_document_holds_what_was_written() {
    let checked = check(GOOD).unwrap();
    assert_eq!(checked.warnings, []);
    let document = checked.value;
    assert_eq!(document.name.as_str(), "press-line");
    let plugin = document.plugins.values().next().unwrap();
    let expected = serde_json::json!({
        "rate": 2.5,
        "since": "1979-05-27T07:32:00Z",
        "units": [{ "id": 1 }, { "id": 127, "a.b": [true, "x"] }],
    });
    assert_eq!(serde_json::Value::from(plugin.config.clone()), expected);
    assert_eq!(plugin.limits.call_ms_max.get(), 50);
    assert_eq!(plugin.limits.retries_max, 3);
    assert_eq!(plugin.grants.subscribe.len(), 2);
}

#[test]
fn each_part_is_found_where_it_was_written() {
    let document = check(GOOD).unwrap().value;
    let plugin = document.plugins.keys().next().unwrap();
    let none = "none".parse().unwrap();
    for (place, expected) in [
        (Place::Version, "2:11"),
        (Place::Plugin(plugin), "3:10"),
        (Place::PluginField(plugin, "component"), "4:13"),
        (Place::Config(plugin, "since"), "6:16"),
        (Place::Grant(plugin, "subscribe", Some(1)), "11:5"),
        (Place::Grant(plugin, "subscribe", None), "9:20"),
        (Place::Limit(plugin, "call_ms_max"), "14:15"),
        // What was not written is at what was written around it.
        (Place::Limit(plugin, "retries_max"), "13:17"),
        (Place::Grant(plugin, "tcp", Some(0)), "8:1"),
        (Place::Model(&none), "1:1"),
    ] {
        let found = document.place_of(place).to_string();
        assert_eq!(found, format!("press.toml:{expected}"), "{place:?}");
    }
}

#[test]
fn columns_are_counted_in_characters() {
    let start = "name = \"a\"\nversion = \"1.0.0\"\n";
    let faults = refused(format!("{start}models = {{ 'ü' = {{}}, \"ä\" = 1 }}\n"));
    assert!(
        faults.contains("press.toml:3:12: error: `ü` is not a name"),
        "{faults}"
    );
    let wrong = "press.toml:3:28: error: `ä` is an integer";
    assert!(faults.contains(wrong), "{faults}");
}

#[test]
fn numbers_that_json_cannot_say_are_refused() {
    let text = GOOD.replace("2.5", "[nan, -inf, 99999999999999999999]");
    let faults = check(text).unwrap_err().0;
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn what_is_not_utf8_is_refused_at_its_place() {
    let faults = refused(*b"a = 1\nb = \"\xc3\xa4\xff\"");
    assert_eq!(faults, "press.toml:2:7: error: file is not UTF-8 text");
}

#[test]
fn large_files_are_refused() {
    let mut text = GOOD.to_owned();
    text.push_str(&"#".repeat((1 << 20) - text.len()));
    assert!(check(text.clone()).is_ok());
    text.push('#');
    let expected = "press.toml:1:1: error: file is larger than 1048576 bytes";
    assert_eq!(refused(text), expected);
}

#[test]
fn deep_files_are_refused_on_a_small_stack() {
    let keys = "a.".repeat(79) + "a";
    let inline = format!("{{ {keys} = ").repeat(79);
    let texts = [
        format!("x = {}", "[".repeat(500_000)),
        format!("x = {}{}", "[".repeat(33), "]".repeat(33)),
        format!("x = {inline}1{}", "}".repeat(79)),
        format!("{keys} = 1"),
        format!("[{keys}]"),
        format!("[[{keys}]]\n{keys} = [[{{ {keys} = [[1]] }}]]"),
        format!("{}a = 1", "a.".repeat(300_000)),
    ];
    let deep = move || {
        for text in &texts {
            let faults = refused(text.as_str());
            let start: String = text.chars().take(20).collect();
            assert!(faults.contains("nested deeper than 32 levels"), "{start}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(deep).unwrap().join().unwrap();
}

#[test]
fn files_as_deep_as_allowed_are_read() {
    let value = format!("{}{}", "[".repeat(32), "]".repeat(32));
    assert!(refused(format!("x = {value}")).contains("unknown field `x`"));
    let value = format!("{}{}", "[".repeat(20), "]".repeat(20));
    assert!(check(GOOD.replace("2.5", &value)).is_ok());
}

#[test]
fn faults_are_bounded_in_number_and_length() {
    let lines: String = (0..20_000).map(|key| format!("k{key} = 1\n")).collect();
    assert_eq!(check(lines).unwrap_err().0.len(), 100);
    let long = format!("{} = 1\n", "k".repeat(1 << 19));
    let faults = check(long).unwrap_err().0;
    assert!(faults.iter().all(|fault| fault.to_string().len() < 2_000));
    let filters = vec!["\"a\\u0000\""; 20_000].join(", ");
    let text = GOOD.replace("\"telemetry/#\"", &filters);
    assert_eq!(check(text).unwrap_err().0.len(), 100);
}

#[test]
fn quoted_text_cannot_steer_the_terminal() {
    let text = "\"\\u001b[2J\\u202e\" = 1\nname = \"\\u001b[31m\"\n";
    let faults = refused(text);
    assert!(!faults.contains(['\u{1b}', '\u{202e}']), "{faults:?}");
    let unknown = "unknown field `\\u{1b}[2J\\u{202e}`";
    assert!(faults.contains(unknown), "{faults}");
}

/// Text that is almost a document.
fn almost() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[plugins.a]\n",
        "[[plugins]]\n",
        "[plugins.a.grants]\n",
        "[models.m]\n",
        "component = ",
        "publish = ",
        "limits = ",
        "config = ",
        "call_ms_max = ",
        "name = ",
        "a.b.c = ",
        "\"\\u0000\" = ",
        "\"a/#/b\"",
        "['x', 1, {}]",
        "{ a = 1, b = [nan] }",
        "99999999999999999999999999999999999999999999",
        "0xffffffffffffffff",
        "-0",
        "1e400",
        "1979-05-27",
        "\"\"\"",
        "'",
        "\n",
        "\r",
        "ü",
        "\0",
        "#",
        ",",
        "=",
        "}",
        "]",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// Whatever the text, faults are in order and within it.
fn assert_placed(text: &[u8]) {
    let Err(Faults(faults)) = check(text) else {
        return;
    };
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| fault.location.line <= lines));
    assert!(faults.is_sorted_by_key(|fault| &fault.location));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        assert_placed(&bytes);
    }

    #[test]
    fn any_almost_document_is_read_or_refused(text in almost()) {
        assert_placed(text.as_bytes());
    }

    #[test]
    fn a_damaged_document_is_read_or_refused(at in 0..GOOD.len(), to in any::<u8>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = to;
        assert_placed(&bytes);
    }

    #[test]
    fn a_document_cut_short_is_read_or_refused(end in 0..GOOD.len()) {
        assert_placed(&GOOD.as_bytes()[..end]);
    }
}

#[test]
fn a_plugin_does_not_have_the_name_of_an_uplink() {
    let text = GOOD.replace("plugins.modbus", "plugins.cloud");
    let told = refused(text);
    assert!(
        told.contains("plugin `cloud` has the name of an uplink of the host"),
        "{told}"
    );
}
