//! Where artifacts are: the device's store, and registries beyond it.
//!
//! It brings bytes and believes nothing: what it finds is a candidate for
//! [`crate::trust`]. What is in the store needs no network.

mod config;

use std::path::Path;

use bytes::Bytes;
use selvedge_artifact::{
    ArtifactKind, Descriptor, DocumentError, Manifest, from_both_ends, media_type,
};
use selvedge_registry::{Client, ClientError, Layout, LayoutError, Progress, Pulled};
use selvedge_signing::Candidate;
use tracing::warn;

use crate::error_chain::ErrorChain;
use crate::names::{Digest, Reference};

pub use config::{RegistryConfig, RegistryConfigError};

/// Bytes of a manifest or a configuration.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a component.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of all files of a model: they are in memory at once.
const MODEL_BYTES_MAX: u64 = 512 << 20;
/// Bytes of a signature bundle. What is larger is never believed.
const BUNDLE_BYTES_MAX: u64 = 1 << 20;
/// Signature bundles of an artifact that are looked at, and in memory at once:
/// as many as a decision looks at.
const BUNDLES_MAX: usize = 32;

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("`{0}` is not in the store of this device")]
    Missing(Box<Reference>),
    #[error("`{0}` is neither pinned by a digest nor by a tag")]
    Unpinned(Box<Reference>),
    #[error("the store of this device cannot be used")]
    Layout(#[from] LayoutError),
    #[error("the manifest of {digest} cannot be read")]
    Manifest {
        digest: Digest,
        source: DocumentError,
    },
    #[error("{0} holds no component")]
    Empty(Digest),
    #[error("the files of {digest} have {bytes} bytes; {MODEL_BYTES_MAX} are allowed")]
    TooLarge { digest: Digest, bytes: u64 },
    #[error("reading the store did not end")]
    Interrupted,
    #[error("the registry did not provide it")]
    Registry(#[from] ClientError),
}

impl ArtifactError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "artifact-missing",
            Self::Unpinned(_) => "reference-not-pinned",
            Self::Layout(LayoutError::Corrupt { .. }) => "artifact-corrupt",
            Self::Layout(_) => "store-unusable",
            Self::Manifest { .. } => "manifest-invalid",
            Self::Empty(_) => "component-missing",
            Self::TooLarge { .. } => "artifact-too-large",
            Self::Interrupted => "interrupted",
            Self::Registry(error) => error.code(),
        }
    }
}

/// The device's store, and how to fill it.
#[derive(Clone, Debug)]
pub struct Artifacts {
    layout: Layout,
    client: Client,
    pull: bool,
}

impl Artifacts {
    /// The store in `directory`, filled from registries as `config` says.
    pub fn open(directory: &Path, config: &RegistryConfig) -> Result<Self, RegistryConfigError> {
        Ok(Self {
            layout: Layout::open(directory)?,
            client: Client::new(config.client()?)?,
            pull: config.pull,
        })
    }

    /// The same store, never filled.
    pub fn offline(&self) -> Self {
        let pull = false;
        Self {
            pull,
            ..self.clone()
        }
    }

