//! A client for OCI registries (OCI distribution-spec 1.1).
//!
//! A registry is believed in nothing: every answer is bounded in bytes and in
//! time, and whatever has a digest is checked against it before anyone sees it.
//! Whether an artifact may be trusted is not decided here.
//!
//! Written on an HTTP client rather than taken from `oci-client`, which reads
//! manifests, errors and tokens without bound and does not write the tag that
//! stands for referrers.

mod auth;
mod blobs;
mod body;
mod documents;
mod error;
mod pace;
mod pages;
mod place;
mod pull;
mod push;
mod referrers;
#[cfg(test)]
mod tests;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Packaged, Reference, Tag};
use semver::Version;

pub(crate) use error::quote;
pub use error::{ClientError, Said};

use documents::Document;
use pace::Pace;
use place::Place;
use transport::Transport;

use crate::{Credentials, Layout, Progress};

/// How registries are reached. Proxies are those of the environment
/// (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), but for the loopback interface.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Certificates (PEM) that are trusted besides the system's.
    pub roots: Vec<Vec<u8>>,
    /// Registries, as `host[:port]`, that are reached without TLS. Those on the
    /// loopback interface are in any case.
    pub plain_http: Vec<String>,
    /// Where `config.json` of docker is, if not where docker has it.
    pub docker_config: Option<PathBuf>,
    /// Who we are, whatever docker's configuration says. Given to whichever
    /// registry asks, so such a client is for one registry.
    pub credentials: Option<Credentials>,
    /// How long a registry may be silent. Besides, what is transferred must be
    /// 60 KiB in each minute.
    pub idle_max: Duration,
    /// Bytes of one blob.
    pub blob_bytes_max: u64,
}

/// A client for OCI registries. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Transport,
    plain_http: Vec<String>,
    blob_bytes_max: u64,
}

/// What was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The manifest.
    pub manifest: Descriptor,
    /// What is about it that was pulled too: signatures, attestations.
    pub referrers: Vec<Descriptor>,
    /// Bytes that came over the network.
    pub bytes: u64,
}

/// What was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The manifest.
    pub manifest: Descriptor,
    /// Bytes that went over the network.
    pub bytes: u64,
}

impl Default for ClientConfig {
    /// The system's roots, docker's credentials, a minute of silence, 256 MiB.
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            plain_http: Vec::new(),
            docker_config: None,
            credentials: None,
            idle_max: Duration::from_secs(60),
            blob_bytes_max: 256 << 20,
        }
    }
}

impl Client {
    /// A client. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// If a root is no certificate.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let pace = Pace::new(config.idle_max);
        Self::with_pace(config, pace)
    }

    fn with_pace(config: ClientConfig, pace: Pace) -> Result<Self, ClientError> {
        let inner = Inner {
            transport: Transport::new(&config, pace)?,
            plain_http: config.plain_http,
            blob_bytes_max: config.blob_bytes_max,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    fn place(&self, reference: &Reference) -> Result<Place, ClientError> {
        Place::of(reference, &self.inner.plain_http)
    }

    /// What a reference stands for, manifest or index.
    async fn document_of(
        &self,
        place: &Place,
        reference: &Reference,
    ) -> Result<Document, ClientError> {
        let what = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => return Err(ClientError::Unspecific { name: place.name() }),
        };
        self.document(place, &what, reference.digest()).await
    }

    /// What `reference` stands for: its manifest, checked against its digest if
    /// it has one. An index with a single manifest stands for that manifest.
    ///
    /// # Errors
    ///
    /// If the registry does not have it or does not answer as it should.
    pub async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Descriptor, Bytes), ClientError> {
        let place = self.place(reference)?;
        let document = self.document_of(&place, reference).await?;
        let document = self.single(&place, document).await?;
        Ok((document.descriptor(), document.bytes))
    }

    /// Brings an artifact into `layout`: manifest, blobs, and what is about it
    /// (of `referrer_types`, by prefix). What is there already is not asked for;
    /// what was broken off goes on where it stopped. At most 64 of what is about
    /// it are taken, of 4 MiB each; what is faulty of them is left out.
    ///
    /// # Errors
    ///
    /// If the registry does not have it or does not answer as it should; nothing
    /// that is not whole is left findable.
    pub async fn pull(
        &self,
        reference: &Reference,
        layout: &Layout,
        referrer_types: &[&str],
        progress: &dyn Progress,
    ) -> Result<Pulled, ClientError> {
        // Boxed: a pull holds much, and callers hold it in their own futures.
        Box::pin(self.pull_all(reference, layout, referrer_types, progress)).await
    }

    /// Brings an artifact to a registry, under the tag of `reference` if it has
    /// one. A digest in `reference` must be that of the artifact.
    ///
    /// # Errors
    ///
    /// If the registry refuses or does not answer as it should.
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: &Packaged,
        progress: &dyn Progress,
    ) -> Result<Pushed, ClientError> {
        let place = self.place(reference)?;
        if let Some(expected) = reference.digest() {
            documents::same_digest(&place, expected, artifact.digest())?;
        }
        let under = push::under(reference);
        let pushed = Box::pin(self.push_packaged(&place, under, artifact, progress));
        Ok(pushed.await?.0)
    }

    /// Brings a manifest of `layout` and its blobs to a registry, with what is
    /// about it there. One artifact at a time is held in memory.
    ///
    /// # Errors
    ///
    /// As [`Client::push`]; or if the store does not have it, or it is damaged.
    pub async fn push_from(
        &self,
        reference: &Reference,
        layout: &Layout,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<Pushed, ClientError> {
        Box::pin(self.push_stored(reference, layout, digest, progress)).await
    }

    /// Brings to a registry what is about an artifact there. Where the registry
    /// does not list referrers itself, the tag that stands for them is changed
    /// too, and read again until everything that was there is there again.
    ///
    /// # Errors
    ///
    /// As [`Client::push`].
    pub async fn attach(
        &self,
        reference: &Reference,
        attachment: &Packaged,
        progress: &dyn Progress,
    ) -> Result<Pushed, ClientError> {
        Box::pin(self.attach_packaged(reference, attachment, progress)).await
    }

    /// What is about `subject`, by the registry's own list or the tag that stands
    /// for it.
    ///
    /// # Errors
    ///
    /// If the registry does not answer as it should.
    pub async fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
    ) -> Result<Index, ClientError> {
        let place = self.place(reference)?;
        let listed = self.list_referrers(&place, subject).await?;
        Ok(Index::new(listed))
    }

    /// The tags of a repository. More than 10,000 are an error: a list that is cut
    /// could hide the newest.
    ///
    /// # Errors
    ///
    /// If the registry does not answer as it should.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<Tag>, ClientError> {
        self.all_tags(&self.place(reference)?).await
    }

    /// The versions of a package, newest first (Semantic Versioning 2.0.0).
    ///
    /// # Errors
    ///
    /// As [`Client::tags`].
    pub async fn versions(&self, reference: &Reference) -> Result<Vec<Version>, ClientError> {
        let tags = self.tags(reference).await?;
        let mut versions: Vec<Version> = tags.iter().filter_map(Tag::version).collect();
        versions.sort_by(|a, b| b.cmp(a));
        Ok(versions)
    }
}

/// Runs what waits for the disk where that may be waited for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClientError> {
    joined(tokio::task::spawn_blocking(work)).await
}

/// What was done there.
async fn joined<T>(work: tokio::task::JoinHandle<T>) -> Result<T, ClientError> {
    match work.await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ClientError::Stopping),
    }
}
