//! By whose word the models of deployments serve.
//!
//! What is told of a model, and revoked with it, is known by the digest of its
//! artifact, which a document names. What no document names any more is
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_signing::Origin;

use super::document::Document;
use crate::names::{Digest, ModelName, Reference};

/// Origins that are kept while nothing says which are needed: more than any two
/// deployments have models.
const KEPT_MAX: usize = 1_024;

/// The models that were verified here, by the digests of their artifacts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelOrigins(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    origins: BTreeMap<Digest, Arc<Origin>>,
    /// Those of what is in force: no number of others makes them be forgotten.
    in_force: BTreeSet<Digest>,
}

impl ModelOrigins {
    /// Remembers one that was verified.
    pub(super) fn verified(&self, origin: &Origin) {
        let mut known = self.0.lock();
        let Known { origins, in_force } = &mut *known;
        if origins.len() >= KEPT_MAX {
            origins.retain(|digest, _| in_force.contains(digest));
        }
        origins.insert(origin.digest(), Arc::new(origin.clone()));
    }

    /// Those of the models of `document`, by name; models that are files have none.
    pub(super) fn of(&self, document: &Document) -> BTreeMap<ModelName, Arc<Origin>> {
        let known = self.0.lock();
        let models = document.models.iter();
        let origin = |reference: &Reference| known.origins.get(&reference.digest()?).cloned();
        let named = models
            .filter_map(|(name, model)| Some((name.clone(), origin(model.artifact.as_ref()?)?)));
        named.collect()
    }

    /// That of an artifact.
    pub(super) fn of_artifact(&self, artifact: &Digest) -> Option<Arc<Origin>> {
        self.0.lock().origins.get(artifact).cloned()
    }

    /// Forgets all but those of `document`, which has been committed.
    pub(super) fn keep(&self, document: &Document) {
        let models = document.models.values();
        let artifacts = models.filter_map(|model| model.artifact.as_ref()?.digest());
        let in_force: BTreeSet<_> = artifacts.collect();
        let mut known = self.0.lock();
        known.origins.retain(|digest, _| in_force.contains(digest));
        known.in_force = in_force;
    }
}
