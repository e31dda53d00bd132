use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, AuthorityError, KeyType, NewAuthority, Request, RequestKey, machine};
use crate::names::PartyName;

pub(super) fn new() -> NewAuthority {
    NewAuthority {
        name: "a site".into(),
        days: 3650,
        key_type: KeyType::default(),
        from: None,
        server_names: vec!["gateway.example".into(), "192.0.2.7".into()],
    }
}

pub(super) fn oven() -> PartyName {
    "oven".parse().unwrap()
}

pub(super) fn request<'a>(device: &'a PartyName, key: RequestKey<'a>) -> Request<'a> {
    Request {
        device,
        key,
        days: 365,
    }
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_made_once_and_its_keys_are_its_own() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("new/data");
    let missing = Authority::open(&data).unwrap_err();
    assert!(matches!(missing, AuthorityError::NotThere(_)));
    let authority = Authority::create(&data, &new()).unwrap();
    let ca = data.join("ca");
    assert_eq!(mode(&ca), 0o700);
    for (file, wanted) in [
        ("ca.key", 0o600),
        ("server.key", 0o600),
        ("ca.crt", 0o644),
        ("server.crt", 0o644),
        ("crl.pem", 0o644),
    ] {
        assert_eq!(mode(&ca.join(file)), wanted, "{file}");
    }
    let key = fs_err::read(ca.join("ca.key")).unwrap();
    let exists = Authority::create(&data, &new()).unwrap_err();
    assert!(matches!(exists, AuthorityError::Exists(_)));
    assert_eq!(fs_err::read(ca.join("ca.key")).unwrap(), key, "untouched");
    assert!(!authority.keep(Timestamp::now()).unwrap(), "nothing is due");
}

#[test]
fn an_authority_whose_making_was_cut_short_is_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let authority = Authority::create(data, &new()).unwrap();
    let ca = data.join("ca");
    // As it is when the host is killed after the key.
    for file in ["ca.crt", "server.crt", "server.key", "crl.pem"] {
        fs_err::remove_file(ca.join(file)).unwrap();
    }
    let key = fs_err::read(ca.join("ca.key")).unwrap();
    Authority::create(data, &new()).unwrap();
    assert_ne!(fs_err::read(ca.join("ca.key")).unwrap(), key);
    // After the certificate it is there, and what is missing is due.
    fs_err::remove_file(ca.join("server.crt")).unwrap();
    fs_err::remove_file(ca.join("crl.pem")).unwrap();
    assert!(authority.keep(Timestamp::now()).unwrap());
    assert!(ca.join("server.crt").exists() && ca.join("crl.pem").exists());
    // One that has signed something is not lost because its certificate is.
    fs_err::remove_file(ca.join("ca.crt")).unwrap();
    let exists = Authority::create(data, &new()).unwrap_err();
    assert!(matches!(exists, AuthorityError::Exists(_)));
}

#[test]
fn a_gateways_key_without_its_certificate_is_no_reason_not_to_start() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let files = authority.files();
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let certificate = fs_err::read(&files.server_certificate).unwrap();
    // As it is when the host is killed after the key of a renewal; or a disk lost
    // what was written.
    for (path, left) in [
        (&files.server_key, other.as_bytes()),
        (&files.server_key, b""),
        (&files.server_certificate, b""),
        (&files.server_certificate, &certificate[..100]),
    ] {
        fs_err::write(path, left).unwrap();
        let settings = crate::tls::ServerSettings {
            certificate: files.server_certificate.clone(),
            key: files.server_key.clone(),
            client_ca: files.ca.clone(),
            crl: Some(files.crl.clone()),
            clients: crate::tls::Clients::Required,
            versions: Vec::new(),
            cipher_suites: Vec::new(),
            alpn: Vec::new(),
        };
        assert!(crate::tls::Server::open(settings.clone()).is_err());
        Authority::catch_up(data.path());
        crate::tls::Server::open(settings).unwrap();
        assert!(!authority.keep(Timestamp::now()).unwrap());
    }
}

#[test]
fn nothing_is_written_through_a_link_in_the_authoritys_folder() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let device = oven();
    let issue = || {
        let key = RequestKey::New(KeyType::default());
        authority.issue(&request(&device, key))
    };
    let (ca, other) = (data.path().join("ca"), data.path().join("other"));
    fs_err::create_dir(&other).unwrap();
    fs_err::remove_file(ca.join("lock")).unwrap();
    symlink(other.join("made"), ca.join("lock")).unwrap();
    assert_eq!(issue().unwrap_err().code(), "ca-io");
    fs_err::remove_file(ca.join("lock")).unwrap();
    issue().unwrap();
    fs_err::rename(ca.join("issued"), ca.join("moved")).unwrap();
    symlink(&other, ca.join("issued")).unwrap();
    assert_eq!(issue().unwrap_err().code(), "ca-io");
    fs_err::rename(&ca, data.path().join("elsewhere")).unwrap();
    symlink(data.path().join("elsewhere"), &ca).unwrap();
    assert_eq!(issue().unwrap_err().code(), "ca-io");
    assert_eq!(fs_err::read_dir(&other).unwrap().count(), 0);
}

#[test]
fn near_the_end_of_an_authority_nothing_is_renewed_again_and_again() {
    let data = tempfile::tempdir().unwrap();
    let short = NewAuthority { days: 40, ..new() };
    let authority = Authority::create(data.path(), &short).unwrap();
    assert!(!authority.keep(Timestamp::now()).unwrap());
    let after = Timestamp::now() + SignedDuration::from_hours(24 * 41);
    let ended = authority.keep(after).unwrap_err();
    assert_eq!(ended.code(), "ca-ended");
}

