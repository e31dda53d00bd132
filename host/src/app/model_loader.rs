//! Brings models for the inference API, through the same gate as a deployment's.

use futures::future::BoxFuture;

use crate::deployment::Deployer;
use crate::inference::ModelSource;
use crate::inference_api::{LoaderError, LoaderErrorKind, ModelLoader};
use crate::names::Reference;

/// The device's store of artifacts.
pub(super) struct Store(pub(super) Deployer);

impl ModelLoader for Store {
    fn load(&self, reference: Reference) -> BoxFuture<'static, Result<ModelSource, LoaderError>> {
        let store = self.0.artifacts.offline();
        Box::pin(async move {
            let found = store.find(&reference).map_err(|error| LoaderError {
                kind: LoaderErrorKind::Failed,
                code: error.code().to_owned(),
                message: crate::error_chain::ErrorChain(&error).to_string(),
            })?;
            let (kind, code, message) = match found {
                None => (
                    LoaderErrorKind::Missing,
                    "artifact-missing",
                    format!("there is no artifact `{reference}` in the store"),
                ),
                Some(_) => (
                    LoaderErrorKind::Refused,
                    "model-not-verified",
                    format!("the artifact `{reference}` is not verified as a model"),
                ),
            };
            Err(LoaderError {
                kind,
                code: code.to_owned(),
                message,
            })
        })
    }
}
