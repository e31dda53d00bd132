//! An answer of JSON values, one a line, for as long as it lasts.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use reqwest::Response;
use tokio::time::timeout;

use super::{Answer, HostError};

/// Bytes of a line: the largest message of a bus, written in escapes.
const LINE_BYTES_MAX: usize = 32 << 20;

/// Silence after which nobody is there: a host that has nothing to say sends
/// blank lines.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The values of a stream.
#[derive(Debug)]
pub(in crate::cli) struct Lines {
    response: Response,
    at: String,
    split: Split,
}

impl Lines {
    pub(super) fn new(response: Response, at: String) -> Self {
        Self {
            response,
            at,
            split: Split::default(),
        }
    }

    /// The next value; none at the end. May be dropped while it waits.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Answer>, HostError> {
        loop {
            if let Some(line) = self.split.line() {
                return self.value(&line).map(Some);
            }
            if self.split.waiting.len() > LINE_BYTES_MAX {
                return Err(HostError::TooLarge {
                    at: self.at.clone(),
                    bytes_max: LINE_BYTES_MAX,
                });
            }
            let silent = |_| HostError::TimedOut {
                at: self.at.clone(),
            };
            let chunk = timeout(SILENCE_MAX, self.response.chunk()).await;
            let chunk = chunk.map_err(silent)?;
            match chunk.map_err(|error| HostError::of(error, &self.at))? {
                Some(chunk) => self.split.waiting.extend_from_slice(&chunk),
                None => {
                    let last = self.split.rest();
                    return last.map(|line| self.value(&line)).transpose();
                }
            }
        }
    }

    fn value(&self, line: &[u8]) -> Result<Answer, HostError> {
        let json = serde_json::from_slice(line);
        let json = json.map_err(|error| HostError::nonsense(&self.at, &error))?;
        let at = self.at.clone();
        Ok(Answer { json, at })
    }
}

/// Bytes on their way to lines.
#[derive(Debug, Default)]
struct Split {
    waiting: BytesMut,
    /// So many of them hold no end of a line.
    seen: usize,
}

impl Split {
    /// The next whole line that is not blank.
    fn line(&mut self) -> Option<Bytes> {
        loop {
            let unseen = self.waiting.get(self.seen..)?;
            let Some(end) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.seen = self.waiting.len();
                return None;
            };
            let line = self.waiting.split_to(self.seen + end).freeze();
            self.waiting.advance(1);
            self.seen = 0;
            // A blank line says no more than that someone is there.
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// A last line without an end.
    fn rest(&mut self) -> Option<Bytes> {
        self.seen = 0;
        let line = self.waiting.split().freeze();
        (!line.trim_ascii().is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::Split;

    #[test]
    fn lines_are_found_wherever_the_parts_end() {
        let text = b"{\"a\":1}\n\n \r\n[2]\n3";
        for part in 1..=text.len() {
            let mut split = Split::default();
            let mut lines = Vec::new();
            for bytes in text.chunks(part) {
                split.waiting.extend_from_slice(bytes);
                while let Some(line) = split.line() {
                    lines.push(String::from_utf8(line.into()).unwrap());
                }
            }
            lines.extend(
                split
                    .rest()
                    .map(|line| String::from_utf8(line.into()).unwrap()),
            );
            assert_eq!(lines, ["{\"a\":1}", "[2]", "3"], "parts of {part}");
            assert_eq!(split.rest(), None);
        }
    }
}
