use super::{Profile, UplinkConfig};

fn faults(text: &str) -> Vec<String> {
    let config: UplinkConfig = toml::from_str(text).unwrap();
    let faults = config.faults().into_iter();
    faults
        .map(|(field, text)| format!("{field}: {text}"))
        .collect()
}

#[test]
fn everything_that_is_wrong_is_named_with_its_place() {
    let text = "endpoint = \"example.com:x\"\nplain = true\nkey = \"k\"\nprofile = \"aws-iot-core\"\n\
        keep_alive_s = 20\nqueue.shares = { 8 = 50 }\nlimits.in_flight_max = 101\n\
        [[rules]]\nfilter = \"a/#\"\nto = \"x/{1}\"\npriority = 8\n\
        [[rules]]\nfilter = \"a/#\"\nprefix = \"x\"\nstrip = \"b/\"\n\
        [[rules]]\nfilter = \"a/#\"\ndirection = \"in\"\nprefix = \"$selvedge/\"";
    let expected = [
        "endpoint: `example.com:x` is not `host` or `host:port`",
        "plain: without TLS only a loopback address is reached",
        "key: `certificate` and `key` go together",
        "limits.in_flight_max: the target takes 1 to 100",
        "keep_alive_s: the target takes 30 to 1200",
        "queue.shares: expected a priority of 0 to 7 and 1 to 100 percent",
        "rules[0].priority: expected 0 to 7",
        "rules[0].to: the filter has nothing for `{1}`",
        "rules[1].prefix: it does not end with `/`",
        "rules[1].strip: the filter does not go on from it",
        "rules[2].filter: it leads to `$selvedge/a/#`, and `$` topics of this bus are the host's",
    ];
    assert_eq!(faults(text), expected);
    assert_eq!(
        faults("endpoint = \"e\""),
        ["endpoint: `ca` is missing: nobody would vouch for the target"]
    );
}

#[test]
fn what_would_come_back_is_refused_where_nothing_tells_it() {
    let text = "endpoint = \"e\"\nca = \"ca\"\n[[rules]]\nfilter = \"a/#\"\ndirection = \"both\"\n";
    assert_eq!(faults(text), [""; 0]);
    let found = faults(&format!("protocol = \"3.1.1\"\n{text}"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].ends_with("that takes `protocol = \"5\"`"),
        "{found:?}"
    );
}

#[test]
fn what_the_target_would_not_let_subscribe_is_refused() {
    let aws = "endpoint = \"e\"\nca = \"ca\"\nprofile = \"aws-iot-core\"\n";
    let rule = |filter: &str, direction: &str| {
        let rule = format!("[[rules]]\nfilter = \"{filter}\"\ndirection = \"{direction}\"\n");
        faults(&format!("{aws}{rule}"))
    };
    assert_eq!(rule("a/2/3/4/5/6/7/#", "in"), [""; 0]);
    assert_eq!(rule("$share/group/a/2/3/4/5/6/7/#", "in"), [""; 0]);
    assert_eq!(
        rule("a/2/3/4/5/6/7/8/#", "out"),
        [""; 0],
        "topics show that"
    );
    assert_eq!(
        rule("a/2/3/4/5/6/7/8/#", "in"),
        [
            "rules[0].filter: `a/2/3/4/5/6/7/8/#` is subscribed there, and the target takes 256 bytes and 8 levels"
        ]
    );
    assert_eq!(rule(&"x".repeat(257), "both").len(), 1);
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    let address = |endpoint: &str, plain| {
        let text = format!("endpoint = \"{endpoint}\"\nplain = {plain}");
        let config: UplinkConfig = toml::from_str(&text).unwrap();
        config.address().map(|(host, port)| (host.to_owned(), port))
    };
    let found = |host: &str, port| Some((host.to_owned(), port));
    assert_eq!(address("a.example", false), found("a.example", 8883));
    assert_eq!(address("a.example:443", false), found("a.example", 443));
    assert_eq!(address("127.0.0.1", true), found("127.0.0.1", 1883));
    assert_eq!(address("::1", true), found("::1", 1883));
    assert_eq!(address("[::1]:9", true), found("::1", 9));
    assert_eq!(address("", true), None);
    assert_eq!(address("a:70000", true), None);
}

#[test]
fn limits_may_only_be_lowered() {
    let text = "endpoint = \"e\"\nlimits = { messages_per_s = 10, bytes_per_s = 999999999 }";
    let config: UplinkConfig = toml::from_str(text).unwrap();
    let limits = config.limits.within(Profile::AwsIotCore);
    assert_eq!((limits.messages_per_s, limits.bytes_per_s), (10, 512 << 10));
    assert_eq!(limits.payload_bytes_max, 128 << 10);
}
