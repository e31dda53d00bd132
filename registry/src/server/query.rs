//! Queries and ranges of requests, parsed.
//!
//! A parameter that is not asked for is ignored, one that is given twice is
//! taken as it comes first. `+` stands for itself: it is part of media types.

use axum::http::{HeaderMap, HeaderName, header};

use super::refusal::Refusal;

/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 4096;

/// The query of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

/// Which bytes of a blob are asked for, within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from: u64,
    pub(super) length: u64,
}

impl<'a> Query<'a> {
    pub(super) fn parse(query: Option<&'a str>) -> Result<Self, Refusal> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Refusal::PathTooLong);
        }
        Ok(Self(query))
    }

    /// The value of a parameter, decoded.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut pairs = self.0.split('&');
        let value = pairs.find_map(|pair| match pair.split_once('=') {
            Some((found, value)) => (found == name).then_some(value),
            None => (pair == name).then_some(""),
        });
        value.map(decode).transpose()
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let pair = digit().zip(digit());
            let value = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            value.ok_or(Refusal::Query("a `%` without two hex digits"))?
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Query("it is not UTF-8"))
}

/// What `Range` asks for of `size` bytes (RFC 9110, section 14.2). `None`: all of
/// it, also for what is not understood or asks for several ranges.
pub(super) fn range(headers: &HeaderMap, size: u64) -> Result<Option<Slice>, Refusal> {
    // No answer has a validator, so there is none that `If-Range` could name.
    let conditional = headers.contains_key(header::IF_RANGE);
    let ask = text(headers, header::RANGE).filter(|_| !conditional);
    let Some(ask) = ask.and_then(|text| text.strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((first, last)) = ask.trim().split_once('-') else {
        return Ok(None);
    };
    let (from, to) = match (number(first), number(last)) {
        (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(size)),
        (Some(from), None) if last.is_empty() => (from, size),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Ok(None),
    };
    if from >= to {
        return Err(Refusal::Range { size });
    }
    Ok(Some(Slice {
        from,
        length: to - from,
    }))
}

/// What `Content-Range` says of a chunk: `<first>-<last>`, both within it (OCI
/// distribution-spec 1.1, "Pushing a blob in chunks"). `bytes ` may stand before
/// it and `/<size>` behind it, as HTTP itself would have it.
pub(super) fn content_range(headers: &HeaderMap) -> Result<Option<Slice>, Refusal> {
    if !headers.contains_key(header::CONTENT_RANGE) {
        return Ok(None);
    }
    let parse = || {
        let text = text(headers, header::CONTENT_RANGE)?;
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _)| range);
        let (first, last) = text.split_once('-')?;
        let (from, last) = (number(first)?, number(last)?);
        let length = last.checked_sub(from)?.checked_add(1)?;
        Some(Slice { from, length })
    };
    let invalid = Refusal::UploadInvalid("its `Content-Range` is none");
    parse().map(Some).ok_or(invalid)
}

/// What `Content-Length` says, if it is there.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH).and_then(number)
}

/// A header, if it is there and readable.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Digits alone: no sign, no spaces.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Query, Slice, content_range, range};

    fn of(value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).unwrap();
        let names = [header::RANGE, header::CONTENT_RANGE];
        names
            .map(|name| (name, value.clone()))
            .into_iter()
            .collect()
    }

    fn slice(from: u64, length: u64) -> Option<Slice> {
        Some(Slice { from, length })
    }

    #[test]
    fn ranges_are_cut_to_the_blob() {
        let ask = |text: &str| range(&of(text), 10);
        assert_eq!(ask("bytes=2-4").unwrap(), slice(2, 3));
        assert_eq!(ask("bytes=2-99").unwrap(), slice(2, 8));
        assert_eq!(ask("bytes=9-").unwrap(), slice(9, 1));
        assert_eq!(ask("bytes=-3").unwrap(), slice(7, 3));
        assert_eq!(ask("bytes=-99").unwrap(), slice(0, 10));
        for whole in [
            "bytes=4-2",
            "bytes=1-2,4-5",
            "lines=1-2",
            "bytes=",
            "bytes=+1-2",
        ] {
            assert_eq!(ask(whole).unwrap(), None, "{whole}");
        }
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert!(ask(beyond).is_err(), "{beyond}");
        }
        assert!(range(&of("bytes=0-"), 0).is_err());
        assert_eq!(
            range(&of("bytes=0-18446744073709551615"), 10).unwrap(),
            slice(0, 10)
        );
    }

    #[test]
    fn chunks_say_where_they_belong() {
        let said = |text: &str| content_range(&of(text));
        assert_eq!(said("0-9").unwrap(), slice(0, 10));
        assert_eq!(said("bytes 5-9/20").unwrap(), slice(5, 5));
        for wrong in ["", "-9", "9", "9-5", "a-b", "0-18446744073709551615"] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        assert_eq!(content_range(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn parameters_are_decoded_once() {
        let query = Query::parse(Some("a=1&digest=sha256%3Aab&t=x%2Fy+json&bad=%4&n")).unwrap();
        let get = |name| query.get(name).ok();
        assert_eq!(get("digest"), Some(Some("sha256:ab".to_owned())));
        assert_eq!(get("t"), Some(Some("x/y+json".to_owned())));
        assert_eq!(get("n"), Some(Some(String::new())));
        assert_eq!(get("none"), Some(None));
        assert_eq!(get("bad"), None);
    }
}