#[test]
fn an_authority_that_has_ended_vouches_for_nobody() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let after = Timestamp::now() + SignedDuration::from_hours(24 * 3651);
    let held = authority.hold().unwrap();
    let device = oven();
    let subject = super::Subject::Device(&device);
    let key = RequestKey::New(KeyType::default());
    let ended = held.certify(subject, key, 30, after).unwrap_err();
    assert_eq!(ended.code(), "ca-ended");
}

#[test]
fn a_clock_that_is_set_back_takes_nothing_from_the_list() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let device = oven();
    let key = RequestKey::New(KeyType::default());
    let issued = authority.issue(&request(&device, key)).unwrap();
    let now = Timestamp::now();
    authority
        .revoke(&device, now, "keyCompromise", |_| true)
        .unwrap();
    let before = now - SignedDuration::from_hours(24 * 365);
    authority.keep(before).unwrap();
    assert!(authority.list().unwrap().serials.contains(&issued.serial));
}

#[test]
fn the_gateways_certificate_has_all_its_names_and_is_renewed_in_time() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let read = || super::first_certificate(&authority.files.server_certificate).unwrap();
    let first = read();
    let mut names = vec!["gateway.example".to_owned(), "192.0.2.7".into()];
    names.extend(["localhost".into(), "127.0.0.1".into()]);
    names.extend(machine::host_name());
    names.extend(
        machine::addresses()
            .iter()
            .take(20)
            .map(ToString::to_string),
    );
    for name in &names {
        assert!(super::certificate::names(&first, name), "{name}");
    }
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 300);
    assert!(authority.keep(later).unwrap());
    assert_ne!(read(), first);
    assert!(super::certificate::names(&read(), "gateway.example"));
    authority.renew_server(&["other.example".into()]).unwrap();
    assert!(super::certificate::names(&read(), "other.example"));
    assert!(!super::certificate::names(&read(), "gateway.example"));
}

#[test]
fn what_is_revoked_is_on_the_list_and_the_list_never_runs_out() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let device = oven();
    let key = RequestKey::New(KeyType::default());
    let issued = authority.issue(&request(&device, key)).unwrap();
    let other = authority.issue(&request(&device, key)).unwrap();
    let now = Timestamp::now();
    let list = || authority.list().unwrap();
    assert!(list().serials.is_empty());
    let only = |record: &super::Record| record.fingerprint == issued.fingerprint;
    assert_eq!(
        authority.revoke(&device, now, "superseded", only).unwrap(),
        1
    );
    let first = list();
    assert_eq!(first.serials, [issued.serial.clone()].into());
    // One that is to be revoked later is on the list when its time has come.
    let later = now + SignedDuration::from_hours(24);
    authority
        .revoke(&device, later, "superseded", |_| true)
        .unwrap();
    assert_eq!(list().serials.len(), 1);
    assert!(
        authority
            .keep(later + SignedDuration::from_secs(1))
            .unwrap()
    );
    assert!(list().serials.contains(&other.serial));
    let month = now + SignedDuration::from_hours(24 * 20);
    assert!(authority.keep(month).unwrap());
    assert!(list().next_update > month + SignedDuration::from_hours(24 * 20));
    assert!(list().number > first.number);
}

#[test]
fn a_devices_certificate_says_who_it_is_and_is_for_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let device = oven();
    for kind in [KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Rsa3072] {
        let issued = authority
            .issue(&request(&device, RequestKey::New(kind)))
            .unwrap();
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(!certificate.is_ca());
        assert!(super::certificate::names(&der, "oven.device.selvedge"));
        assert_eq!(certificate.subject().to_string(), "CN=oven");
        assert!(issued.key.unwrap().contains("PRIVATE KEY"));
    }
}

#[test]
fn of_a_request_only_its_key_counts() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::create(data.path(), &new()).unwrap();
    let device = oven();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wishes = rcgen::CertificateParams::new(vec!["gateway".into()]).unwrap();
    wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let text = wishes.serialize_request(&key).unwrap().pem().unwrap();
    let signing = RequestKey::Signing(&text);
    let issued = authority.issue(&request(&device, signing)).unwrap();
    assert!(issued.key.is_none());
    let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.subject().to_string(), "CN=oven");
    assert!(!super::certificate::names(&der, "gateway"));
    for bad in ["", "no request", &text.replace("MII", "MIJ")] {
        let error = authority
            .issue(&request(&device, RequestKey::Signing(bad)))
            .unwrap_err();
        assert_eq!(error.code(), "csr-invalid");
    }
}

#[test]
fn an_existing_authority_is_taken_only_if_it_may_vouch_and_its_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    Authority::create(&root, &new()).unwrap();
    let from = |certificate: &str, key: &str| NewAuthority {
        from: Some((root.join(certificate), root.join(key))),
        ..new()
    };
    let data = folder.path().join("data");
    let taken = Authority::create(&data, &from("ca/ca.crt", "ca/ca.key")).unwrap();
    let device = oven();
    let key = RequestKey::New(KeyType::default());
    taken.issue(&request(&device, key)).unwrap();
    for (certificate, key) in [
        ("ca/server.crt", "ca/server.key"),
        ("ca/ca.crt", "ca/server.key"),
        ("ca/ca.key", "ca/ca.key"),
        ("ca/nothing", "ca/ca.key"),
    ] {
        let data = folder.path().join(format!("other-{}", key.len()));
        let error = Authority::create(&data, &from(certificate, key)).unwrap_err();
        assert!(!data.join("ca/ca.crt").exists(), "{error}");
    }
}
