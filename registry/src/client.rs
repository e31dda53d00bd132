//! A client for OCI registries (OCI distribution-spec 1.1).
//!
//! A registry is believed in nothing: every answer is bounded in bytes and in
//! time, and whatever has a digest is checked against it before anyone sees it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Packaged, Reference, Tag};
use semver::Version;

use crate::{Credentials, Layout, LayoutError, Progress};

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Certificates (PEM) that are trusted besides the system's.
    pub roots: Vec<Vec<u8>>,
    /// Registries, as `host[:port]`, that are reached without TLS. Those on the
    /// loopback interface are in any case.
    pub plain_http: Vec<String>,
    /// Where `config.json` of docker is, if not where docker has it.
    pub docker_config: Option<PathBuf>,
    /// Who we are, whatever docker's configuration says.
    pub credentials: Option<Credentials>,
    /// How long a registry may be silent.
    pub idle_max: Duration,
    /// Bytes of one blob.
    pub blob_bytes_max: u64,
}

/// A client for OCI registries.
#[derive(Clone, Debug)]
pub struct Client {
    // Helper.
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

/// Why a registry did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Helper: more variants.
    #[error("the store did not take it")]
    Layout(#[from] LayoutError),
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
        todo!()
    }

    /// What `reference` stands for: its manifest, checked against its digest if
    /// it has one.
    ///
    /// # Errors
    ///
    /// If the registry does not have it or does not answer as it should.
    pub async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<(Descriptor, Bytes), ClientError> {
        todo!()
    }

    /// Brings an artifact into `layout`: manifest, blobs, and what is about it
    /// (of `referrer_types`, by prefix). What is there already is not asked for;
    /// what was broken off goes on where it stopped.
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
        todo!()
    }

    /// Brings an artifact to a registry, under the tag of `reference` if it has
    /// one.
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
        todo!()
    }

    /// Brings to a registry what is about an artifact there. Where the registry
    /// does not list referrers itself, the tag that stands for them is changed
    /// too, and read again until both are there.
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
        todo!()
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
        todo!()
    }

    /// The tags of a repository, at most 10,000.
    ///
    /// # Errors
    ///
    /// If the registry does not answer as it should.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<Tag>, ClientError> {
        todo!()
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
