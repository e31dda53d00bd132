//! Timestamps of an authority that is asked over HTTP.
//!
//! The answer must be about what was asked. Whether the authority is trusted is
//! decided where the bundle is verified.

use sigstore_sign::tsa::{Error, TimestampClient};
use sigstore_verify::types::SignatureBytes;

use crate::service::{Service, ServiceError, client};

/// Bytes of a token. One with its certificates has about 6,000; a bundle with a
/// much larger one would be refused where it is verified.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// A token that `signature` exists now, as the authority at `url` says.
pub(super) async fn timestamp(url: &str, signature: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let http = client(&[(Service::Timestamp, url)], &[])?;
    let builder = TimestampClient::builder(url).with_http_client(http);
    let client = builder.build().map_err(error)?;
    let signature = SignatureBytes::from_bytes(signature);
    let token = client
        .timestamp_signature(&signature)
        .await
        .map_err(error)?;
    bounded(token.into_bytes())
}

fn bounded(token: Vec<u8>) -> Result<Vec<u8>, ServiceError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ServiceError::answer(Service::Timestamp, "more than 64 KiB"));
    }
    Ok(token)
}

/// What an error of the library means. It tells the status only in its text.
pub(crate) fn error(error: Error) -> ServiceError {
    let service = Service::Timestamp;
    match error {
        Error::Http(text) => match text.strip_prefix("TSA returned status ") {
            Some(status) => {
                let code = status.split(' ').next().and_then(|code| code.parse().ok());
                ServiceError::refused(service, code, status)
            }
            None => ServiceError::unreachable(service, &text),
        },
        other => ServiceError::answer(service, &other.to_string()),
    }
}

#[cfg(test)]
mod tests;
