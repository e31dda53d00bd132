//! Answers, and the one way to read them.
//!
//! Every body is read through [`Answer::chunk`], which bounds bytes, silence and
//! slowness. What is compressed is refused: it was not asked for, and a small
//! answer could become a large one.

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use std::time::Duration;

use super::error::{ClientError, Said, quote};
use super::pace::{Meter, Pace};
use super::transport::classify;

/// Bytes of an error's body.
const ERROR_BYTES_MAX: u64 = 16 << 10;

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
    name: String,
    pace: Pace,
    meter: Meter,
    got: u64,
}

/// The error document of the distribution-spec ("Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    pub(super) fn new(response: Response, name: String, pace: Pace) -> Self {
        Self {
            response,
            name,
            pace,
            meter: Meter::new(pace),
            got: 0,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Where it came from, after redirects.
    pub(super) fn url(&self) -> &Url {
        self.response.url()
    }

    /// The length that it announces.
    pub(super) fn announced(&self) -> Option<u64> {
        let length = self
            .response
            .headers()
            .get(reqwest::header::CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }

    /// A header, if it is there and text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All values of a header that are text.
    pub(super) fn headers(&self, name: &HeaderName) -> impl Iterator<Item = &str> {
        let values = self.response.headers().get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    }

    /// A header of the distribution-spec, by its lower-case name.
    pub(super) fn oci_header(&self, name: &'static str) -> Option<&str> {
        self.header(&HeaderName::from_static(name))
    }

    /// Refuses what is not sent as it is.
    pub(super) fn check_encoding(&self) -> Result<(), ClientError> {
        let encodings = self.response.headers().get_all(CONTENT_ENCODING).iter();
        for encoding in encodings {
            let encoding = encoding.to_str().unwrap_or("?");
            if !encoding.eq_ignore_ascii_case("identity") {
                return Err(ClientError::Encoded {
                    name: self.name.clone(),
                    encoding: quote(encoding),
                });
            }
        }
        Ok(())
    }

    /// The next bytes of the body, `None` at its end.
    ///
    /// The caller stops when it has enough; nothing is read ahead but what the
    /// connection holds.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let next = tokio::time::timeout(self.pace.idle, self.response.chunk());
        let chunk = next.await.map_err(|_| ClientError::TimedOut {
            name: self.name.clone(),
            idle: self.pace.idle,
        })?;
        let chunk = chunk.map_err(|error| classify(error, &self.name, self.pace.idle))?;
        if let Some(bytes) = &chunk {
            self.got += bytes.len() as u64;
            self.meter.moved(bytes.len() as u64, &self.name)?;
        }
        Ok(chunk)
    }

    /// The whole body, of at most `bytes_max` bytes.
    pub(super) async fn all(
        mut self,
        what: &'static str,
        bytes_max: u64,
    ) -> Result<Bytes, ClientError> {
        self.check_encoding()?;
        let too_large = |name: &str| ClientError::TooLarge {
            name: name.to_owned(),
            what,
            max: format!("{bytes_max} bytes"),
        };
        if self.announced().is_some_and(|length| length > bytes_max) {
            return Err(too_large(&self.name));
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if self.got > bytes_max {
                return Err(too_large(&self.name));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// The error that this answer to a request for `what` is.
    pub(super) async fn refusal(self, what: impl Into<String>) -> ClientError {
        let (status, name) = (self.status(), self.name.clone());
        let retry_after = self.header(&RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let said = self.said().await;
        match status {
            StatusCode::UNAUTHORIZED => ClientError::Unauthorised { name, said },
            StatusCode::FORBIDDEN => ClientError::Denied { name, said },
            StatusCode::NOT_FOUND => ClientError::NotFound {
                name,
                what: what.into(),
                said,
            },
            StatusCode::TOO_MANY_REQUESTS => ClientError::RateLimited {
                name,
                retry_after,
                said,
            },
            status if status.is_server_error() => ClientError::Failing {
                name,
                status: status.as_u16(),
                retry_after,
                said,
            },
            status => ClientError::Refused {
                name,
                status: status.as_u16(),
                said,
            },
        }
    }

    /// What the registry says of an error; nothing if it does not say it as the
    /// distribution-spec asks, for pages of HTML help nobody.
    async fn said(self) -> Said {
        let Ok(body) = self.all("error", ERROR_BYTES_MAX).await else {
            return Said::default();
        };
        let Ok(document) = serde_json::from_slice::<Errors>(&body) else {
            return Said::default();
        };
        let entries = document.errors.iter().take(4);
        let entries = entries.map(|entry| match &entry.message {
            Some(message) => format!("{}: {message}", entry.code),
            None => entry.code.clone(),
        });
        Said::new(&entries.collect::<Vec<_>>().join(", "))
    }
}
