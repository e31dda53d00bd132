//! Models, by the same steps as plugins and a grant of their own.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, Manifest, ModelConfig, ModelRelease, media_type};
use selvedge_signing::{Candidate, Device, Effect, Purpose, Refusal, Request, Step, VerifiedModel};

use crate::site::{COMPONENT, Site, packaged};

const ONNX: &[u8] = b"an ONNX file";

fn model(package: &str, version: &str) -> Candidate {
    let package: selvedge_artifact::PackageName = package.parse().unwrap();
    let toml = format!(
        "name = '{}'\nversion = '{version}'\ngolden = ['a.json']\n[model]\nfile = 'm.onnx'\n",
        package.name()
    );
    let release = ModelRelease {
        package,
        created: None,
        manifest: toml.into(),
        files: vec![Bytes::from_static(ONNX), Bytes::from_static(b"golden")],
    };
    let packaged = release.package().unwrap();
    let blobs = packaged.blobs.iter();
    Candidate {
        manifest: packaged.manifest,
        config: packaged.blobs[0].1.clone(),
        layers: blobs.skip(1).map(|(_, bytes)| bytes.clone()).collect(),
        bundles: Vec::new(),
    }
}

/// Where `acme` may release models and plugins, and has released a model.
fn site() -> Site {
    let mut site = Site::new();
    site.policy.grants[0].kinds.insert(ArtifactKind::Model);
    site.replace(model("acme/thermostat", "1.2.0"));
    site
}

fn verify(site: &Site, request: &Request) -> Result<VerifiedModel, Refusal> {
    let seen = "1.2.0".parse().unwrap();
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Install,
        version_seen: Some(&seen),
        accepted: &[],
    };
    let verifier = site.verifier();
    verifier.verify_model(request, &site.candidate, &device)
}

#[track_caller]
fn is_refused(site: &Site, step: Step, code: &str) {
    let request = Request {
        version: None,
        ..site.request()
    };
    let refusal = verify(site, &request).unwrap_err();
    assert_eq!((refusal.step(), refusal.code()), (step, code), "{refusal}");
}

#[test]
fn a_model_is_verified_with_every_file() {
    let site = site();
    let verified = verify(&site, &site.request()).unwrap();
    let origin = verified.origin();
    assert_eq!(origin.kind(), ArtifactKind::Model);
    assert_eq!(origin.component_digest(), Digest::of(ONNX));
    assert_eq!(origin.layer_digests().len(), 3);
    assert_eq!((origin.publisher(), origin.accepted().len()), ("acme", 1));
    assert_eq!(verified.model(), ONNX);
    assert_eq!(verified.golden(), [&b"golden"[..]]);
}

#[test]
fn whoever_may_release_plugins_may_not_release_models_and_the_other_way_round() {
    let mut site = site();
    site.policy.grants[0].kinds = [ArtifactKind::Plugin].into();
    is_refused(&site, Step::Grant, "kind-not-granted");
    site.policy.grants[0].kinds = [ArtifactKind::Model].into();
    assert!(verify(&site, &site.request()).is_ok());
    site.replace(packaged("acme/thermostat", "1.2.0", COMPONENT));
    site.is_refused(Step::Grant, "kind-not-granted");
}

#[test]
fn a_plugin_never_passes_as_a_model_nor_a_model_as_a_plugin() {
    let mut site = site();
    site.is_refused(Step::Integrity, "config-type-unsupported");
    site.replace(packaged("acme/thermostat", "1.2.0", COMPONENT));
    is_refused(&site, Step::Integrity, "config-type-unsupported");
    // What says to be both is neither.
    site.edit_manifest(|manifest| manifest.artifact_type = Some(media_type::MODEL.to_owned()));
    site.is_refused(Step::Integrity, "config-type-unsupported");
    is_refused(&site, Step::Integrity, "config-type-unsupported");
    site.replace(model("acme/thermostat", "1.2.0"));
    site.edit_manifest(|manifest| manifest.artifact_type = Some(media_type::WASM.to_owned()));
    site.is_refused(Step::Integrity, "config-type-unsupported");
    is_refused(&site, Step::Integrity, "config-type-unsupported");
}

