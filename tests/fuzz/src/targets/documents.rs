//! The documents of a hostile registry.

use selvedge_artifact::{Index, Manifest, WasmConfig};

pub(super) fn check(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
    }
    if let Ok(index) = Index::parse(bytes) {
        assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    }
    if let Ok(config) = WasmConfig::parse(bytes) {
        assert_eq!(WasmConfig::parse(&config.to_bytes()).unwrap(), config);
    }
}
