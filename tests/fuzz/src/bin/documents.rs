//! The documents of a hostile registry: no bytes may make a parser panic, and
//! what is accepted is the same after it was written and read again.
//!
//! From this folder: `cargo run --release --bin documents -- FOLDER -use_value_profile=1`
//! with a folder for the inputs that it keeps; `-max_total_time=60` ends it. It
//! needs a C++ compiler.

#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_artifact::{Index, Manifest, PluginManifest, WasmConfig};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
    }
    if let Ok(index) = Index::parse(bytes) {
        assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    }
    if let Ok(config) = WasmConfig::parse(bytes) {
        assert_eq!(WasmConfig::parse(&config.to_bytes()).unwrap(), config);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PluginManifest::parse(text);
    }
});
