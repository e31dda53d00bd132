//! Libraries that are not what they should be.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::installed;
use crate::inference::config::OpenvinoConfig;
use crate::inference::openvino::open;
use crate::inference::{Backends, InferenceConfig, LoadError, Unavailable, native_library};
use crate::spec::{BackendChoice, BackendKind};

fn refused(config: &OpenvinoConfig) -> Unavailable {
    let status = open(config).err().unwrap();
    assert_eq!(status.backend, BackendKind::Openvino);
    assert!(status.providers.is_empty());
    let why = status.unavailable.unwrap();
    assert!(why.help.is_some(), "{why:?}");
    why
}

fn pinned(library: &Path) -> OpenvinoConfig {
    OpenvinoConfig {
        library: library.to_owned(),
        files: native_library::pin(library).unwrap(),
        gpu: false,
    }
}

/// In a folder that only we can write to.
fn lone(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let library = folder.path().join(name);
    fs_err::write(&library, bytes).unwrap();
    fs_err::set_permissions(&library, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, library)
}

#[test]
fn a_library_that_is_missing_is_a_status_and_stops_only_the_models_that_need_it() {
    let missing = OpenvinoConfig {
        library: "/nowhere/libopenvino_c.so".into(),
        files: Default::default(),
        gpu: false,
    };
    assert_eq!(refused(&missing).code, "library-missing");
    let backends = Backends::open(&InferenceConfig {
        openvino: Some(missing),
        ..InferenceConfig::default()
    });
    let model = super::source(super::autoencoder());
    let store = crate::inference::ModelStore::with(Default::default(), backends);
    let error = store.prepare(&model).unwrap_err();
    assert!(
        matches!(&error, LoadError::BackendUnavailable { why, .. } if why.contains("/nowhere/")),
        "{error:?}"
    );
    let other = crate::inference::ModelSource {
        backend: BackendChoice::Auto,
        ..model
    };
    assert_eq!(store.prepare(&other).unwrap().backend(), BackendKind::Tract);
}

#[test]
fn what_is_not_openvino_is_never_loaded() {
    let libc = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"].map(|folder| {
        let path = Path::new(folder).join("libm.so.6");
        fs_err::read(path).unwrap_or_default()
    });
    let libc = libc.concat();
    for bytes in [b"not a library at all".as_slice(), &libc, b""] {
        let (_folder, library) = lone("libopenvino_c.so.1", bytes);
        let why = refused(&pinned(&library));
        assert_eq!(why.code, "library-not-a-library");
        assert!(why.reason.contains("libopenvino_c.so.1"), "{why:?}");
    }
}

#[test]
fn a_damaged_or_a_second_library_is_refused() {
    let Some(config) = installed() else { return };
    open(&config).ok().unwrap();
    let bytes = fs_err::read(&config.library).unwrap();
    let (_folder, library) = lone("libopenvino_c.so.2641", &bytes);
    assert_eq!(refused(&pinned(&library)).code, "library-another-loaded");
    let half = bytes.get(..bytes.len() / 2).unwrap();
    let (_folder, library) = lone("libopenvino_c.so.2641", half);
    let code = refused(&pinned(&library)).code;
    assert!(
        ["library-another-loaded", "library-not-a-library"].contains(&code.as_str()),
        "{code}"
    );
}

#[test]
fn a_library_with_another_digest_is_refused() {
    let Some(mut config) = installed() else {
        return;
    };
    let (_, digest) = config.files.iter_mut().next().unwrap();
    *digest = crate::names::Digest::of(b"another");
    assert_eq!(refused(&config).code, "library-digest");
    let Some(mut config) = installed() else {
        return;
    };
    let first = config.files.keys().next().unwrap().clone();
    config.files.remove(&first);
    assert_eq!(refused(&config).code, "library-unlisted-file");
}
