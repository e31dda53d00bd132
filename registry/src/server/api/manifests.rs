//! Manifests and indexes: pulled, put and removed by tag or digest (end-3,
//! end-7, end-9).
//!
//! What a manifest must be and what it may name is decided by the store.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use selvedge_artifact::{Descriptor, Digest, Tag, media_type};
use serde::Deserialize;

use super::super::query::text;
use super::super::refusal::{Refusal, put};
use super::super::target::{Name, Repository};
use super::{Asked, Registry, blocking, located, name};

/// Bytes of a manifest (OCI distribution-spec 1.1, "Pushing Manifests").
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// What is looked at before the store looks at all of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Glimpse {
    media_type: Option<String>,
    subject: Option<Descriptor>,
}

impl Registry {
    pub(super) async fn manifest(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
        text: &str,
    ) -> Result<Response, Refusal> {
        match asked.parts.method {
            Method::GET | Method::HEAD => self.find(repository, Name::wanted(text)?).await,
            Method::PUT => self.put(asked, repository, Name::given(text)?).await,
            Method::DELETE => self.remove(repository, Name::wanted(text)?).await,
            _ => Err(Refusal::Method),
        }
    }

    async fn find(&self, repository: Repository<'_>, wanted: Name) -> Result<Response, Refusal> {
        let layout = self.layout.clone();
        let repository = repository.as_str().to_owned();
        let find = move || {
            let digest = match wanted {
                Name::Digest(digest) => digest,
                Name::Tag(tag) => match layout.resolve(&repository, &tag)? {
                    Some(descriptor) => descriptor.digest,
                    None => return Ok(None),
                },
            };
            layout.manifest(&digest)
        };
        let found = blocking(find).await?;
        let (descriptor, bytes) = found.ok_or(Refusal::ManifestUnknown)?;
        let mut response = Response::new(Body::from(bytes));
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, &descriptor.media_type);
        name(&mut response, &descriptor.digest);
        Ok(response)
    }

    async fn put(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
        given: Name,
    ) -> Result<Response, Refusal> {
        let turn = self.manifests.acquire().await;
        let bytes = asked.body.all(MANIFEST_BYTES_MAX).await?;
        let subject = glimpse(&asked.parts.headers, &bytes)?;
        let tag = match given {
            Name::Tag(tag) => Some(tag),
            Name::Digest(digest) if digest == Digest::of(&bytes) => None,
            Name::Digest(_) => return Err(Refusal::DigestMismatch),
        };
        let layout = self.layout.clone();
        let owner = repository.as_str().to_owned();
        let keep = move || {
            let name = tag.as_ref().map(|tag: &Tag| (owner.as_str(), tag));
            layout.put_manifest(&bytes, name)
        };
        let descriptor = blocking(keep).await?;
        drop(turn);
        let digest = descriptor.digest;
        let location = format!("/v2/{}/manifests/{digest}", repository.as_str());
        let mut response = located(StatusCode::CREATED, &location, Some(&digest));
        if let Some(subject) = subject
            && let Ok(subject) = HeaderValue::from_str(&subject.digest.to_string())
        {
            response.headers_mut().insert("oci-subject", subject);
        }
        Ok(response)
    }

    async fn remove(&self, repository: Repository<'_>, wanted: Name) -> Result<Response, Refusal> {
        let layout = self.layout.clone();
        let repository = repository.as_str().to_owned();
        let remove = move || match wanted {
            Name::Digest(digest) => layout.delete_manifest(&digest),
            Name::Tag(tag) => layout.untag(&repository, &tag),
        };
        if !blocking(remove).await? {
            return Err(Refusal::ManifestUnknown);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }
}

/// Checks that the bytes are announced as what they are, and finds their subject.
fn glimpse(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Descriptor>, Refusal> {
    let announced = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let announced = announced.split(';').next().unwrap_or_default().trim();
    if announced != media_type::MANIFEST && announced != media_type::INDEX {
        let reason = "its `Content-Type` is neither that of an OCI manifest nor of an OCI index";
        return Err(Refusal::ManifestInvalid(reason));
    }
    let glimpse: Glimpse = serde_json::from_slice(bytes)
        .map_err(|_| Refusal::ManifestInvalid("it is not well formed"))?;
    match glimpse.media_type {
        Some(found) if found != announced => Err(Refusal::ManifestInvalid(
            "its `Content-Type` is not its `mediaType`",
        )),
        _ => Ok(glimpse.subject),
    }
}
