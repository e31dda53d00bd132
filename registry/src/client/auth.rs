//! Proves who we are (OCI distribution-spec leaves it to RFC 9110 and docker's
//! token specification).
//!
//! Credentials are looked up only when a registry asks. They go to the registry
//! itself (Basic) or to the token service that it names (Bearer), which must be
//! on HTTPS unless both are on the loopback interface. The scope asked for is
//! ours, never the registry's: a registry could otherwise have us fetch a token
//! for more than we are about to do.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::ClientConfig;
use super::body::Answer;
use super::error::ClientError;
use super::place::{Place, is_loopback};
use super::transport::Transport;
use crate::Credentials;
use crate::credentials::TOKEN_USER;

/// Bytes of a token service's answer.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
/// Bytes of one challenge.
const CHALLENGE_BYTES_MAX: usize = 8 << 10;
/// How long a token is used that does not say so (docker's token specification).
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long anything is used at most.
const LIFE_MAX: Duration = Duration::from_secs(3600);
/// A token is not used so shortly before it expires.
const MARGIN: Duration = Duration::from_secs(5);
/// Authorisations kept; beyond, all are forgotten.
const KEPT_MAX: usize = 256;

/// What a request is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Actions {
    Pull,
    Push,
}

/// What is known of us, by registry, repository and actions.
#[derive(Debug)]
pub(super) struct Auth {
    given: Option<Credentials>,
    docker_config: Option<std::path::PathBuf>,
    kept: Mutex<HashMap<Key, Kept>>,
    /// One at a time: a helper may ask a person.
    found: tokio::sync::Mutex<HashMap<String, Option<Credentials>>>,
}

type Key = (String, String, Actions);

struct Kept {
    header: HeaderValue,
    until: Instant,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// What a registry wants to see.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// What a token service answers.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            given: config.credentials.clone(),
            docker_config: config.docker_config.clone(),
            kept: Mutex::default(),
            found: tokio::sync::Mutex::default(),
        }
    }

    /// What was accepted before and still holds.
    pub(super) fn known(&self, place: &Place, actions: Actions) -> Option<HeaderValue> {
        let kept = self.kept.lock();
        let kept = kept.get(&key(place, actions))?;
        (kept.until > Instant::now()).then(|| kept.header.clone())
    }

    /// The answer to a challenge; `None` if there is none that we could give.
    pub(super) async fn answer(
        &self,
        transport: &Transport,
        place: &Place,
        actions: Actions,
        refused: &Answer,
    ) -> Result<Option<HeaderValue>, ClientError> {
        self.kept.lock().remove(&key(place, actions));
        let (header, life) = match choose(refused.headers(&WWW_AUTHENTICATE)) {
            None => return Ok(None),
            Some(Challenge::Basic) => {
                if !may_tell(place) {
                    return Err(ClientError::ClearText { name: place.name() });
                }
                match self.credentials(place).await? {
                    Some(credentials) => (basic(&credentials), LIFE_MAX),
                    None => return Ok(None),
                }
            }
            Some(Challenge::Bearer { realm, service }) => {
                let realm = realm_of(place, &realm)?;
                let request = self.token_request(place, actions, realm, service).await?;
                fetch_token(transport, place, request).await?
            }
        };
        let until = Instant::now() + life;
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let header_kept = header.clone();
        kept.insert(
            key(place, actions),
            Kept {
                header: header_kept,
                until,
            },
        );
        Ok(Some(header))
    }

    async fn credentials(&self, place: &Place) -> Result<Option<Credentials>, ClientError> {
        if !may_tell(place) {
            return Ok(None);
        }
        if self.given.is_some() {
            return Ok(self.given.clone());
        }
        let mut found = self.found.lock().await;
        if let Some(found) = found.get(&place.registry) {
            return Ok(found.clone());
        }
        let credentials = Credentials::find(&place.registry, self.docker_config.clone()).await;
        let credentials = credentials.map_err(|source| ClientError::Credentials {
            name: place.name(),
            source,
        })?;
        if found.len() >= KEPT_MAX {
            found.clear();
        }
        found.insert(place.registry.clone(), credentials.clone());
        Ok(credentials)
    }

    /// A request for a token: by refresh token, by user and password, or as nobody.
    async fn token_request(
        &self,
        place: &Place,
        actions: Actions,
        realm: Url,
        service: Option<String>,
    ) -> Result<(Request, Option<Bytes>), ClientError> {
        let credentials = self.credentials(place).await?;
        let scope = match actions {
            Actions::Pull => format!("repository:{}:pull", place.repository),
            Actions::Push => format!("repository:{}:pull,push", place.repository),
        };
        let mut parameters = vec![("scope", scope)];
        parameters.extend(service.map(|service| ("service", service)));
        match credentials {
            Some(credentials) if credentials.user == TOKEN_USER => {
                parameters.push(("grant_type", "refresh_token".to_owned()));
                parameters.push(("client_id", "selvedge".to_owned()));
                parameters.push(("refresh_token", credentials.password));
                let mut form = realm.clone();
                form.set_query(None);
                form.query_pairs_mut().extend_pairs(parameters);
                let payload = Bytes::from(form.query().unwrap_or_default().to_owned());
                let mut request = Request::new(Method::POST, realm);
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(CONTENT_TYPE, form);
                Ok((request, Some(payload)))
            }
            credentials => {
                let mut url = realm;
                url.query_pairs_mut().extend_pairs(parameters);
                let mut request = Request::new(Method::GET, url);
                if let Some(credentials) = credentials {
                    request
                        .headers_mut()
                        .insert(AUTHORIZATION, basic(&credentials));
                }
                Ok((request, None))
            }
        }
    }
}

