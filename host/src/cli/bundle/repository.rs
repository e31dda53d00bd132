//! A trust repository as an artifact, so that it travels with what it is about.
//!
//! Its files are the artifact's layers, each with its name as the title, as
//! other registry clients write files. It replaces the one of the host only if
//! the host would believe it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use selvedge_artifact::{Annotations, Descriptor, Digest, Manifest, Tag, media_type};
use selvedge_registry::Layout;
use selvedge_signing::RepositoryFiles;

use crate::cli::failure::{Failure, Outcome};
use crate::trust::{TrustConfig, believes, repository_files};

/// What such an artifact is.
const ARTIFACT_TYPE: &str = "application/vnd.selvedge.trust-repository.v1";
/// One of its files.
const FILE_TYPE: &str = "application/vnd.selvedge.trust-repository.file.v1";
/// Annotation of a layer: the file's name (OCI image-spec 1.1, annotations.md).
const TITLE: &str = "org.opencontainers.image.title";
/// What it is called in a store.
const NAME: &str = "selvedge/trust-repository";
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Puts the repository in `directory` into `layout`.
pub(super) fn put(directory: &Path, layout: &Layout) -> Outcome<Digest> {
    let mut layers = Vec::new();
    for (name, bytes) in repository_files(directory)? {
        layout.put_blob(&bytes)?;
        let mut layer = Descriptor::of(FILE_TYPE, &bytes);
        layer.annotations = BTreeMap::from([(TITLE.to_owned(), name)]);
        layers.push(layer);
    }
    let empty = b"{}";
    layout.put_blob(empty)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(ARTIFACT_TYPE.to_owned()),
        config: Descriptor::of(media_type::EMPTY, empty),
        layers,
        subject: None,
        annotations: Annotations::new(),
    };
    let tag: Tag = "latest".parse()?;
    let put = layout.put_manifest(&manifest.to_bytes(), Some((NAME, &tag)))?;
    Ok(put.digest)
}

/// Whether a manifest of `layout` is such an artifact.
pub(super) fn is_one(layout: &Layout, manifest: &Descriptor) -> bool {
    let bytes = layout.blob(&manifest.digest, FILE_BYTES_MAX);
    let parsed = bytes.ok().and_then(|bytes| Manifest::parse(&bytes).ok());
    parsed.is_some_and(|parsed| parsed.kind() == ARTIFACT_TYPE)
}

/// Puts what `layout` holds as `digest` in the place of the host's repository, if
/// the host would believe it.
pub(super) fn replace(config: &TrustConfig, layout: &Layout, digest: &Digest) -> Outcome<()> {
    let manifest = Manifest::parse(&layout.blob(digest, FILE_BYTES_MAX)?)?;
    let mut files = RepositoryFiles::new();
    for layer in &manifest.layers {
        let name = layer.annotations.get(TITLE).filter(|name| is_plain(name));
        let name = name.ok_or_else(|| {
            Failure::new(
                "a file of the trust repository has no name that it may have",
                None,
            )
        })?;
        files.insert(name.clone(), layout.blob(&layer.digest, FILE_BYTES_MAX)?);
    }
    believes(config, files.clone(), Timestamp::now())?;
    // Without a slash at its end, after which the name would go on inside of it.
    let repository: PathBuf = config.repository.components().collect();
    let (new, old) = (beside(&repository, "new"), beside(&repository, "old"));
    for leftover in [&new, &old] {
        if leftover.exists() {
            fs_err::remove_dir_all(leftover)?;
        }
    }
    for (name, bytes) in &files {
        let path = new.join(name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        fs_err::write(path, bytes)?;
    }
    if repository.exists() {
        fs_err::rename(&repository, &old)?;
    }
    fs_err::rename(&new, &repository)?;
    if old.exists() {
        fs_err::remove_dir_all(&old)?;
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// `metadata/1.root.json` and the like: nothing that leads out of the folder.
fn is_plain(name: &str) -> bool {
    let letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'%');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter);
    name.len() <= 255 && name.split('/').count() <= 3 && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "timestamp.json",
            "metadata/1.root.json",
            "targets/ab.policy.json",
        ] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../root.json",
            "a/../b",
            "a//b",
            "a/b/c/d",
            "a\\b",
            "a\0",
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
