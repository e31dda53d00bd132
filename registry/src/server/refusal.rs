//! Why a request is refused, and how that is said (OCI distribution-spec 1.1,
//! "Error Codes").
//!
//! Nothing that the client sent is repeated, and nothing of the store's inner
//! life is told.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

/// What a client is challenged with (RFC 7617, section 2).
const CHALLENGE: &str = r#"Basic realm="selvedge", charset="UTF-8""#;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is nothing at this path")]
    NoSuchPath,
    #[error("the path is too long")]
    PathTooLong,
    #[error("this method is not for this path")]
    Method,
    #[error("only HTTP/1.1 is spoken here")]
    Version,
    #[error("the query is not well formed: {0}")]
    Query(&'static str),
    #[error("this registry is read-only")]
    ReadOnly,
    #[error("credentials are needed")]
    Unauthorized,
    #[error("the repository name is none")]
    NameInvalid,
    #[error("there is no such repository")]
    NameUnknown,
    #[error("the digest is none that is known here; only sha256 is")]
    DigestInvalid,
    #[error("the bytes are not what the digest says")]
    DigestMismatch,
    #[error("there is no such blob")]
    BlobUnknown,
    #[error("the blob is part of a manifest")]
    BlobInUse,
    #[error("the range is not within the blob")]
    Range { size: u64 },
    #[error("there is no such manifest")]
    ManifestUnknown,
    #[error("the manifest cannot be used: {0}")]
    ManifestInvalid(&'static str),
    #[error("the manifest names a blob that is not here")]
    ManifestBlobUnknown,
    #[error("there is no such upload")]
    UploadUnknown,
    #[error("the upload cannot go on: {0}")]
    UploadInvalid(&'static str),
    #[error("another request is at this upload")]
    UploadBusy,
    #[error("the chunk does not begin where the last one ended")]
    OutOfOrder { location: String, size: u64 },
    #[error("the length is not what was announced")]
    LengthMismatch,
    #[error("at most {0} bytes are taken")]
    TooLarge(u64),
    #[error("too many uploads are under way")]
    TooMany,
    #[error("the body did not arrive in time")]
    Late,
    #[error("the body broke off")]
    BrokenOff,
    #[error("the registry is stopping")]
    Stopping,
    #[error("the store is busy")]
    Busy,
    #[error("the store is full")]
    Full,
    #[error("the store does not do what it should")]
    Store,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath
            | Self::NameUnknown
            | Self::BlobUnknown
            | Self::ManifestUnknown
            | Self::UploadUnknown => StatusCode::NOT_FOUND,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::Method | Self::ReadOnly => StatusCode::METHOD_NOT_ALLOWED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Query(_)
            | Self::NameInvalid
            | Self::DigestInvalid
            | Self::DigestMismatch
            | Self::ManifestInvalid(_)
            | Self::ManifestBlobUnknown
            | Self::UploadInvalid(_)
            | Self::LengthMismatch
            | Self::BrokenOff => StatusCode::BAD_REQUEST,
            Self::BlobInUse | Self::UploadBusy => StatusCode::CONFLICT,
            Self::Range { .. } | Self::OutOfOrder { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Stopping | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The specification's name for it; what it has none for is `UNKNOWN`, as
    /// other registries say it.
    fn code(&self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::UploadInvalid(_) | Self::UploadBusy | Self::OutOfOrder { .. } => {
                "BLOB_UPLOAD_INVALID"
            }
            Self::UploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid | Self::DigestMismatch => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid(_) => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::LengthMismatch | Self::TooLarge(_) | Self::Range { .. } => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::BlobInUse | Self::Full => "DENIED",
            Self::ReadOnly
            | Self::Method
            | Self::Version
            | Self::NoSuchPath
            | Self::PathTooLong
            | Self::Query(_) => "UNSUPPORTED",
            Self::TooMany => "TOOMANYREQUESTS",
            Self::Late | Self::BrokenOff | Self::Stopping | Self::Busy | Self::Store => "UNKNOWN",
        }
    }

    pub(super) fn into_response(self) -> Response {
        let body = json!({ "errors": [{ "code": self.code(), "message": self.to_string() }] });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        match &self {
            Self::Unauthorized => put(headers, header::WWW_AUTHENTICATE, CHALLENGE),
            Self::Range { size } => {
                put(headers, header::CONTENT_RANGE, &format!("bytes */{size}"));
            }
            Self::OutOfOrder { location, size } => {
                put(headers, header::LOCATION, location);
                put(headers, header::RANGE, &received(*size));
            }
            // The rest of the body is not read, so nothing can follow it.
            Self::TooLarge(_) | Self::Late | Self::BrokenOff | Self::Stopping => {
                put(headers, header::CONNECTION, "close");
            }
            Self::TooMany | Self::Busy => put(headers, header::RETRY_AFTER, "10"),
            _ => {}
        }
        response
    }
}

/// What of an upload is there, as the specification's `Range` says it. It has no
/// way to say "nothing"; `0-0` is what other registries answer.
pub(super) fn received(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

/// Sets a header. What cannot stand in one is left out; nothing that clients
/// send gets here unparsed.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
