//! The documents of a hostile registry.

use selvedge_artifact::{Index, Manifest, WasmConfig};

use crate::printable::accepted;

pub(super) fn check(bytes: &[u8]) {
    if let Some(manifest) = accepted(Manifest::parse(bytes)) {
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
    }
    if let Some(index) = accepted(Index::parse(bytes)) {
        assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    }
    if let Some(config) = accepted(WasmConfig::parse(bytes)) {
        assert_eq!(WasmConfig::parse(&config.to_bytes()).unwrap(), config);
    }
}
