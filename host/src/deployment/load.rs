//! Brings what a document names: read once, bounded, and for components
//! verified. What is not verified never gets further than here.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use selvedge_registry::{Progress, Silent};
use selvedge_signing::{Origin, VerifiedArtifact};
use tracing::{info, warn};

use super::deployments::BesideFault;
use super::document::component_source::{ComponentSource, FilePath};
use super::document::handed::Files;
use super::document::{Document, Model, Plugin};
use super::model_artifact::{self, DescriptionError};
use super::{DeployFault, Deployer};
use crate::artifacts::ArtifactError;
use crate::inference::{self, Chosen, Golden, GoldenError, ModelSource};
use crate::names::{Digest, ModelName, PluginName, Reference};
use crate::storage::FileError;
use crate::trust::GateError;

/// Bytes of a component, a model or a golden vector.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    #[error("there is no shipped plugin `{0}`")]
    NotShipped(PluginName),
    #[error("there is no file {0}")]
    Missing(String),
    #[error("cannot read the file")]
    Read(#[from] std::io::Error),
    #[error("cannot read the file that was handed in")]
    Handed(#[from] FileError),
    #[error("{path} has more than {FILE_BYTES_MAX} bytes", path = path.display())]
    TooLarge { path: PathBuf },
    #[error("its digest is {found}, but the deployment asks for {expected}")]
    Digest { found: Digest, expected: Digest },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("it may not run here")]
    Refused(#[from] GateError),
    #[error("the check did not end")]
    Interrupted,
    #[error("its golden vector cannot be read")]
    Golden(#[source] GoldenError),
    #[error("this host cannot run it as its publisher means it")]
    Description(#[source] Box<DescriptionError>),
    #[error("it names neither an artifact nor a file")]
    NoModel,
}

impl LoadFault {
    /// A stable name, if it is of another's making.
    pub(super) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refused) => Some(refused.code()),
            Self::Artifact(error) => Some(error.code()),
            _ => None,
        }
    }
}

/// Where components come from that a document does not bring along.
#[derive(Clone)]
pub struct FindPlugin {
    /// The plugins that come with the binary.
    pub shipped: fn(&str) -> Option<Shipped>,
    /// Whether the file of a model comes with the binary.
    pub shipped_model: fn(&Digest) -> bool,
    /// Where files are looked for after the folder of the document.
    pub directories: Arc<[PathBuf]>,
}

/// A plugin that comes with the binary.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    pub component: &'static [u8],
    /// Its `plugin.toml`.
    pub manifest: Option<&'static str>,
}

impl fmt::Debug for FindPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FindPlugin")
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

/// Brings what `plugin` is made from to this device, without looking into it.
pub(super) async fn bring(
    deployer: &Deployer,
    plugin: &Plugin,
    progress: &dyn Progress,
) -> Result<(), LoadFault> {
    // What is shipped or was handed in is here.
    if let ComponentSource::Artifact(reference) = &plugin.component {
        drop(deployer.artifacts.obtain(reference, progress).await?);
    }
    Ok(())
}

/// What `plugin` is made from, out of what was brought, verified.
pub(super) async fn artifact(
    deployer: &Deployer,
    document: &Document,
    name: &PluginName,
    plugin: &Plugin,
) -> Result<VerifiedArtifact, LoadFault> {
    let gate = Arc::clone(&deployer.gate);
    let artifact = match plugin.component.clone() {
        ComponentSource::Shipped(shipped) => {
            let found = (deployer.find.shipped)(shipped.as_str());
            let Shipped {
                component,
                manifest,
            } = found.ok_or_else(|| LoadFault::NotShipped(shipped.clone()))?;
            let component = Bytes::from_static(component);
            off_executor(move || Ok(gate.shipped(&shipped, component, manifest)?)).await?
        }
        ComponentSource::Artifact(reference) => {
            let store = deployer.artifacts.offline();
            let candidate = store.obtain(&reference, &Silent).await?;
            off_executor(move || Ok(gate.admit(&reference, &candidate)?)).await?
        }
        ComponentSource::File(path) => {
            let (name, files) = (name.clone(), document.files().clone());
            let (folder, directories) = (document.folder().to_owned(), &deployer.find.directories);
            let directories = Arc::clone(directories);
            off_executor(move || {
                let bytes = file(&files, &path, &folder, &directories)?;
                Ok(gate.development(&name, bytes)?)
            })
            .await?
        }
    };
    let found = artifact.origin().component_digest();
    match plugin.digest {
        Some(expected) if expected != found => Err(LoadFault::Digest { found, expected }),
        _ => Ok(artifact),
    }
}

/// Files are read and signatures computed where waiting is allowed.
async fn off_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadFault> + Send + 'static,
) -> Result<T, LoadFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| LoadFault::Interrupted)?
}

