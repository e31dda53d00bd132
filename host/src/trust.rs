//! May it run on this device?
//!
//! Keeps what the device knows: the site's policy, which versions it has had,
//! and the latest time that it has proof of. Everything that runs passes here,
//! also what is compiled into the binary and what a developer is working on:
//! both are signed within this process and verified like anything else. The
//! decision itself is made in `selvedge-signing`; where artifacts come from is
//! not this module's business.

mod config;
mod local;
mod record;
mod repository;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use selvedge_signing::{
    Candidate, Device, Origin, PolicyError, Purpose, Refusal, RepositoryFiles, Request, TrustError,
    VerifiedArtifact, VerifiedModel, Verifier,
};
use tracing::{info, warn};

use crate::error_chain::ErrorChain;
use crate::names::{Digest, PackageName, PluginName, Reference};
use crate::storage::Storage;

use local::Local;
use record::Record;

pub use config::TrustConfig;
pub(crate) use config::refresh_s;
pub use local::LocalError;
pub use record::RecordError;
pub use repository::RepositoryError;

/// The namespaces of what this process signs itself: what is compiled into the
/// binary, and what a developer is working on.
const SHIPPED: &str = "shipped";
const DEVELOPMENT: &str = "development";

/// Why something may not run here.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("`{reference}` is refused")]
    Refused {
        reference: Box<Reference>,
        source: Box<Refusal>,
    },
    #[error("{what} is revoked")]
    Revoked { what: String },
    #[error("`{0}` names no digest, and tags may come to mean something else")]
    NoDigest(Box<Reference>),
    #[error("nothing but shipped plugins is trusted here: the host has no trust repository")]
    NoPolicy,
    #[error("`{0}` is a name of what this process brings along, which no registry has")]
    Reserved(PackageName),
    #[error("the trust repository was never believed: {0}")]
    NotBelieved(String),
    #[error("the component is a file, which nobody has signed")]
    NotSigned,
    #[error("the model is a file, which nobody has signed")]
    ModelNotSigned,
    #[error("cannot vouch for what this process brings along")]
    Local(#[from] LocalError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl GateError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { source, .. } => source.code(),
            Self::Revoked { .. } => "digest-revoked",
            Self::NoDigest(_) => "digest-missing",
            Self::NoPolicy => "policy-missing",
            Self::NotBelieved(_) => "policy-not-believed",
            Self::Reserved(_) => "package-reserved",
            Self::NotSigned => "component-not-signed",
            Self::ModelNotSigned => "model-not-signed",
            Self::Local(_) => "local-signature-failed",
            Self::Record(_) => "record-unreadable",
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { source, .. } => source.hint(),
            Self::NoDigest(reference) => Some(format!(
                "`selvedge pull {reference}` says which digest it has; write it behind an `@`"
            )),
            Self::NoPolicy => {
                Some("set `[trust]` in the host's configuration; see `selvedge policy init`".into())
            }
            Self::NotSigned => Some(
                "run it with `selvedge dev`, or publish it with `selvedge publish` and name it by reference"
                    .into(),
            ),
            Self::ModelNotSigned => Some(
                "run it with `selvedge dev`, or publish it with `selvedge model publish` and name it as `artifact`"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Why the device does not know what it trusts.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot read the trust repository")]
    Repository(#[from] RepositoryError),
    #[error("the trust repository is not believed")]
    Trust(#[from] TrustError),
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
    #[error("cannot vouch for what this process brings along")]
    Local(#[from] LocalError),
}

/// Who decides by the policy that `config` names, with nothing remembered: for
/// looking at artifacts, not for running them.
pub fn site_verifier(config: &TrustConfig, now: Timestamp) -> Result<Verifier, OpenError> {
    Ok(Verifier::new(repository::look(config, now)?)?)
}

/// Whether `files` are a trust repository that a device set up by `config` would
/// believe, and none that is older than the one it has in place. What it saw
/// before that is not looked at here: [`Gate`] does that.
pub fn believes(
    config: &TrustConfig,
    files: RepositoryFiles,
    now: Timestamp,
) -> Result<(), OpenError> {
    repository::check(config, files, now)
}

/// The artifacts that run on the device, or ran before, by their digests.
pub fn accepted(storage: &Storage) -> Result<Vec<Digest>, RecordError> {
    Record::open(storage)?.all_accepted()
}

/// The files of the trust repository in `directory`, bounded.
pub fn repository_files(directory: &Path) -> Result<RepositoryFiles, RepositoryError> {
    repository::files(directory)
}

/// Says if nothing but the device's record vouched for it.
fn resumed(reference: &Reference, origin: &Origin) {
    if origin.from_record() {
        warn!(
            %reference,
            digest = %origin.digest(),
            kind = %origin.kind(),
            publisher = origin.publisher(),
            "resumed by the device's record: its clock is behind"
        );
    }
}

/// Decides what may run on this device.
#[derive(Debug)]
pub struct Gate {
    /// What the site trusts, if it was told.
    site: ArcSwapOption<Verifier>,
    config: Option<TrustConfig>,
    /// Vouches for what is compiled into the binary.
    shipped: Local,
    /// Vouches for what a developer is working on; only in `selvedge dev`.
    development: Option<Local>,
    record: Mutex<Record>,
    /// Why the trust repository is not believed as it is now, if so.
    unbelieved: Mutex<Option<String>>,
}

impl Gate {
    /// What `config` trusts. `development` lets files run that nobody has signed:
    /// they are signed here, for this process.
    pub fn open(
        storage: &Storage,
        config: Option<&TrustConfig>,
        development: bool,
    ) -> Result<Self, OpenError> {
        let record = Record::open(storage)?;
        let now = record.now();
        let development = development.then(|| Local::new(DEVELOPMENT, now));
        let gate = Self {
            site: ArcSwapOption::empty(),
            config: config.cloned(),
            shipped: Local::new(SHIPPED, now)?,
            development: development.transpose()?,
            record: Mutex::new(record),
            unbelieved: Mutex::default(),
        };
        gate.refresh()?;
        Ok(gate)
    }

    /// Reads the trust repository again. If what is there now is not believed,
    /// what was believed before still decides; if nothing was, shipped plugins
    /// run and nothing else.
    pub fn refresh(&self) -> Result<(), OpenError> {
        let Some(config) = &self.config else {
            return Ok(());
        };
        let mut record = self.record.lock();
        let (verifier, stale) = repository::read(config, &mut record)?;
        let error = stale.map(|error| ErrorChain(&error).to_string());
        if let Some(error) = &error {
            warn!(
                error,
                "trust repository not believed: what was believed before decides"
            );
        }
        *self.unbelieved.lock() = error;
        let Some(verifier) = verifier else {
            return Ok(());
        };
        let expires = verifier.expires().map(|expires| expires.to_string());
        let before = self.site.swap(Some(Arc::new(verifier)));
        let known = before.is_some_and(|before| {
            let site = self.site.load();
            site.as_ref()
                .is_some_and(|site| site.policy() == before.policy())
        });
        if !known {
            info!(expires, "policy in force");
        }
        Ok(())
    }

    /// Why the trust repository is not believed as it is now, if so.
    pub fn unbelieved(&self) -> Option<String> {
        self.unbelieved.lock().clone()
    }

    /// A plugin that comes with the binary.
    pub fn shipped(
        &self,
        name: &PluginName,
        component: Bytes,
        manifest: Option<&str>,
    ) -> Result<VerifiedArtifact, GateError> {
        let artifact = self.shipped.vouch(name, component, manifest, self.now())?;
        self.not_revoked(artifact)
    }

    /// A file that a developer is working on.
    pub fn development(
        &self,
        name: &PluginName,
        component: Bytes,
    ) -> Result<VerifiedArtifact, GateError> {
        let local = self.development.as_ref().ok_or(GateError::NotSigned)?;
        let artifact = local.vouch(name, component, None, self.now())?;
        self.not_revoked(artifact)
    }

    /// A model's file that a developer is working on, or that comes with the
    /// binary; by its digest, since nothing else of it is looked at.
    pub fn model_file(&self, digest: &Digest, shipped: bool) -> Result<(), GateError> {
        if !shipped && self.development.is_none() {
            return Err(GateError::ModelNotSigned);
        }
        self.unless_revoked(digest)
    }

    /// A model's file or artifact, by its digest.
    pub fn unless_revoked(&self, digest: &Digest) -> Result<(), GateError> {
        let site = self.site.load();
        if site.as_ref().is_some_and(|site| site.revokes(digest)) {
            let what = format!("the model {digest}");
            return Err(GateError::Revoked { what });
        }
        Ok(())
    }

    /// The plugin that was found for `reference`.
    pub fn admit(
        &self,
        reference: &Reference,
        candidate: &Candidate,
    ) -> Result<VerifiedArtifact, GateError> {
        let verified = self.decide(reference, |site, request, device| {
            site.verify(request, candidate, device)
        })?;
        resumed(reference, verified.origin());
        Ok(verified)
    }

    /// The model that was found for `reference`.
    pub fn admit_model(
        &self,
        reference: &Reference,
        candidate: &Candidate,
    ) -> Result<VerifiedModel, GateError> {
        let verified = self.decide(reference, |site, request, device| {
            site.verify_model(request, candidate, device)
        })?;
        resumed(reference, verified.origin());
        Ok(verified)
    }

    /// What the site says of `reference`, by what this device knows.
    fn decide<T>(
        &self,
        reference: &Reference,
        verify: impl FnOnce(&Verifier, &Request, &Device<'_>) -> Result<T, Refusal>,
    ) -> Result<T, GateError> {
        let site = self.site.load_full();
        let site = site.ok_or_else(|| match self.unbelieved.lock().clone() {
            Some(error) => GateError::NotBelieved(error),
            None => GateError::NoPolicy,
        })?;
        let package = reference.package();
        if [SHIPPED, DEVELOPMENT].contains(&package.namespace()) {
            return Err(GateError::Reserved(package.clone()));
        }
        let digest = reference.digest();
        let digest = digest.ok_or_else(|| GateError::NoDigest(Box::new(reference.clone())))?;
        let request = Request {
            package: reference.package().clone(),
            version: reference.tag().and_then(|tag| tag.version()),
            digest: Some(digest),
        };
        let (purpose, version_seen, now, accepted) = {
            let record = self.record.lock();
            let purpose = record.purpose(package, &digest)?;
            let accepted = match purpose {
                Purpose::Install => Vec::new(),
                Purpose::Return | Purpose::Resume => record.standing_in(package, &digest)?,
            };
            (purpose, record.highest(package)?, record.now(), accepted)
        };
        let device = Device {
            now,
            purpose,
            version_seen: version_seen.as_ref(),
            accepted: &accepted,
        };
        // Without the lock: a component is large, and hashing it takes a while.
        let verified = verify(&site, &request, &device);
        verified.map_err(|source| GateError::Refused {
            reference: Box::new(reference.clone()),
            source: Box::new(source),
        })
    }

    /// Remembers what a deployment puts into service, so that nothing older is
    /// installed later and this starts again when the policy has expired.
    pub fn accept(&self, artifacts: &[&Origin]) -> Result<(), GateError> {
        let site = self.site.load();
        let expires = site.as_ref().and_then(|site| site.expires());
        Ok(self.record.lock().accept(artifacts, expires)?)
    }

    /// Why `artifact`, which runs here, no longer may, if so.
    pub fn revoked(&self, artifact: &Origin) -> Option<Refusal> {
        self.site.load().as_ref()?.revoked(artifact)
    }

    /// The site may revoke what comes with the binary, too.
    fn not_revoked(&self, artifact: VerifiedArtifact) -> Result<VerifiedArtifact, GateError> {
        let revokes = |digest: &Digest| {
            let site = self.site.load();
            site.as_ref().is_some_and(|site| site.revokes(digest))
        };
        let origin = artifact.origin();
        if revokes(&origin.digest()) || revokes(&origin.component_digest()) {
            let what = format!("`{}` {}", origin.package(), origin.component_digest());
            return Err(GateError::Revoked { what });
        }
        Ok(artifact)
    }

    fn now(&self) -> Timestamp {
        self.record.lock().now()
    }
}
