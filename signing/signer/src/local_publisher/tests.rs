use crate::{LocalPublisher, SignError};
use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::{Manifest, Packaged, Release, media_type};
use selvedge_signing::{Candidate, Device, Purpose, Refusal, Request, VerifiedArtifact, Verifier};

fn packaged(package: &str) -> Packaged {
    let release = Release {
        package: package.parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
        created: None,
        summary: Default::default(),
        plugin: None,
        component: b"\0asm\x0d\0\x01\0".as_slice().into(),
    };
    release.package().unwrap()
}

fn verify(
    verifier: &Verifier,
    packaged: &Packaged,
    bundle: bytes::Bytes,
    now: Timestamp,
) -> Result<VerifiedArtifact, Refusal> {
    let [config, component] = packaged.blobs.clone().try_into().unwrap();
    let manifest = Manifest::parse(&packaged.manifest).unwrap();
    let package = &manifest.annotations[media_type::PACKAGE];
    let request = Request {
        package: package.parse().unwrap(),
        version: None,
        digest: Some(packaged.digest()),
    };
    let candidate = Candidate {
        manifest: packaged.manifest.clone(),
        config: config.1,
        layers: vec![component.1],
        bundles: vec![bundle],
    };
    let device = Device {
        now,
        purpose: Purpose::Install,
        version_seen: None,
        accepted: &[],
    };
    verifier.verify(&request, &candidate, &device)
}

fn publisher(now: Timestamp) -> (LocalPublisher, Verifier) {
    LocalPublisher::new("this-process", &"acme/*".parse().unwrap(), now).unwrap()
}

#[test]
fn what_it_releases_is_believed() {
    let now = Timestamp::now();
    let (publisher, verifier) = publisher(now);
    let packaged = packaged("acme/thermostat");
    let bundle = publisher.release(&packaged).unwrap();
    let verified = verify(&verifier, &packaged, bundle, now).unwrap();
    assert_eq!(verified.origin().publisher(), "this-process");
    assert_eq!(verified.origin().digest(), packaged.digest());
    assert!(verified.origin().signed_at().duration_since(now) < SignedDuration::from_secs(60));
}

#[test]
fn nobody_else_is() {
    let now = Timestamp::now();
    let (publisher, verifier) = publisher(now);
    let (other, elsewhere) = self::publisher(now);
    let packaged = packaged("acme/thermostat");
    let bundle = publisher.release(&packaged).unwrap();
    verify(&elsewhere, &packaged, bundle, now).unwrap_err();
    let bundle = other.release(&packaged).unwrap();
    verify(&verifier, &packaged, bundle, now).unwrap_err();
}

#[test]
fn only_its_packages_are() {
    let now = Timestamp::now();
    let (publisher, verifier) = publisher(now);
    let packaged = packaged("evil/thermostat");
    let bundle = publisher.release(&packaged).unwrap();
    verify(&verifier, &packaged, bundle, now).unwrap_err();
}

#[test]
fn a_device_whose_clock_stands_elsewhere_believes_it_too() {
    // Such as one without a battery, that knows only when its image was built.
    for years in [-20, 20] {
        let now = Timestamp::now() + SignedDuration::from_hours(24 * 365 * years);
        let (publisher, verifier) = publisher(now);
        let packaged = packaged("acme/thermostat");
        let bundle = publisher.release(&packaged).unwrap();
        verify(&verifier, &packaged, bundle, now).unwrap();
    }
}

#[test]
fn an_artifact_without_a_name_is_not_released() {
    let (publisher, _) = publisher(Timestamp::now());
    let mut unnamed = packaged("acme/thermostat");
    let mut manifest = Manifest::parse(&unnamed.manifest).unwrap();
    manifest.annotations.clear();
    unnamed.manifest = manifest.to_bytes().into();
    let error = publisher.release(&unnamed).unwrap_err();
    assert!(matches!(error, SignError::Unnamed), "{error}");
}
