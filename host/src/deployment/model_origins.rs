//! By whose word the models of deployments serve.
//!
//! What is told of a model, and revoked with it, is known by the digest of its
//! artifact, which a document names. What no document names any more is
//! forgotten.

use std::collections::BTreeMap;
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
pub(crate) struct ModelOrigins(Arc<Mutex<BTreeMap<Digest, Arc<Origin>>>>);

impl ModelOrigins {
    /// Remembers one that was verified.
    pub(super) fn verified(&self, origin: &Origin) {
        let mut origins = self.0.lock();
        if origins.len() >= KEPT_MAX {
            origins.clear();
        }
        origins.insert(origin.digest(), Arc::new(origin.clone()));
    }

    /// Those of the models of `document`, by name; models that are files have none.
    pub(super) fn of(&self, document: &Document) -> BTreeMap<ModelName, Arc<Origin>> {
        let origins = self.0.lock();
        let models = document.models.iter();
        let origin = |reference: &Reference| origins.get(&reference.digest()?).cloned();
        let known = models
            .filter_map(|(name, model)| Some((name.clone(), origin(model.artifact.as_ref()?)?)));
        known.collect()
    }

    /// Those of the artifacts that the file came with.
    pub(super) fn of_file(&self, file: &Digest) -> Vec<Arc<Origin>> {
        let origins = self.0.lock();
        let same = origins.values().filter(|it| it.component_digest() == *file);
        same.cloned().collect()
    }

    /// Forgets all but those of `document`, which has been committed.
    pub(super) fn keep(&self, document: &Document) {
        let kept: Vec<_> = document.models.values().collect();
        let named = |digest: &Digest| {
            let mut references = kept.iter().filter_map(|model| model.artifact.as_ref());
            references.any(|reference| reference.digest().as_ref() == Some(digest))
        };
        self.0.lock().retain(|digest, _| named(digest));
    }
}
