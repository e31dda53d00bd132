//! The proof that a model was verified.

use bytes::Bytes;
use selvedge_artifact::{ModelContents, ModelManifest};

use crate::Origin;

/// A model that a publisher vouches for whom the policy lets release models.
///
/// Only [`crate::Verifier::verify_model`] makes one, by the same steps as for a
/// plugin. What was verified cannot be exchanged afterwards:
///
/// ```compile_fail
/// use bytes::Bytes;
/// use selvedge_signing::VerifiedModel;
///
/// fn with_file(verified: VerifiedModel, model: Bytes) -> VerifiedModel {
///     let mut contents = verified.contents.clone();
///     contents.model = model;
///     VerifiedModel { contents, ..verified }
/// }
/// ```
///
/// It can be read, and handed on as a whole:
///
/// ```
/// use bytes::Bytes;
/// use selvedge_signing::VerifiedModel;
///
/// fn with_file(verified: VerifiedModel) -> (VerifiedModel, Bytes) {
///     let model = verified.model().clone();
///     (verified, model)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedModel {
    pub(crate) origin: Origin,
    pub(crate) contents: ModelContents,
}

impl VerifiedModel {
    /// What it is, and by whose word it may run.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same, without the bytes.
    pub fn into_origin(self) -> Origin {
        self.origin
    }

    /// All of its files.
    pub fn contents(&self) -> &ModelContents {
        &self.contents
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &ModelManifest {
        &self.contents.manifest
    }

    /// The model file.
    pub fn model(&self) -> &Bytes {
        &self.contents.model
    }

    /// The weights, where the form keeps them apart.
    pub fn weights(&self) -> Option<&Bytes> {
        self.contents.weights.as_ref()
    }

    /// The golden vectors, in the manifest's order.
    pub fn golden(&self) -> &[Bytes] {
        &self.contents.golden
    }
}
