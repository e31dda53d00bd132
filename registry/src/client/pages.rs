//! Lists in pages (OCI distribution-spec 1.1, "Listing Tags" and "Listing
//! Referrers"): follows `Link` within the registry, for a bounded number of pages.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::{ACCEPT, LINK};
use selvedge_artifact::{Descriptor, Index, Tag, media_type};
use serde::Deserialize;

use super::Client;
use super::documents::{DOCUMENT_BYTES_MAX, unusable};
use super::error::ClientError;
use super::place::Place;
use super::transport::Ask;

/// Pages of one list.
const PAGES_MAX: usize = 128;
/// Tags asked for at once.
const TAGS_PER_PAGE: usize = 1000;
/// Tags of a repository.
const TAGS_MAX: usize = 10_000;
/// Bytes of a page of tags.
const TAGS_BYTES_MAX: u64 = 1 << 20;
/// Referrers of one artifact that are listed.
const LISTED_MAX: usize = 10_000;

#[derive(Deserialize)]
struct TagList {
    /// `null` where there are none, in several registries.
    tags: Option<Vec<String>>,
}

/// What is asked for page by page.
struct Pages {
    what: &'static str,
    bytes_max: u64,
    accept: &'static str,
}

impl Client {
    /// All tags of a repository. What is no tag is left out.
    pub(super) async fn all_tags(&self, place: &Place) -> Result<Vec<Tag>, ClientError> {
        let mut url = place.url("tags/list");
        url.set_query(Some(&format!("n={TAGS_PER_PAGE}")));
        let pages = Pages {
            what: "list of tags",
            bytes_max: TAGS_BYTES_MAX,
            accept: "application/json",
        };
        let mut tags = Vec::new();
        let mut next = Some(url);
        for _ in 0..PAGES_MAX {
            let Some(url) = next else {
                return Ok(tags);
            };
            let page;
            (page, next) = self.page(place, url, &pages).await?;
            let list: TagList =
                serde_json::from_slice(&page).map_err(|_| ClientError::Malformed {
                    name: place.name(),
                    what: "its list of tags is none",
                })?;
            let page = list.tags.unwrap_or_default();
            tags.extend(page.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
            if tags.len() > TAGS_MAX {
                break;
            }
        }
        if next.is_none() && tags.len() <= TAGS_MAX {
            return Ok(tags);
        }
        Err(too_many(place, pages.what, TAGS_MAX))
    }

    /// The registry's own list of referrers. `None` if it has no such list.
    ///
    /// Not filtered there, for types are matched by prefix here; so it does not
    /// matter whether `OCI-Filters-Applied` comes back.
    pub(super) async fn listed_referrers(
        &self,
        place: &Place,
        subject: &str,
    ) -> Result<Option<Vec<Descriptor>>, ClientError> {
        let pages = Pages {
            what: "list of referrers",
            bytes_max: DOCUMENT_BYTES_MAX,
            accept: media_type::INDEX,
        };
        let mut referrers = Vec::new();
        let mut next = Some(place.url(&format!("referrers/{subject}")));
        for number in 0..PAGES_MAX {
            let Some(url) = next else {
                return Ok(Some(referrers));
            };
            let page;
            (page, next) = match self.page(place, url, &pages).await {
                Err(error) if number == 0 && is_unsupported(&error) => return Ok(None),
                page => page?,
            };
            let page = Index::parse(&page).map_err(|source| unusable(place, source))?;
            referrers.extend(page.manifests);
            if referrers.len() > LISTED_MAX {
                break;
            }
        }
        if next.is_none() && referrers.len() <= LISTED_MAX {
            return Ok(Some(referrers));
        }
        Err(too_many(place, pages.what, LISTED_MAX))
    }

    async fn page(
        &self,
        place: &Place,
        url: Url,
        pages: &Pages,
    ) -> Result<(Bytes, Option<Url>), ClientError> {
        let mut tries = self.inner.transport.tries();
        loop {
            match self.page_once(place, &url, pages).await {
                Err(error) => tries.wait(error).await?,
                done => return done,
            }
        }
    }

    async fn page_once(
        &self,
        place: &Place,
        url: &Url,
        pages: &Pages,
    ) -> Result<(Bytes, Option<Url>), ClientError> {
        let ask = Ask::get(url.clone()).with(ACCEPT, pages.accept);
        let answer = self.inner.transport.send(place, &ask, &|_| ()).await?;
        if answer.status() != StatusCode::OK {
            return Err(answer.refusal(pages.what).await);
        }
        let next = match answer.headers(&LINK).find_map(next_of) {
            Some(target) => Some(same_host(place, answer.url(), target)?),
            None => None,
        };
        let bytes = answer.all(pages.what, pages.bytes_max).await?;
        Ok((bytes, next))
    }
}

/// A list is the registry's own: no page of it is elsewhere.
fn same_host(place: &Place, from: &Url, target: &str) -> Result<Url, ClientError> {
    let next = place.step(from, target)?;
    if place.holds(&next) {
        return Ok(next);
    }
    Err(ClientError::Malformed {
        name: place.name(),
        what: "the next page of a list is on another host",
    })
}

/// Whether this means that there is no such list, not that it is empty.
fn is_unsupported(error: &ClientError) -> bool {
    match error {
        ClientError::NotFound { .. } => true,
        ClientError::Refused { status, .. } => *status == 405,
        _ => false,
    }
}

fn too_many(place: &Place, what: &'static str, entries: usize) -> ClientError {
    ClientError::TooLarge {
        name: place.name(),
        what,
        max: format!("{entries} entries or {PAGES_MAX} pages"),
    }
}

/// The target of `<target>; rel="next"` (RFC 8288), as far as registries use it.
fn next_of(link: &str) -> Option<&str> {
    link.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim();
            let value = parameter.strip_prefix("rel=").unwrap_or_default();
            value.trim_matches('"').eq_ignore_ascii_case("next")
        });
        next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn the_next_page_is_found() {
        for (link, next) in [
            (
                "</v2/a/b/tags/list?n=1&last=x>; rel=\"next\"",
                Some("/v2/a/b/tags/list?n=1&last=x"),
            ),
            ("<x>; rel=next", Some("x")),
            ("<x>; rel=prev, <y>; title=t; rel=\"next\"", Some("y")),
            ("<x>; rel=\"prev\"", None),
            ("x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_of(link), next, "{link}");
        }
    }
}
