use std::net::IpAddr;

use proptest::prelude::{any, proptest};
use serde_json::json;

use super::gateway::reachable;
use super::http::{Asked, answer, asked, end};
use crate::names::PartyName;

fn get(path: &str) -> Asked {
    asked(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
}

#[test]
fn a_device_is_told_about_itself_and_nobody_else() {
    let oven: PartyName = "oven".parse().unwrap();
    let status = |asked: &Asked, own| answer(asked, own, || Some(json!({}))).status;
    let own = get("/greengrass/discover/thing/oven");
    assert_eq!(own, Asked::Discovery("oven".into()));
    assert_eq!(status(&own, Some(&oven)), "200 OK");
    assert_eq!(status(&own, None), "403 Forbidden");
    let nothing = answer(&own, Some(&oven), || None);
    assert_eq!(nothing.status, "404 Not Found");
    for other in [
        "press",
        "",
        "oven/",
        "oven?",
        "%6fven",
        "OVEN",
        "oven/../press",
    ] {
        let asked = get(&format!("/greengrass/discover/thing/{other}"));
        assert_eq!(status(&asked, Some(&oven)), "403 Forbidden", "{other}");
    }
    assert_eq!(status(&get("/"), Some(&oven)), "404 Not Found");
    let post = asked(b"POST /greengrass/discover/thing/oven HTTP/1.1\r\n\r\n");
    assert_eq!(status(&post, Some(&oven)), "405 Method Not Allowed");
    for nonsense in [
        "",
        "GET",
        "GET / HTTP/2.0",
        "get / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET x HTTP/1.1",
    ] {
        let asked = asked(format!("{nonsense}\r\n\r\n").as_bytes());
        assert_eq!(asked, Asked::Nonsense, "{nonsense}");
        assert_eq!(status(&asked, Some(&oven)), "400 Bad Request");
    }
}

#[test]
fn an_answer_says_how_long_it_is() {
    let oven: PartyName = "oven".parse().unwrap();
    let own = get("/greengrass/discover/thing/oven");
    let text = answer(&own, Some(&oven), || Some(json!({ "ü": 1 }))).bytes();
    let start = end(&text).unwrap();
    let head = std::str::from_utf8(&text[..start]).unwrap();
    let length = format!("content-length: {}\r\n", text.len() - start);
    assert!(head.contains(&length), "{head}");
}

#[test]
fn addresses_are_told_by_which_others_reach_the_broker() {
    let check = |bound: &str, expected: &[&str]| {
        let own = ["127.0.0.1", "10.0.0.7", "::1", "fd00::7"];
        let own = own.map(|address| address.parse::<IpAddr>().unwrap());
        let told = reachable(bound.parse().unwrap(), own.into_iter());
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected);
    };
    check("0.0.0.0", &["10.0.0.7"]);
    check("::", &["10.0.0.7", "fd00::7"]);
    check("127.0.0.1", &["127.0.0.1"]);
    check("10.0.0.7", &["10.0.0.7"]);
    let alone = ["127.0.0.1".parse().unwrap()];
    let told = reachable("0.0.0.0".parse().unwrap(), alone.into_iter());
    assert_eq!(told, alone);
}

proptest! {
    #[test]
    fn whatever_is_asked_is_answered(head in any::<Vec<u8>>()) {
        let oven: PartyName = "oven".parse().unwrap();
        let asked = asked(&head);
        let answer = answer(&asked, Some(&oven), || None);
        assert!(!answer.bytes().is_empty());
    }
}
