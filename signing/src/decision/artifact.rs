//! Step 3: are these the bytes that were asked for, and are they a plugin, or a
//! model?
//!
//! From the digest that was asked for to the manifest, and from the manifest to
//! configuration and layers. Every byte is hashed once: a component is large,
//! and its hash is most of the work of a decision.

use bytes::Bytes;
use selvedge_artifact::{
    ArtifactKind, Descriptor, Digest, Manifest, ModelContents, WasmConfig, media_type,
};
use semver::Version;

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
pub(super) struct Artifact<C> {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    /// What is run: the component, or the model's file.
    pub(super) component_digest: Digest,
    pub(super) layer_digests: Vec<Digest>,
    pub(super) contents: C,
}

/// What is in an artifact.
pub(super) trait Contents {
    /// What its own manifest says that it is called, if it has one.
    fn named(&self) -> Option<(&str, &Version)>;
}

/// What is in a plugin's.
#[derive(Debug)]
pub(super) struct Plugin {
    pub(super) component: Bytes,
    pub(super) config: WasmConfig,
}

impl Contents for Plugin {
    fn named(&self) -> Option<(&str, &Version)> {
        let plugin = self.config.plugin.as_ref()?;
        Some((&plugin.name, &plugin.version))
    }
}

impl Contents for ModelContents {
    fn named(&self) -> Option<(&str, &Version)> {
        Some((&self.manifest.name, &self.manifest.version))
    }
}

impl Artifact<Plugin> {
    pub(super) fn plugin(
        request: &Request,
        candidate: &Candidate,
        purpose: Purpose,
    ) -> Result<Self, Refusal> {
        let (digest, manifest) = manifest(request, candidate, purpose)?;
        let layer = only_layer(&manifest)?;
        if !manifest.config.describes(&candidate.config) {
            return Err(Refusal::ConfigMismatch(manifest.config.digest));
        }
        let [component] = candidate.layers.as_slice() else {
            return Err(Refusal::LayerCount(candidate.layers.len()));
        };
        if !layer.describes(component) {
            return Err(Refusal::ComponentMismatch(layer.digest));
        }
        let component_digest = layer.digest;
        check_component(component)?;
        let config = WasmConfig::parse(&candidate.config)
            .map_err(|error| Refusal::ConfigInvalid(cut_chain(&error).into()))?;
        if !config.layer_digests.is_empty() && config.layer_digests != [component_digest] {
            return Err(Refusal::ConfigLayers);
        }
        let component = component.clone();
        Ok(Self {
            digest,
            manifest,
            component_digest,
            layer_digests: vec![component_digest],
            contents: Plugin { component, config },
        })
    }
}

impl Artifact<ModelContents> {
    pub(super) fn model(
        request: &Request,
        candidate: &Candidate,
        purpose: Purpose,
    ) -> Result<Self, Refusal> {
        let (digest, manifest) = manifest(request, candidate, purpose)?;
        let expected = media_type::MODEL_CONFIG;
        check_kind(&manifest, ArtifactKind::Model, expected)?;
        if !manifest.config.describes(&candidate.config) {
            return Err(Refusal::ConfigMismatch(manifest.config.digest));
        }
        if manifest.layers.len() != candidate.layers.len() {
            return Err(Refusal::LayersMissing {
                named: manifest.layers.len(),
                found: candidate.layers.len(),
            });
        }
        let mut layers = manifest.layers.iter().zip(&candidate.layers);
        if let Some((layer, _)) = layers.find(|(layer, bytes)| !layer.describes(bytes)) {
            return Err(Refusal::FileMismatch(layer.digest));
        }
        let contents = ModelContents::read(&manifest, &candidate.config, &candidate.layers)
            .map_err(|error| Refusal::ModelInvalid(cut_chain(&error).into()))?;
        let layer_digests: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
        let path = contents.manifest.model.file.as_str();
        let path_of =
            |layer: &Descriptor| layer.annotations.get(media_type::MODEL_FILEPATH).cloned();
        let mut layers = manifest.layers.iter();
        let model = layers.find(|layer| path_of(layer).as_deref() == Some(path));
        let component_digest = model.map_or_else(|| Digest::of(&contents.model), |it| it.digest);
        Ok(Self {
            digest,
            manifest,
            component_digest,
            layer_digests,
            contents,
        })
    }
}

/// The manifest that was asked for.
fn manifest(
    request: &Request,
    candidate: &Candidate,
    purpose: Purpose,
) -> Result<(Digest, Manifest), Refusal> {
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
    Ok((digest, manifest))
}

/// A model is no plugin, whichever of the two types says so.
fn check_kind(
    manifest: &Manifest,
    kind: ArtifactKind,
    expected: &'static str,
) -> Result<(), Refusal> {
    if ArtifactKind::of(manifest) == Some(kind) {
        return Ok(());
    }
    let found = match manifest.config.media_type.as_str() {
        config if config == expected => manifest.kind(),
        config => config,
    };
    Err(Refusal::ConfigType {
        found: cut(found),
        expected,
    })
}

fn only_layer(manifest: &Manifest) -> Result<&Descriptor, Refusal> {
    check_kind(manifest, ArtifactKind::Plugin, media_type::WASM_CONFIG)?;
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