    /// The store itself.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The client for registries.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Brings `reference` and its signatures into the store.
    pub async fn pull(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Pulled, ArtifactError> {
        let types = [media_type::SIGSTORE_BUNDLE_PREFIX];
        let pulled = self.client.pull(reference, &self.layout, &types, progress);
        Ok(pulled.await?)
    }

    /// What the store has for `reference`; else, or if that has no signature,
    /// where it is allowed, what its registry has.
    pub async fn obtain(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Candidate, ArtifactError> {
        let (store, wanted) = (self.clone(), reference.clone());
        let Some(stored) = off_executor(move || store.find(&wanted)).await? else {
            if !self.pull {
                return Err(ArtifactError::Missing(Box::new(reference.clone())));
            }
            let pulled = self.pull(reference, progress).await?;
            return self.candidate(pulled.manifest.digest).await;
        };
        let candidate = self.candidate(stored.digest).await?;
        if !self.pull || !candidate.bundles.is_empty() {
            return Ok(candidate);
        }
        // It came before its signatures did, or from someone who held them back.
        // Without an answer, what is there is what is decided about.
        let pinned = reference.with_digest(stored.digest);
        if let Err(error) = self.pull(&pinned, progress).await {
            let error = ErrorChain(&error).to_string();
            warn!(error, "registry not asked again for signatures");
        }
        self.candidate(stored.digest).await
    }

    /// Sees to it that the store has `reference`, with a signature where there is
    /// one to be had; reads no more of it than that.
    pub async fn bring(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<(), ArtifactError> {
        let (store, wanted) = (self.clone(), reference.clone());
        let look = move || {
            let found = store.find(&wanted)?;
            let signed = match &found {
                Some(found) => !bundles(&store.layout, &found.digest)?.is_empty(),
                None => false,
            };
            Ok((found, signed))
        };
        match off_executor(look).await? {
            (Some(_), true) => Ok(()),
            (Some(found), false) if self.pull => {
                let pinned = reference.with_digest(found.digest);
                if let Err(error) = self.pull(&pinned, progress).await {
                    let error = ErrorChain(&error).to_string();
                    warn!(error, "registry not asked again for signatures");
                }
                Ok(())
            }
            (Some(_), false) => Ok(()),
            (None, _) if self.pull => self.pull(reference, progress).await.map(drop),
            (None, _) => Err(ArtifactError::Missing(Box::new(reference.clone()))),
        }
    }

    /// What the store has for `reference`. Blocks.
    pub fn stored(&self, reference: &Reference) -> Result<Candidate, ArtifactError> {
        let found = self.find(reference)?;
        let found = found.ok_or_else(|| ArtifactError::Missing(Box::new(reference.clone())))?;
        candidate(&self.layout, &found.digest)
    }

    async fn candidate(&self, digest: Digest) -> Result<Candidate, ArtifactError> {
        let layout = self.layout.clone();
        off_executor(move || candidate(&layout, &digest)).await
    }

    /// The manifest that the store has for `reference`.
    pub fn find(&self, reference: &Reference) -> Result<Option<Descriptor>, ArtifactError> {
        if let Some(digest) = reference.digest() {
            let found = self.layout.manifest(&digest)?;
            return Ok(found.map(|(descriptor, _)| descriptor));
        }
        let tag = reference.tag();
        let tag = tag.ok_or_else(|| ArtifactError::Unpinned(Box::new(reference.clone())))?;
        Ok(self.layout.resolve(reference.repository(), tag)?)
    }
}

/// The store is on a disk, and disks make one wait.
async fn off_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ArtifactError::Interrupted)?
}

/// Everything that a decision about the artifact `digest` needs, read from
/// `layout` once.
pub fn candidate(layout: &Layout, digest: &Digest) -> Result<Candidate, ArtifactError> {
    let manifest_bytes = layout.blob(digest, DOCUMENT_BYTES_MAX)?;
    let manifest = parse(digest, &manifest_bytes)?;
    Ok(Candidate {
        layers: layers(layout, digest, &manifest)?,
        config: layout.blob(&manifest.config.digest, DOCUMENT_BYTES_MAX)?,
        bundles: bundles(layout, digest)?,
        manifest: manifest_bytes,
    })
}

/// Of a model all files, within what may be in memory; of anything else the first
/// layer: it is a plugin's only one, or what it is is refused.
fn layers(
    layout: &Layout,
    digest: &Digest,
    manifest: &Manifest,
) -> Result<Vec<Bytes>, ArtifactError> {
    if ArtifactKind::of(manifest) != Some(ArtifactKind::Model) {
        let component = manifest.layers.first();
        let component = component.ok_or(ArtifactError::Empty(*digest))?;
        return Ok(vec![layout.blob(&component.digest, COMPONENT_BYTES_MAX)?]);
    }
    let sizes = manifest.layers.iter().map(|layer| layer.size);
    let bytes = sizes.fold(0, u64::saturating_add);
    if bytes > MODEL_BYTES_MAX {
        let digest = *digest;
        return Err(ArtifactError::TooLarge { digest, bytes });
    }
    let layers = manifest.layers.iter();
    // What is there is as large as is said, or it is not it.
    let blobs = layers.map(|layer| layout.blob(&layer.digest, layer.size));
    Ok(blobs.collect::<Result<_, _>>()?)
}

/// The signature bundles about `digest`. One that cannot be read is left out:
/// whoever may write to a registry could add such a one to any artifact.
fn bundles(layout: &Layout, digest: &Digest) -> Result<Vec<Bytes>, ArtifactError> {
    let referrers = layout.referrers(digest)?.manifests;
    let is_bundle = |referrer: &&Descriptor| {
        let kind = referrer.artifact_type.as_deref();
        kind.is_some_and(|kind| kind.starts_with(media_type::SIGSTORE_BUNDLE_PREFIX))
    };
    let read = |referrer: &Descriptor| {
        let manifest = layout.blob(&referrer.digest, DOCUMENT_BYTES_MAX).ok()?;
        let layer = parse(&referrer.digest, &manifest)
            .ok()?
            .layers
            .into_iter()
            .next()?;
        layout.blob(&layer.digest, BUNDLE_BYTES_MAX).ok()
    };
    let bundles = from_both_ends(referrers.iter().filter(is_bundle).collect());
    Ok(bundles.filter_map(read).take(BUNDLES_MAX).collect())
}

fn parse(digest: &Digest, bytes: &[u8]) -> Result<Manifest, ArtifactError> {
    let parsed = Manifest::parse(bytes);
    parsed.map_err(|source| ArtifactError::Manifest {
        digest: *digest,
        source,
    })
}
