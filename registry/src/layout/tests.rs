//! One store, as its users and those who would harm it see it.

mod concurrency;
mod contents;
mod garbage;
mod hostile;
mod scale;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use selvedge_artifact::{Descriptor, Digest, Manifest, Tag, media_type};
use tempfile::TempDir;

use super::Layout;

/// A store of its own.
pub(crate) struct Store {
    pub(crate) directory: TempDir,
    pub(crate) layout: Layout,
}

impl std::ops::Deref for Store {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.layout
    }
}

impl Store {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(&directory.path().join("store")).unwrap();
        Self { directory, layout }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("store").join(name)
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    /// Puts an artifact with one layer, and what is called `name` if not empty.
    pub(crate) fn artifact(&self, name: &str, content: &[u8]) -> Descriptor {
        self.put(name, &manifest(content, None))
    }

    /// Puts what is about an artifact.
    pub(crate) fn about(&self, subject: &Descriptor, content: &[u8]) -> Descriptor {
        self.put("", &manifest(content, Some(subject)))
    }

    fn put(&self, name: &str, (manifest, content): &(Vec<u8>, Vec<u8>)) -> Descriptor {
        self.put_blob(content).unwrap();
        self.put_blob(b"{}").unwrap();
        let parts = name.rsplit_once(':');
        let parts = parts.map(|(repository, text)| (repository, tag(text)));
        let name = parts.as_ref().map(|(repository, tag)| (*repository, tag));
        self.put_manifest(manifest, name).unwrap()
    }

    pub(crate) fn tag_names(&self) -> Vec<String> {
        let tags = self.tags().unwrap().into_iter();
        tags.map(|stored| format!("{}:{}", stored.repository, stored.tag))
            .collect()
    }

    /// Lets time pass for everything that is there.
    pub(crate) fn age(&self, by: Duration) {
        for directory in ["blobs/sha256", "partial"] {
            for file in fs_err::read_dir(self.path(directory)).unwrap() {
                let file = fs_err::File::open(file.unwrap().path()).unwrap();
                let then = SystemTime::now() - by;
                file.file().set_modified(then).unwrap();
            }
        }
    }
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// A manifest with one layer.
pub(crate) fn manifest(content: &[u8], subject: Option<&Descriptor>) -> (Vec<u8>, Vec<u8>) {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some("application/vnd.acme.thing".to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: vec![Descriptor::of(media_type::WASM, content)],
        subject: subject.cloned(),
        annotations: [("acme.note".to_owned(), "hello".to_owned())].into(),
    };
    (manifest.to_bytes(), content.to_vec())
}