/// A file that a document names, wherever it is.
fn file(
    files: &Files,
    path: &FilePath,
    folder: &Path,
    directories: &[PathBuf],
) -> Result<Bytes, LoadFault> {
    let missing = || LoadFault::Missing(path.as_path().display().to_string());
    match files {
        Files::Beside => read(&path.find(folder, directories).ok_or_else(missing)?),
        Files::Handed(store, _) => Ok(store.get(&files.digest(path).ok_or_else(missing)?)?),
    }
}

/// Brings what `model` is made from to this device, without looking into it.
pub(super) async fn bring_model(
    deployer: &Deployer,
    model: &Model,
    progress: &dyn Progress,
) -> Result<(), LoadFault> {
    if let Some(reference) = &model.artifact {
        deployer.artifacts.bring(reference, progress).await?;
    }
    Ok(())
}

/// The model, out of what was brought, verified, with the vectors that it must
/// reproduce. Blocks.
fn model(
    deployer: &Deployer,
    document: &Document,
    model: &Model,
) -> Result<ModelSource, LoadFault> {
    let from = |path: &FilePath| file(document.files(), path, document.folder(), &[]);
    let mut source = match (&model.artifact, &model.path) {
        (Some(reference), _) => artifact_of(deployer, reference)?,
        (None, Some(path)) => {
            let bytes = from(path)?;
            let source = ModelSource::onnx(bytes);
            let shipped = (deployer.find.shipped_model)(&source.digest);
            deployer.gate.model_file(&source.digest, shipped)?;
            source
        }
        (None, None) => return Err(LoadFault::NoModel),
    };
    match model.digest {
        Some(expected) if expected != source.digest => {
            let found = source.digest;
            return Err(LoadFault::Digest { found, expected });
        }
        _ => {}
    }
    if let Some(path) = &model.golden {
        let golden = Golden::parse(&from(path)?).map_err(LoadFault::Golden)?;
        source.golden.push(golden);
    }
    source.backend = model.backend.unwrap_or(source.backend);
    source.target = model.target.unwrap_or(source.target);
    source.options = model.run.unwrap_or(source.options);
    Ok(source)
}

/// The model of an artifact that is in the store, verified.
fn artifact_of(deployer: &Deployer, reference: &Reference) -> Result<ModelSource, LoadFault> {
    let (source, origin) = stored_model(deployer, reference)?;
    deployer.model_origins.verified(&origin);
    Ok(source)
}

/// The same, and by whose word it may serve. Blocks.
pub(super) fn stored_model(
    deployer: &Deployer,
    reference: &Reference,
) -> Result<(ModelSource, Origin), LoadFault> {
    let candidate = deployer.artifacts.stored(reference)?;
    let verified = deployer.gate.admit_model(reference, &candidate)?;
    let origin = verified.origin();
    info!(
        digest = %origin.digest(),
        package = %origin.package(),
        model_version = %origin.version(),
        publisher = origin.publisher(),
        "model verified"
    );
    let source = model_artifact::source(verified.contents());
    let source = source.map_err(|error| LoadFault::Description(Box::new(error)))?;
    let artifact = Some(origin.digest());
    Ok((ModelSource { artifact, ..source }, verified.into_origin()))
}

/// The model of an artifact, as its manifest asks for it, and by whose word it
/// serves. Computes for a while.
pub(super) fn prepared_alone(
    deployer: &Deployer,
    reference: &Reference,
) -> Result<(Arc<inference::Model>, Origin), BesideFault> {
    let (source, origin) = stored_model(deployer, reference)?;
    Ok((deployer.models.prepare(&source)?, origin))
}

fn read(path: &Path) -> Result<Bytes, LoadFault> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadFault::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes.into())
}

/// The model, loaded and tried out. Computes for a while. What computes it is what
/// is `recorded`.
pub(super) fn prepared(
    deployer: &Deployer,
    document: &Document,
    (name, asked): (&ModelName, &Model),
    recorded: Option<&Chosen>,
) -> Result<Arc<inference::Model>, DeployFault> {
    let source = model(deployer, document, asked).map_err(|source| DeployFault::ModelFile {
        model: name.clone(),
        source,
    })?;
    let prepared = match recorded {
        Some(recorded) => deployer.models.prepare_as(&source, recorded),
        None => deployer.models.prepare(&source),
    };
    let prepared = prepared.map_err(|source| DeployFault::Model {
        model: name.clone(),
        source,
    })?;
    let now = Chosen::of(&prepared);
    if let Some(before) = recorded.filter(|before| **before != now) {
        warn!(
            model = name.as_str(),
            before = %before,
            now = %now,
            degraded = prepared.degraded(),
            "model runs elsewhere than when it was taken into service"
        );
    }
    Ok(prepared)
}
