//! One request and its answer: what is read of HTTP/1.1, and what is said.
//!
//! Only the first line counts, for who asks is known by a certificate. Answers are
//! those of Greengrass discovery.

use serde_json::{Value, json};

use crate::names::PartyName;

/// Bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;
const PATH: &str = "/greengrass/discover/thing/";

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To be told about this device's gateway.
    Discovery(String),
    /// With another method than `GET`.
    Otherwise,
    /// About something else.
    Elsewhere,
    Nonsense,
}

/// Where the head ends, if it does.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let found = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    found.map(|start| start + 4)
}

/// What the head asks.
pub(super) fn asked(head: &[u8]) -> Asked {
    let line = head.split(|byte| *byte == b'\r').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Asked::Nonsense;
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method || !matches!(version, "HTTP/1.1" | "HTTP/1.0") || !path.starts_with('/') {
        return Asked::Nonsense;
    }
    match path.strip_prefix(PATH) {
        _ if method != "GET" => Asked::Otherwise,
        Some(name) => Asked::Discovery(name.to_owned()),
        None => Asked::Elsewhere,
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn new(status: &'static str, body: Value) -> Self {
        Self { status, body }
    }

    /// To who is no device, or asks about another.
    pub(super) fn forbidden() -> Self {
        Self::new("403 Forbidden", json!({ "message": null }))
    }

    pub(super) fn not_found() -> Self {
        let message = "The thing provided for discovery was not found";
        Self::new("404 Not Found", json!({ "errorMessage": message }))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let (status, body) = (self.status, self.body.to_string());
        let allow = match status.starts_with("405") {
            true => "allow: GET\r\n",
            false => "",
        };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{allow}connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// What who asks is told: `own` is the device whose certificate was shown, `told`
/// the whole answer.
pub(super) fn answer(
    asked: &Asked,
    own: Option<&PartyName>,
    told: impl FnOnce() -> Option<Value>,
) -> Answer {
    match (asked, own) {
        (Asked::Nonsense, _) => Answer::new("400 Bad Request", json!({ "message": null })),
        (_, None) => Answer::forbidden(),
        (Asked::Otherwise, Some(_)) => {
            Answer::new("405 Method Not Allowed", json!({ "message": null }))
        }
        (Asked::Elsewhere, Some(_)) => Answer::not_found(),
        (Asked::Discovery(name), Some(own)) if name != own.as_str() => Answer::forbidden(),
        (Asked::Discovery(_), Some(_)) => match told() {
            Some(body) => Answer::new("200 OK", body),
            None => Answer::not_found(),
        },
    }
}
