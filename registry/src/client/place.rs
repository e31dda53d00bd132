//! Where requests may go.
//!
//! A place is a repository at a registry, with the rule for reaching it: TLS,
//! but for the loopback interface and registries that the operator lists. Decides
//! also where an answer may send us on: to HTTPS anywhere, without TLS only where
//! we already are, and never with user and password in the address.

use std::net::IpAddr;

use reqwest::Url;
use selvedge_artifact::Reference;

use super::error::{ClientError, quote};

/// A repository at a registry.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As in references: `registry.example:5000`.
    pub(super) registry: String,
    /// The path: `acme/thermostat`.
    pub(super) repository: String,
    /// Reached without TLS.
    pub(super) plain: bool,
    /// On the loopback interface.
    pub(super) loopback: bool,
    base: Url,
}

impl Place {
    /// The place of `reference`.
    pub(super) fn of(reference: &Reference, plain_http: &[String]) -> Result<Self, ClientError> {
        let registry = reference.registry();
        // Docker's own registry is not where its name says.
        let host = match registry {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        };
        let malformed = |_| ClientError::Malformed {
            name: reference.name(),
            what: "its name is no address",
        };
        let secure = Url::parse(&format!("https://{host}/")).map_err(malformed)?;
        let loopback = is_loopback(&secure);
        let plain = loopback || plain_http.iter().any(|plain| plain == registry);
        let base = if plain {
            Url::parse(&format!("http://{host}/")).map_err(malformed)?
        } else {
            secure
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository: reference.repository().to_owned(),
            plain,
            loopback,
            base,
        })
    }

    /// How errors call it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The address of something in the repository: `manifests/1.2.0`.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("v2/{}/{path}", self.repository));
        url
    }

    /// Whether `url` is at this registry, so that credentials may go there.
    pub(super) fn holds(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Where `location` leads, seen from `from`, if requests may go there.
    pub(super) fn step(&self, from: &Url, location: &str) -> Result<Url, ClientError> {
        let refused = || ClientError::InsecureRedirect {
            name: self.name(),
            to: quote(location),
        };
        let to = from.join(location).map_err(|_| ClientError::Malformed {
            name: self.name(),
            what: "a location is no address",
        })?;
        let protected = to.scheme() == "https" || to.origin() == from.origin();
        let anonymous = to.username().is_empty() && to.password().is_none();
        if protected && anonymous {
            Ok(to)
        } else {
            Err(refused())
        }
    }
}

/// Whether an address is on this machine by its looks, without asking a resolver.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{ClientError, Place};

    fn place(reference: &str) -> Place {
        Place::of(
            &reference.parse().unwrap(),
            &["plain.example:80".to_owned()],
        )
        .unwrap()
    }

    #[test]
    fn tls_is_left_out_on_loopback_and_where_the_operator_says() {
        for (reference, url) in [
            ("r.example/a/b", "https://r.example/v2/a/b/tags/list"),
            (
                "r.example:5000/a/b",
                "https://r.example:5000/v2/a/b/tags/list",
            ),
            (
                "plain.example:80/a/b",
                "http://plain.example/v2/a/b/tags/list",
            ),
            (
                "plain.example:81/a/b",
                "https://plain.example:81/v2/a/b/tags/list",
            ),
            (
                "localhost:5000/a/b",
                "http://localhost:5000/v2/a/b/tags/list",
            ),
            (
                "127.0.0.1:5000/a/b",
                "http://127.0.0.1:5000/v2/a/b/tags/list",
            ),
            ("[::1]:5000/a/b", "http://[::1]:5000/v2/a/b/tags/list"),
            (
                "localhost.example/a/b",
                "https://localhost.example/v2/a/b/tags/list",
            ),
            (
                "docker.io/a/b",
                "https://registry-1.docker.io/v2/a/b/tags/list",
            ),
        ] {
            assert_eq!(place(reference).url("tags/list").as_str(), url);
        }
    }

    #[test]
    fn redirects_lead_to_tls_or_nowhere_else() {
        let step = |reference: &str, location: &str| {
            let place = place(reference);
            place.step(&place.url("x"), location)
        };
        for (reference, location) in [
            ("r.example/a/b", "/v2/y"),
            ("r.example/a/b", "https://storage.example/y"),
            ("r.example/a/b", "//storage.example/y"),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000/y"),
            ("127.0.0.1:5000/a/b", "https://storage.example/y"),
        ] {
            assert!(step(reference, location).is_ok(), "{location}");
        }
        for (reference, location) in [
            ("r.example/a/b", "http://r.example/y"),
            ("r.example/a/b", "http://127.0.0.1/y"),
            ("r.example/a/b", "file:///etc/passwd"),
            ("r.example/a/b", "https://user:secret@r.example/"),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5001/y"),
            ("127.0.0.1:5000/a/b", "http://localhost:5000/y"),
            ("plain.example:80/a/b", "http://127.0.0.1:80/y"),
        ] {
            let error = step(reference, location).unwrap_err();
            assert!(
                matches!(error, ClientError::InsecureRedirect { .. }),
                "{location}"
            );
        }
    }
}
