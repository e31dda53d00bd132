//! `plugin.toml`, which travels inside the configuration of an artifact.

use selvedge_artifact::{Digest, PluginManifest, WasmConfig};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(plugin) = PluginManifest::parse(text) else {
        return;
    };
    let config = WasmConfig {
        created: None,
        author: None,
        architecture: "wasm".to_owned(),
        os: "wasip2".to_owned(),
        layer_digests: vec![Digest::of(b"")],
        component: None,
        plugin: Some(plugin),
    };
    assert_eq!(WasmConfig::parse(&config.to_bytes()).unwrap(), config);
}
