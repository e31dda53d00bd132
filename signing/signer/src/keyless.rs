//! Signs with a short-lived certificate (Fulcio) instead of a key that must be
//! kept.
//!
//! The key lives for one signature. What the services answer is put into the
//! bundle as it is: whether certificate, log entry and timestamp hold is for the
//! verifier to say, with a trusted root that nobody here chose.

use bytes::Bytes;
use jiff::Timestamp;
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::rekor::RekorApiVersion;
use sigstore_sign::{Error, Signer, SigningContext, SigningServices, fulcio, rekor};

use crate::SignError;
use crate::service::{Said, Service, ServiceError, client};
use crate::timestamp::remote;

/// Bytes of an identity token.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// A sigstore instance. Every address is `https`, or `http` on this machine.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The certificate authority.
    pub fulcio: String,
    /// The transparency log.
    pub rekor: String,
    /// Whether the log speaks version 2 of its protocol.
    pub rekor_v2: bool,
    /// The timestamp authority; needed with version 2.
    pub timestamp: Option<String>,
}

/// An identity at an instance. Its token is never printed.
#[derive(Debug)]
pub struct KeylessSigner {
    signer: Signer,
    expires: Timestamp,
}

impl KeylessSigner {
    /// Signs as whom `token` (OpenID Connect) names. Certificates of the
    /// instance's servers are checked against the system's roots and `roots` (PEM).
    ///
    /// # Errors
    ///
    /// If the token is none or expired, or the instance cannot be used.
    pub fn new(instance: Instance, token: &str, roots: &[Vec<u8>]) -> Result<Self, SignError> {
        let token = token.trim();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SignError::TokenMalformed);
        }
        let token = IdentityToken::from_jwt(token).map_err(|_| SignError::TokenMalformed)?;
        let expires = token.expiration();

        let mut addresses = vec![
            (Service::Fulcio, instance.fulcio.as_str()),
            (Service::Rekor, &instance.rekor),
        ];
        addresses.extend(
            instance
                .timestamp
                .iter()
                .map(|url| (Service::Timestamp, url.as_str())),
        );
        let http = client(&addresses, roots)?;

        let services = services(&instance);
        services.validate().map_err(sign_error)?;
        let context = SigningContext::new(services).with_http_client(http);
        let signer = Self {
            signer: context.signer(token),
            expires,
        };
        signer.check_token()?;
        Ok(signer)
    }

    /// Signs a statement: a sigstore bundle v0.3 with certificate and log entry.
    ///
    /// # Errors
    ///
    /// If the token expired meanwhile, or a service does not answer or refuses.
    pub async fn sign(&self, statement: &[u8]) -> Result<Bytes, SignError> {
        self.check_token()?;
        // On the heap: the future of three protocols is large.
        let signed = Box::pin(self.signer.sign_raw_statement(statement)).await;
        let bundle = signed.map_err(sign_error)?;
        Ok(bundle.to_json().expect("bundles are plain data").into())
    }

    /// The certificate authority would refuse it too, but would not say so as
    /// plainly.
    fn check_token(&self) -> Result<(), SignError> {
        if self.expires <= Timestamp::now() {
            let expired = self.expires;
            return Err(SignError::TokenExpired { expired });
        }
        Ok(())
    }
}

fn services(instance: &Instance) -> SigningServices {
    // The library puts `/api` behind it.
    let base = |url: &str| url.trim_end_matches('/').to_owned();
    let version = match instance.rekor_v2 {
        true => RekorApiVersion::V2,
        false => RekorApiVersion::V1,
    };
    let rekor = base(&instance.rekor);
    let mut services =
        SigningServices::new(base(&instance.fulcio), &rekor).with_rekor(&rekor, version);
    if let Some(timestamp) = &instance.timestamp {
        services = services.with_tsa_url(timestamp);
    }
    services
}

fn sign_error(error: Error) -> SignError {
    match error {
        Error::Config(_) => SignError::Instance {
            reason: "a log of version 2 needs a timestamp authority",
        },
        Error::InvalidStatement(source) => SignError::Statement { source },
        Error::Crypto(_) | Error::Fulcio(fulcio::Error::Signing(_)) => SignError::Randomness,
        Error::Fulcio(error) => fulcio_error(&error).into(),
        Error::Rekor(error) => rekor_error(&error).into(),
        Error::Tsa(error) => remote::error(error).into(),
        other => SignError::Bundle {
            source: Said::new(&other.to_string()),
        },
    }
}

fn fulcio_error(error: &fulcio::Error) -> ServiceError {
    let service = Service::Fulcio;
    match error {
        fulcio::Error::Http(text) => ServiceError::unreachable(service, text),
        fulcio::Error::Status { status, message } => {
            ServiceError::refused(service, Some(*status), message)
        }
        other => ServiceError::answer(service, &other.to_string()),
    }
}

fn rekor_error(error: &rekor::Error) -> ServiceError {
    let service = Service::Rekor;
    match error {
        rekor::Error::Http(text) => ServiceError::unreachable(service, text),
        rekor::Error::Status { status, message } => {
            ServiceError::refused(service, Some(*status), message)
        }
        other => ServiceError::answer(service, &other.to_string()),
    }
}

#[cfg(test)]
mod tests;