#[test]
fn changed_or_missing_files_are_refused() {
    let refused = |edit: fn(&mut Candidate), code: &str| {
        let mut site = site();
        edit(&mut site.candidate);
        is_refused(&site, Step::Integrity, code);
    };
    refused(|it| it.config = "{}".into(), "config-mismatch");
    refused(|it| it.layers[0] = "name = 'x'".into(), "file-mismatch");
    refused(|it| it.layers[1] = "another".into(), "file-mismatch");
    refused(|it| it.layers[2] = Bytes::new(), "file-mismatch");
    refused(|it| it.layers.swap(1, 2), "file-mismatch");
    refused(|it| drop(it.layers.pop()), "layers-missing");
    refused(|it| it.layers.clear(), "layers-missing");
    refused(|it| it.layers.push(Bytes::new()), "layers-missing");
    // What is signed, and still no model.
    let mut site = site();
    site.edit_manifest(|manifest| {
        let golden = &mut manifest.layers[2].annotations;
        golden.insert(media_type::MODEL_FILEPATH.to_owned(), "b.json".to_owned());
    });
    is_refused(&site, Step::Integrity, "model-invalid");
    let mut config = ModelConfig::parse(&site.candidate.config).unwrap();
    config.modelfs.diff_ids.clear();
    site.candidate = model("acme/thermostat", "1.2.0");
    site.candidate.config = config.to_bytes().into();
    let config =
        selvedge_artifact::Descriptor::of(media_type::MODEL_CONFIG, &site.candidate.config);
    site.edit_manifest(|manifest| manifest.config = config);
    is_refused(&site, Step::Integrity, "model-invalid");
}

#[test]
fn a_model_of_another_name_or_version_is_refused() {
    let mut site = site();
    site.replace(model("acme/other", "1.2.0"));
    is_refused(&site, Step::Name, "package-mismatch");
    site.replace(model("acme/thermostat", "1.1.9"));
    is_refused(&site, Step::Version, "version-downgrade");
    let asked = site.request();
    assert_eq!(
        verify(&site, &asked).unwrap_err().code(),
        "version-mismatch"
    );
    // The signed name and the one in `model.toml` are one.
    site.edit_manifest(|manifest| {
        let version = manifest.annotations.get_mut(media_type::VERSION).unwrap();
        *version = "1.2.0".to_owned();
    });
    is_refused(&site, Step::Name, "plugin-manifest-mismatch");
}

#[test]
fn unsigned_and_foreign_signatures_are_refused() {
    let mut site = site();
    site.candidate.bundles.clear();
    is_refused(&site, Step::Release, "unsigned");
    site.release(|people| &people.mallory);
    is_refused(&site, Step::Release, "not-released");
    site.release(|people| &people.builder);
    is_refused(&site, Step::Release, "not-released");
}

#[test]
fn a_model_is_revoked_by_the_digest_of_any_of_its_files() {
    let manifest = Manifest::parse(&site().candidate.manifest).unwrap();
    let digests = manifest.layers.iter().map(|layer| layer.digest);
    for digest in digests {
        let mut site = site();
        let origin = verify(&site, &site.request()).unwrap().into_origin();
        site.policy.revoked.digests.insert(digest);
        is_refused(&site, Step::Revocation, "digest-revoked");
        assert!(site.verifier().revoked(&origin).is_some());
    }
    let mut site = site();
    let artifact = Digest::of(&site.candidate.manifest);
    site.policy.revoked.digests.insert(artifact);
    is_refused(&site, Step::Revocation, "digest-revoked");
    let mut site = self::site();
    let since = Timestamp::UNIX_EPOCH;
    site.policy
        .revoked
        .publishers
        .insert("acme".to_owned(), since);
    is_refused(&site, Step::Revocation, "publisher-revoked");
}

#[test]
fn no_bit_of_a_models_manifest_can_be_changed() {
    let site = site();
    let request = Request {
        digest: None,
        ..site.request()
    };
    let verifier = site.verifier();
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Install,
        version_seen: None,
        accepted: &[],
    };
    let manifest = &site.candidate.manifest;
    for at in 0..manifest.len() {
        let mut changed = manifest.to_vec();
        changed[at] ^= 1 << (at % 8);
        let candidate = Candidate {
            manifest: changed.into(),
            ..site.candidate.clone()
        };
        let verdict = verifier.verify_model(&request, &candidate, &device);
        assert!(verdict.is_err(), "byte {at}");
    }
}

#[test]
fn letting_a_line_be_for_models_widens_it() {
    let old = Site::new().policy;
    let mut new = old.clone();
    new.grants[0].kinds.insert(ArtifactKind::Model);
    let changes = |from: &selvedge_signing::Policy, to: &selvedge_signing::Policy| {
        let changes = to.diff(from).into_iter();
        changes.map(|it| (it.effect, it.what)).collect::<Vec<_>>()
    };
    let wider = (Effect::Wider, "`model` may be released".to_owned());
    assert_eq!(changes(&old, &new), [wider]);
    let narrower = (
        Effect::Narrower,
        "`model` no longer may be released".to_owned(),
    );
    assert_eq!(changes(&new, &old), [narrower]);
    // What older hosts read is written as before.
    let text = String::from_utf8(old.to_bytes()).unwrap();
    assert!(!text.contains("kinds"), "{text}");
    let mut none = old;
    none.grants[0].kinds.clear();
    assert!(none.check().is_err());
}
