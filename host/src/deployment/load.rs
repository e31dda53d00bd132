//! Reads what a document names: once, bounded, and checked against its digest.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::Loaded;
use super::document::component_source::{ComponentSource, FilePath};
use super::document::{Document, Model, Plugin};
use crate::inference::{Golden, GoldenError, ModelSource};
use crate::names::{Digest, PluginName};

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
    #[error("{path} has more than {FILE_BYTES_MAX} bytes", path = path.display())]
    TooLarge { path: PathBuf },
    #[error("its digest is {found}, but the deployment asks for {expected}")]
    Digest { found: Digest, expected: Digest },
    #[error("its golden vector cannot be read")]
    Golden(#[source] GoldenError),
}

/// Where components come from that a document does not bring along.
#[derive(Clone)]
pub struct FindPlugin {
    /// The plugins that come with the binary.
    pub shipped: fn(&str) -> Option<&'static [u8]>,
    /// Where files are looked for after the folder of the document.
    pub directories: Arc<[PathBuf]>,
}

impl fmt::Debug for FindPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FindPlugin")
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

/// The component of `plugin`.
pub(super) fn component(
    document: &Document,
    plugin: &Plugin,
    find: &FindPlugin,
) -> Result<Loaded, LoadFault> {
    let bytes = match &plugin.component {
        ComponentSource::Shipped(name) => {
            let shipped = (find.shipped)(name.as_str());
            Bytes::from_static(shipped.ok_or_else(|| LoadFault::NotShipped(name.clone()))?)
        }
        ComponentSource::File(path) => {
            let found = path.find(document.folder(), &find.directories);
            read(&found.ok_or_else(|| LoadFault::Missing(path.as_path().display().to_string()))?)?
        }
    };
    checked(bytes, plugin.digest)
}

/// The model, with the vector that it must reproduce.
pub(super) fn model(document: &Document, model: &Model) -> Result<ModelSource, LoadFault> {
    let from = |path: &FilePath| read(&path.within(document.folder()));
    let (bytes, digest) = checked(from(&model.path)?, model.digest)?;
    let golden = model
        .golden
        .as_ref()
        .map(|path| -> Result<Golden, LoadFault> {
            Golden::parse(&from(path)?).map_err(LoadFault::Golden)
        });
    Ok(ModelSource {
        bytes,
        digest,
        backend: model.backend,
        target: model.target,
        golden: golden.transpose()?,
    })
}

/// What was read is what is checked and used: nothing comes between.
fn checked(bytes: Bytes, expected: Option<Digest>) -> Result<Loaded, LoadFault> {
    let found = Digest::of(&bytes);
    match expected {
        Some(expected) if expected != found => Err(LoadFault::Digest { found, expected }),
        _ => Ok((bytes, found)),
    }
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
