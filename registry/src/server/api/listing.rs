//! Lists: the tags of a repository and what is about a manifest (end-8, end-12).
//!
//! Both come in pages; a `Link` leads to the next (OCI distribution-spec 1.1,
//! RFC 8288).

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use selvedge_artifact::{Descriptor, Index, media_type};
use serde_json::json;

use super::super::query::{Query, number};
use super::super::refusal::{Refusal, put};
use super::super::target::{Repository, given_digest};
use super::{Registry, blocking, only_read};

/// Tags on a page.
const TAGS_MAX: usize = 1000;
/// Bytes of a page of referrers: what clients take for a manifest at most (OCI
/// distribution-spec 1.1, "Listing Referrers").
const REFERRERS_BYTES_MAX: usize = 4 << 20;

impl Registry {
    pub(super) async fn tags(
        &self,
        parts: &Parts,
        repository: Repository<'_>,
    ) -> Result<Response, Refusal> {
        only_read(parts)?;
        let query = Query::parse(parts.uri.query())?;
        let count = match query.get("n")? {
            Some(text) => number(&text).ok_or(Refusal::Query("`n` is not a number"))?,
            None => TAGS_MAX as u64,
        };
        let count = usize::try_from(count).map_or(TAGS_MAX, |count| count.min(TAGS_MAX));
        let last = query.get("last")?.unwrap_or_default();

        let layout = self.layout.clone();
        let stored = blocking(move || layout.tags()).await?;
        let of_it = stored
            .into_iter()
            .filter(|stored| stored.repository == repository.as_str());
        let mut tags: Vec<String> = of_it.map(|stored| stored.tag.as_str().to_owned()).collect();
        if tags.is_empty() {
            return Err(Refusal::NameUnknown);
        }
        tags.sort_unstable();
        tags.retain(|tag| *tag > last);
        let more = tags.len() > count;
        tags.truncate(count);

        let body = json!({ "name": repository.as_str(), "tags": tags });
        let mut response = Response::new(Body::from(body.to_string()));
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, "application/json");
        if more && let Some(last) = tags.last() {
            let name = repository.as_str();
            let next = format!("</v2/{name}/tags/list?n={count}&last={last}>; rel=\"next\"");
            put(headers, header::LINK, &next);
        }
        Ok(response)
    }

    pub(super) async fn referrers(
        &self,
        parts: &Parts,
        repository: Repository<'_>,
        digest: &str,
    ) -> Result<Response, Refusal> {
        only_read(parts)?;
        let subject = given_digest(digest)?;
        let query = Query::parse(parts.uri.query())?;
        let kind = query.get("artifactType")?;
        let skipped = match query.get("skip")? {
            Some(text) => number(&text).ok_or(Refusal::Query("`skip` is not a number"))?,
            None => 0,
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);

        let layout = self.layout.clone();
        let index = blocking(move || layout.referrers(&subject)).await?;
        let mut found = index.manifests;
        if let Some(kind) = &kind {
            found.retain(|descriptor| descriptor.artifact_type.as_ref() == Some(kind));
        }
        let total = found.len();
        let page = page(found.into_iter().skip(skipped));
        let reached = skipped.saturating_add(page.len());

        let mut response = Response::new(Body::from(Index::new(page).to_bytes()));
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, media_type::INDEX);
        if kind.is_some() {
            let filters = HeaderValue::from_static("artifactType");
            headers.insert("oci-filters-applied", filters);
        }
        if reached < total {
            let name = repository.as_str();
            let kind = kind.map_or_else(String::new, |kind| {
                format!("&artifactType={}", encode(&kind))
            });
            let next = format!("/v2/{name}/referrers/{subject}?skip={reached}{kind}");
            put(headers, header::LINK, &format!("<{next}>; rel=\"next\""));
        }
        Ok(response)
    }
}

/// As many as fit a page, and at least one.
fn page(found: impl Iterator<Item = Descriptor>) -> Vec<Descriptor> {
    let mut bytes = 0;
    found
        .take_while(|descriptor| {
            let first = bytes == 0;
            bytes += serde_json::to_vec(descriptor).map_or(usize::MAX, |json| json.len() + 1);
            first || bytes < REFERRERS_BYTES_MAX - 256
        })
        .collect()
}

/// Percent-encodes what cannot stand in a query (RFC 3986, section 2).
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+".contains(&byte);
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use selvedge_artifact::{Descriptor, Index, media_type};

    use super::super::super::query::Query;
    use super::{REFERRERS_BYTES_MAX, encode, page};

    #[test]
    fn referrers_fit_their_pages_and_none_is_lost() {
        let all: Vec<Descriptor> = (0..3000_u32)
            .map(|number| {
                let mut descriptor = Descriptor::of(media_type::MANIFEST, &number.to_be_bytes());
                let annotation = ("a".to_owned(), "x".repeat(4000));
                descriptor.annotations.extend([annotation]);
                descriptor
            })
            .collect();
        let mut seen = Vec::new();
        while seen.len() < all.len() {
            let next = page(all.iter().skip(seen.len()).cloned());
            assert!(!next.is_empty());
            seen.extend(next.clone());
            assert!(Index::new(next).to_bytes().len() <= REFERRERS_BYTES_MAX);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn what_a_link_says_reads_back() {
        let kind = "application/vnd.a+json; x=\"\u{e9}&>\"";
        let query = format!("artifactType={}", encode(kind));
        let read = Query::parse(Some(&query)).unwrap().get("artifactType");
        assert_eq!(read.unwrap().as_deref(), Some(kind));
    }
}
