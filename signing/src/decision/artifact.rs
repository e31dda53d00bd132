//! Step 3: are these the bytes that were asked for, and are they a plugin?
//!
//! From the digest that was asked for to the manifest, and from the manifest to
//! configuration and component. Every byte is hashed once: a component is large,
//! and its hash is most of the work of a decision.

use selvedge_artifact::{Descriptor, Digest, Manifest, WasmConfig, media_type};

use crate::{Candidate, Purpose, Refusal, Request};
use selvedge_artifact::foreign::{cut, cut_chain};

/// What a component begins with: magic number, version 13 of the format, layer
/// 1 (Component Model, Binary.md).
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// What a module begins with (WebAssembly core specification, 5.5.16).
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// What code that wasmtime compiled begins with, like other ELF files.
const ELF: &[u8] = b"\x7fELF";

/// An artifact whose bytes are whole.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) config: WasmConfig,
    pub(super) component_digest: Digest,
}

impl Artifact {
    pub(super) fn read(
        request: &Request,
        candidate: &Candidate,
        purpose: Purpose,
    ) -> Result<Self, Refusal> {
        if purpose != Purpose::Install && request.digest.is_none() {
            return Err(Refusal::ResumeWithoutDigest(request.package.clone()));
        }
        let digest = Digest::of(&candidate.manifest);
        match request.digest {
            Some(asked) if asked != digest => {
                let found = digest;
                return Err(Refusal::DigestMismatch { asked, found });
            }
            _ => {}
        }
        let manifest = Manifest::parse(&candidate.manifest)
            .map_err(|error| Refusal::ManifestInvalid(cut_chain(&error).into()))?;
        let layer = only_layer(&manifest)?;
        if !manifest.config.describes(&candidate.config) {
            return Err(Refusal::ConfigMismatch(manifest.config.digest));
        }
        if !layer.describes(&candidate.component) {
            return Err(Refusal::ComponentMismatch(layer.digest));
        }
        let component_digest = layer.digest;
        check_component(&candidate.component)?;
        let config = WasmConfig::parse(&candidate.config)
            .map_err(|error| Refusal::ConfigInvalid(cut_chain(&error).into()))?;
        if !config.layer_digests.is_empty() && config.layer_digests != [component_digest] {
            return Err(Refusal::ConfigLayers);
        }
        Ok(Self {
            digest,
            manifest,
            config,
            component_digest,
        })
    }
}

fn only_layer(manifest: &Manifest) -> Result<&Descriptor, Refusal> {
    if manifest.config.media_type != media_type::WASM_CONFIG {
        return Err(Refusal::ConfigType {
            found: cut(&manifest.config.media_type),
            expected: media_type::WASM_CONFIG,
        });
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(Refusal::LayerCount(manifest.layers.len()));
    };
    if layer.media_type != media_type::WASM {
        return Err(Refusal::LayerType {
            found: cut(&layer.media_type),
            expected: media_type::WASM,
        });
    }
    Ok(layer)
}

fn check_component(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes {
        bytes if bytes.starts_with(COMPONENT) => Ok(()),
        bytes if bytes.starts_with(ELF) => Err(Refusal::NativeCode),
        bytes if bytes.starts_with(MODULE) => Err(Refusal::CoreModule),
        _ => Err(Refusal::NotAComponent),
    }
}
