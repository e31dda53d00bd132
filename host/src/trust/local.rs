//! Vouches for what this process brings along.
//!
//! The key is made when the process starts, is never written anywhere and is
//! believed by nobody else.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{
    PackageName, PackagePattern, PackagingError, PluginManifest, PluginManifestError, Release,
};
use selvedge_signer::{LocalPublisher, SignError};
use selvedge_signing::{Candidate, Device, Purpose, Refusal, Request, VerifiedArtifact, Verifier};
use semver::Version;

use crate::names::PluginName;

/// The version of what has none.
const UNRELEASED: Version = Version::new(0, 0, 0);

/// Why this process does not vouch for something.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("`{0}` cannot be the name of a package")]
    Name(PluginName),
    #[error("its manifest is refused")]
    Manifest(#[from] PluginManifestError),
    #[error("it cannot be packaged")]
    Packaging(#[from] PackagingError),
    #[error("it cannot be signed")]
    Sign(#[from] SignError),
    #[error("it is refused")]
    Refused(#[from] Box<Refusal>),
}

/// A publisher of this process, and the only verifier that believes it.
#[derive(Debug)]
pub(super) struct Local {
    namespace: &'static str,
    publisher: LocalPublisher,
    verifier: Verifier,
}

impl Local {
    /// One that may release the packages of `namespace`.
    pub(super) fn new(namespace: &'static str, now: Timestamp) -> Result<Self, LocalError> {
        let packages = PackagePattern::Namespace(namespace.to_owned());
        let (publisher, verifier) = LocalPublisher::new(namespace, &packages, now)?;
        Ok(Self {
            namespace,
            publisher,
            verifier,
        })
    }

    /// Packages, signs and verifies a component.
    pub(super) fn vouch(
        &self,
        name: &PluginName,
        component: Bytes,
        manifest: Option<&str>,
        now: Timestamp,
    ) -> Result<VerifiedArtifact, LocalError> {
        let package: PackageName = format!("{}/{name}", self.namespace)
            .parse()
            .map_err(|_| LocalError::Name(name.clone()))?;
        let plugin = manifest.map(PluginManifest::parse).transpose()?;
        let version = plugin
            .as_ref()
            .map_or(UNRELEASED, |plugin| plugin.version.clone());
        let release = Release {
            package: package.clone(),
            version: version.clone(),
            created: None,
            summary: Default::default(),
            plugin,
            component: component.clone(),
        };
        let packaged = release.package()?;
        let config = packaged.blobs.first().map(|(_, bytes)| bytes.clone());
        let candidate = Candidate {
            manifest: packaged.manifest.clone(),
            config: config.unwrap_or_default(),
            layers: vec![component],
            bundles: vec![self.publisher.release(&packaged)?],
        };
        let request = Request {
            package,
            version: Some(version),
            digest: Some(packaged.digest()),
        };
        let device = Device {
            now,
            purpose: Purpose::Install,
            version_seen: None,
            accepted: &[],
        };
        let verified = self.verifier.verify(&request, &candidate, &device);
        Ok(verified.map_err(Box::new)?)
    }
}
