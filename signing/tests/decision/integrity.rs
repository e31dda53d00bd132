//! Are these the bytes, and is this the package, that were asked for?

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{Descriptor, Manifest, media_type};
use selvedge_signing::{Candidate, Device, Purpose, Request, Step};

use crate::site::{COMPONENT, MODULE, Site, packaged};

#[test]
fn a_genuine_release_of_another_package_or_version_is_refused() {
    let mut site = Site::new();
    site.replace(packaged("acme/other", "1.2.0", COMPONENT));
    site.is_refused(Step::Name, "package-mismatch");
    site.replace(packaged("acme/thermostat", "1.1.9", COMPONENT));
    site.is_refused(Step::Name, "version-mismatch");
    site.replace(packaged("acme/thermostat", "1.2.0+other", COMPONENT));
    site.is_refused(Step::Name, "version-mismatch");
}

#[test]
fn names_that_are_not_signed_or_contradict_each_other_are_refused() {
    let mut site = Site::new();
    site.edit_manifest(|manifest| drop(manifest.annotations.remove(media_type::PACKAGE)));
    site.is_refused(Step::Name, "annotation-missing");
    let mut site = Site::new();
    site.edit_manifest(|manifest| {
        let annotations = &mut manifest.annotations;
        annotations.insert(media_type::VERSION.to_owned(), "1.2\u{1b}[2J".to_owned());
    });
    site.is_refused(Step::Name, "annotation-invalid");
    assert!(!site.refused().to_string().contains('\u{1b}'));
    let mut site = Site::new();
    site.candidate.config = packaged("acme/thermostat", "1.0.0", COMPONENT).config;
    let config = Descriptor::of(media_type::WASM_CONFIG, &site.candidate.config);
    site.edit_manifest(|manifest| manifest.config = config);
    site.is_refused(Step::Name, "plugin-manifest-mismatch");
}

#[test]
fn changed_bytes_are_refused_before_anyone_asks_who_signed() {
    let refused = |edit: fn(&mut Candidate)| {
        let mut site = Site::new();
        let asked = site.request();
        edit(&mut site.candidate);
        let device = Device {
            now: Timestamp::now(),
            purpose: Purpose::Install,
            version_seen: None,
            accepted: &[],
        };
        let verdict = site.verifier().verify(&asked, &site.candidate, &device);
        let refusal = verdict.unwrap_err();
        assert_eq!(refusal.step(), Step::Integrity);
        refusal.code()
    };
    assert_eq!(
        refused(|candidate| candidate.manifest = "{}".into()),
        "digest-mismatch"
    );
    assert_eq!(
        refused(|candidate| candidate.config = "{}".into()),
        "config-mismatch"
    );
    assert_eq!(
        refused(|candidate| {
            let mut component = candidate.layers[0].to_vec();
            *component.last_mut().unwrap() ^= 1;
            candidate.layers = vec![component.into()];
        }),
        "component-mismatch"
    );
    assert_eq!(
        refused(|candidate| candidate.layers = vec![Bytes::new()]),
        "component-mismatch"
    );
}

#[test]
fn no_bit_of_the_manifest_can_be_changed() {
    let site = Site::new();
    let verifier = site.verifier();
    // Without a digest asked for, the signature alone protects it.
    let request = Request {
        digest: None,
        ..site.request()
    };
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Install,
        version_seen: None,
        accepted: &[],
    };
    assert!(verifier.verify(&request, &site.candidate, &device).is_ok());
    for index in 0..site.candidate.manifest.len() {
        let mut candidate = site.candidate.clone();
        let mut manifest = candidate.manifest.to_vec();
        manifest[index] ^= 1 << (index % 8);
        candidate.manifest = manifest.into();
        assert!(
            verifier.verify(&request, &candidate, &device).is_err(),
            "{index}"
        );
    }
}

#[test]
fn only_components_are_accepted_however_well_they_are_signed() {
    let mut site = Site::new();
    let mut check = |component: &'static [u8], code: &str| {
        site.replace(packaged("acme/thermostat", "1.2.0", component));
        site.is_refused(Step::Integrity, code);
    };
    check(b"\x7fELF\x02\x01\x01", "native-code");
    check(MODULE, "core-module");
    check(b"", "not-a-component");
    check(b"\0asm\x0e\0\x01\0", "not-a-component");
}

#[test]
fn only_plugins_are_accepted_however_well_they_are_signed() {
    let check = |edit: fn(&mut Manifest), code: &str| {
        let mut site = Site::new();
        site.edit_manifest(edit);
        site.is_refused(Step::Integrity, code);
    };
    check(
        |manifest| manifest.layers.push(manifest.layers[0].clone()),
        "layer-count-unsupported",
    );
    check(
        |manifest| manifest.layers.clear(),
        "layer-count-unsupported",
    );
    check(
        |manifest| manifest.layers[0].media_type = "text/plain".into(),
        "layer-type-unsupported",
    );
    check(
        |manifest| manifest.config.media_type = media_type::EMPTY.into(),
        "config-type-unsupported",
    );
    check(|manifest| manifest.schema_version = 1, "manifest-invalid");

    let mut site = Site::new();
    site.candidate.config = packaged("acme/thermostat", "1.2.0", MODULE).config;
    let config = Descriptor::of(media_type::WASM_CONFIG, &site.candidate.config);
    site.edit_manifest(|manifest| manifest.config = config);
    site.is_refused(Step::Integrity, "config-layers-mismatch");
    site.candidate.config = "{}".into();
    let config = Descriptor::of(media_type::WASM_CONFIG, b"{}");
    site.edit_manifest(|manifest| manifest.config = config);
    site.is_refused(Step::Integrity, "config-invalid");
}
