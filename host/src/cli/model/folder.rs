//! A model as its author has it: `model.toml`, and the files that it names
//! beside it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_artifact::{ModelContents, ModelManifest, ModelRelease, PackageName};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::publish::source_date_epoch;

/// Bytes of one file: a host takes no larger one.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A model as its author has it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) manifest: ModelManifest,
    text: Bytes,
    files: Vec<Bytes>,
}

impl Folder {
    /// Reads `model.toml` at `path`, or in it, and what it names.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let path: PathBuf = match path.is_dir() {
            true => path.join(ModelManifest::FILE),
            false => path.to_owned(),
        };
        let text = read(&path)?;
        let manifest = ModelManifest::parse(&text);
        let manifest = manifest.map_err(|error| Failure::about(&path, error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = manifest.files().map(|file| read(&folder.join(file)));
        let files = files.collect::<Outcome<_>>()?;
        Ok(Self {
            manifest,
            text,
            files,
        })
    }

    /// What a host would get of it.
    pub(super) fn contents(&self) -> ModelContents {
        let manifest = &self.manifest;
        let mut files = self.files.iter().cloned();
        ModelContents {
            model: files.next().unwrap_or_default(),
            weights: manifest.model.weights.as_ref().and_then(|_| files.next()),
            golden: files.by_ref().take(manifest.golden.len()).collect(),
            docs: files.collect(),
            manifest: manifest.clone(),
        }
    }

    /// What is released of it, as `package`.
    pub(super) fn release(self, package: PackageName) -> Outcome<ModelRelease> {
        Ok(ModelRelease {
            package,
            created: source_date_epoch()?,
            manifest: self.text,
            files: self.files,
        })
    }
}

/// The bytes of a file, within bounds.
pub(super) fn read(path: &Path) -> Outcome<Bytes> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(Failure::about(path, what));
    }
    Ok(bytes.into())
}
