use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Statement, StatementError};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "a", "digest": { "sha256": HEX } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": { "builder": { "id": "b" }, "numbers": [1, -1, 1.5, true, null] },
    })
}

fn parse(statement: &Value) -> Result<Statement, StatementError> {
    Statement::parse(statement.to_string().as_bytes())
}

#[test]
fn what_is_not_text_is_refused_even_where_it_is_ignored() {
    let mut json = statement();
    json["subject"][0]["name"] = "?".into();
    assert!(parse(&json).is_ok());
    let bytes = json.to_string().replace("\"?\"", "\"\u{7f}\"").into_bytes();
    let bytes: Vec<u8> = bytes
        .iter()
        .map(|b| if *b == 0x7f { 0xff } else { *b })
        .collect();
    let refused = Statement::parse(&bytes);
    assert!(
        matches!(refused, Err(StatementError::Malformed(_))),
        "{refused:?}"
    );
}

#[test]
fn both_types_of_statement_are_read() {
    for kind in super::STATEMENT_TYPES {
        let mut json = statement();
        json["_type"] = kind.into();
        let read = parse(&json).unwrap();
        assert_eq!(read.subjects, [format!("sha256:{HEX}").parse().unwrap()]);
        assert_eq!(read.predicate_type, "https://slsa.dev/provenance/v1");
        assert_eq!(read.predicate, statement()["predicate"]);
    }
}

#[test]
fn a_statement_of_another_type_is_refused() {
    for kind in [
        "",
        "https://in-toto.io/Statement/v2",
        "https://in-toto.io/Link/v1",
    ] {
        let mut json = statement();
        json["_type"] = kind.into();
        assert!(
            matches!(parse(&json), Err(StatementError::Type(_))),
            "{kind}"
        );
    }
}

#[test]
fn a_missing_predicate_is_an_empty_one_and_anything_but_an_object_is_refused() {
    let mut json = statement();
    json.as_object_mut().unwrap().remove("predicate");
    assert_eq!(parse(&json).unwrap().predicate, json!({}));
    for predicate in [json!([]), json!("a"), json!(1)] {
        json["predicate"] = predicate;
        assert!(matches!(parse(&json), Err(StatementError::Malformed(_))));
    }
}

#[test]
fn subjects_without_sha256_do_not_count() {
    let mut json = statement();
    json["subject"] = json!([{ "digest": { "sha512": "00", "gitCommit": "00" } },
        { "digest": { "sha256": HEX } }, { "digest": {} }]);
    assert_eq!(parse(&json).unwrap().subjects.len(), 1);
    for subjects in [json!([]), json!([{ "digest": { "sha512": "00" } }])] {
        json["subject"] = subjects;
        assert!(matches!(parse(&json), Err(StatementError::NoSubject)));
    }
}

#[test]
fn a_digest_has_one_spelling() {
    for digest in [
        HEX.to_uppercase(),
        format!("sha256:{HEX}"),
        HEX[2..].to_owned(),
    ] {
        let mut json = statement();
        json["subject"][0]["digest"]["sha256"] = digest.into();
        assert!(matches!(parse(&json), Err(StatementError::Digest(_))));
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    let text = statement().to_string();
    for (from, to) in [
        (
            "\"_type\"",
            "\"_type\":\"https://in-toto.io/Statement/v1\",\"_type\"",
        ),
        (
            "\"predicateType\"",
            "\"predicateType\":\"x\",\"predicateType\"",
        ),
        ("\"subject\"", "\"subject\":[],\"subject\""),
        ("\"sha256\"", "\"sha256\":\"00\",\"sha256\""),
        ("\"predicate\":", "\"predicate\":{},\"predicate\":"),
        ("\"id\"", "\"id\":\"other\",\"id\""),
        ("\"id\"", "\"i\\u0064\":\"other\",\"id\""),
    ] {
        let twice = text.replacen(from, to, 1);
        assert_ne!(twice, text, "{from}");
        let error = Statement::parse(twice.as_bytes()).unwrap_err();
        assert!(
            matches!(error, StatementError::Malformed(_)),
            "{from}: {error}"
        );
    }
}

#[test]
fn a_statement_is_bounded() {
    let large = vec![b' '; super::STATEMENT_BYTES_MAX + 1];
    assert!(matches!(
        Statement::parse(&large),
        Err(StatementError::TooLarge(_))
    ));

    let mut json = statement();
    json["subject"] = vec![json["subject"][0].clone(); 101].into();
    assert!(matches!(
        parse(&json),
        Err(StatementError::TooManySubjects(101))
    ));
    json["subject"].as_array_mut().unwrap().pop();
    assert_eq!(parse(&json).unwrap().subjects.len(), 100);

    for predicate_type in [String::new(), "a\u{7}".to_owned(), "a".repeat(1025)] {
        json["predicateType"] = predicate_type.into();
        assert!(matches!(
            parse(&json),
            Err(StatementError::PredicateType(_))
        ));
    }

    let deep = format!("{}{}", "{\"a\":".repeat(200), "1").replace('1', &"}".repeat(200));
    let deep = statement().to_string().replace("{\"id\":\"b\"}", &deep);
    assert!(matches!(
        Statement::parse(deep.as_bytes()),
        Err(StatementError::Malformed(_))
    ));
}

#[test]
fn an_error_does_not_repeat_what_it_read_at_length() {
    let mut json = statement();
    json["subject"] = "\u{1b}[2J".repeat(10_000).into();
    let error = parse(&json).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.len() < 1000 && !cause.chars().any(char::is_control),
        "{cause}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
        let mut bytes = statement().to_string().into_bytes();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        if let Ok(read) = Statement::parse(&bytes) {
            prop_assert!(!read.subjects.is_empty());
        }
    }
}