fn key(place: &Place, actions: Actions) -> Key {
    (place.registry.clone(), place.repository.clone(), actions)
}

/// Whether secrets may be told there: only under TLS, or on this machine.
fn may_tell(place: &Place) -> bool {
    !place.plain || place.loopback
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let pair = format!("{}:{}", credentials.user, credentials.password);
    secret(&format!("Basic {}", BASE64.encode(pair))).expect("base64 fits into a header")
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The challenge to answer: Bearer before Basic.
fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.filter(|header| header.len() <= CHALLENGE_BYTES_MAX) {
        for challenge in http_auth::parse_challenges(header).unwrap_or_default() {
            let parameter = |name: &str| {
                let mut parameters = challenge.params.iter();
                let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    let service = parameter("service");
                    return Some(Challenge::Bearer { realm, service });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// The address of the token service, if secrets may go there.
fn realm_of(place: &Place, realm: &str) -> Result<Url, ClientError> {
    let url = Url::parse(realm).map_err(|_| ClientError::Malformed {
        name: place.name(),
        what: "its token service has no address",
    })?;
    let local = place.plain && place.loopback && url.scheme() == "http" && is_loopback(&url);
    let anonymous = url.username().is_empty() && url.password().is_none();
    if anonymous && (url.scheme() == "https" || local) {
        Ok(url)
    } else {
        Err(ClientError::InsecureRedirect {
            name: place.name(),
            to: super::error::quote(realm),
        })
    }
}

async fn fetch_token(
    transport: &Transport,
    place: &Place,
    (request, payload): (Request, Option<Bytes>),
) -> Result<(HeaderValue, Duration), ClientError> {
    let response = transport.execute(request, payload, place, &|_| ()).await?;
    let answer = Answer::new(response, place.name(), transport.pace);
    if answer.status() != StatusCode::OK {
        return Err(answer.refusal("token service").await);
    }
    let body = answer.all("token", TOKEN_BYTES_MAX).await?;
    let malformed = || ClientError::Malformed {
        name: place.name(),
        what: "its token service gives no token",
    };
    // The cause is not handed on: it could quote the token.
    let token: Token = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let text = token.token.or(token.access_token);
    let text = text.filter(|text| !text.is_empty()).ok_or_else(malformed)?;
    let header = secret(&format!("Bearer {text}")).ok_or_else(malformed)?;
    let life = token.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
    Ok((header, life.min(LIFE_MAX).saturating_sub(MARGIN)))
}

#[cfg(test)]
mod tests {
    use super::{Challenge, Place, choose, realm_of};

    #[test]
    fn bearer_goes_before_basic_and_nonsense_is_skipped() {
        let bearer = Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("r.example".to_owned()),
        };
        let header = r#"Bearer realm="https://auth.example/token",service="r.example",scope="x""#;
        assert_eq!(
            choose(["Basic realm=\"x\"", header].into_iter()),
            Some(bearer)
        );
        assert_eq!(
            choose(["basic realm=x"].into_iter()),
            Some(Challenge::Basic)
        );
        for nonsense in ["", "Bearer", "Negotiate", "=,;\"", "Digest realm=\"x\""] {
            assert_eq!(choose([nonsense].into_iter()), None, "{nonsense}");
        }
        let long = format!("Basic realm=\"{}\"", "x".repeat(10_000));
        assert_eq!(choose([long.as_str()].into_iter()), None);
    }

    #[test]
    fn tokens_are_fetched_under_tls_or_on_this_machine() {
        let place = |reference: &str| Place::of(&reference.parse().unwrap(), &[]).unwrap();
        let (far, near) = (place("r.example/a/b"), place("127.0.0.1:5000/a/b"));
        assert!(realm_of(&far, "https://auth.example/token").is_ok());
        assert!(realm_of(&far, "http://auth.example/token").is_err());
        assert!(realm_of(&far, "http://127.0.0.1/token").is_err());
        assert!(realm_of(&far, "https://u:p@auth.example/token").is_err());
        assert!(realm_of(&near, "http://127.0.0.1:5001/token").is_ok());
        assert!(realm_of(&near, "http://auth.example/token").is_err());
    }
}
