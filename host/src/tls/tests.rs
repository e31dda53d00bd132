use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};

use super::{Clients, Fingerprint, Identity, Server, ServerSettings, TlsError, is_cipher_suite};

/// Files that a process of [`alone_with_few_files`] may open.
const FEW: usize = 128;

/// Whether this is the process in which `test` runs alone and may open few files;
/// if not, it has run there.
pub(crate) fn alone_with_few_files(test: &str) -> bool {
    const ALONE: &str = "SELVEDGE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        &format!("ulimit -n {FEW} && exec \"$0\" --exact {test}"),
    ]);
    let ran = shell.arg(std::env::current_exe().unwrap()).env(ALONE, "1");
    assert!(ran.status().unwrap().success());
    false
}

/// All files that may be opened, but for `left`.
pub(crate) fn open_files(left: usize) -> Vec<fs_err::File> {
    let files = (0..FEW).map_while(|_| fs_err::File::open("/dev/null").ok());
    let mut files: Vec<_> = files.collect();
    assert!(files.len() < FEW);
    files.truncate(files.len() - left);
    files
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &Authority, common: &str, names: Vec<SanType>) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common);
    params.subject_alt_names = names;
    params.serial_number = Some(SerialNumber::from(0x00ab_cdef_u64));
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

fn list(authority: &Authority, serials: &[u64]) -> String {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2027, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(authority).unwrap().pem().unwrap()
}

/// Settings whose files are in `folder`.
fn settings(folder: &Path, authority: &Authority) -> ServerSettings {
    let (certificate, key) = issue(authority, "host", Vec::new());
    let write = |name: &str, text: String| -> PathBuf {
        let path = folder.join(name);
        fs_err::write(&path, text).unwrap();
        path
    };
    ServerSettings {
        certificate: write("host.pem", certificate.pem()),
        key: write("host.key", key.serialize_pem()),
        client_ca: write("ca.pem", authority.pem()),
        crl: Some(write("ca.crl", list(authority, &[]))),
        clients: Clients::Required,
        versions: Vec::new(),
        cipher_suites: Vec::new(),
        alpn: Vec::new(),
    }
}

#[test]
fn an_identity_has_the_names_that_can_be_written_and_no_others() {
    let names = vec![
        SanType::DnsName("pump-7.device.selvedge".try_into().unwrap()),
        SanType::URI("urn:selvedge:device:pump-7".try_into().unwrap()),
        SanType::URI("urn:selvedge:device:a\nb".try_into().unwrap()),
        SanType::Rfc822Name("pump@site.example".try_into().unwrap()),
    ];
    let (certificate, _) = issue(&authority("site"), "Pump 7", names);
    let identity = Identity::of(certificate.der()).unwrap();
    assert_eq!(identity.common_name.as_deref(), Some("Pump 7"));
    assert_eq!(identity.uris, ["urn:selvedge:device:pump-7"]);
    assert_eq!(identity.dns_names, ["pump-7.device.selvedge"]);
    assert_eq!(identity.mail_addresses, ["pump@site.example"]);
    assert_eq!(identity.serial, "abcdef");
    assert_eq!(identity.name(), Some("urn:selvedge:device:pump-7"));
    let text = identity.fingerprint.to_string();
    assert_eq!(text.parse(), Ok(identity.fingerprint));
    assert!(text[2..].parse::<Fingerprint>().is_err());
    assert_eq!(Identity::of(&b"nonsense".as_slice().into()), None);
}

#[test]
fn suites_are_known_by_their_iana_names() {
    for good in [
        "TLS_AES_256_GCM_SHA384",
        "TLS13_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ] {
        assert!(is_cipher_suite(good), "{good}");
    }
    for bad in ["", "TLS_RSA_WITH_AES_128_CBC_SHA", "aes"] {
        assert!(!is_cipher_suite(bad), "{bad}");
    }
}

#[test]
fn a_certificate_counts_until_a_list_that_is_read_later_names_it() {
    let (folder, site) = (tempfile::tempdir().unwrap(), authority("site"));
    let settings = settings(folder.path(), &site);
    let crl = settings.crl.clone().unwrap();
    let server = Server::open(settings).unwrap();
    let (certificate, _) = issue(&site, "pump", Vec::new());
    let chain = [certificate.der().clone()];
    server.terms().accept(&chain).unwrap();
    assert!(!server.look());

    fs_err::write(&crl, "nonsense").unwrap();
    assert!(!server.look());
    server.terms().accept(&chain).unwrap();

    fs_err::write(&crl, list(&site, &[0x00ab_cdef])).unwrap();
    assert!(server.look());
    assert!(server.terms().accept(&chain).is_err());
    assert!(server.terms().accept(&[]).is_err());
}

#[test]
fn a_list_that_could_not_be_read_for_want_of_files_is_read_when_there_are_some() {
    let own = "a_list_that_could_not_be_read_for_want_of_files_is_read_when_there_are_some";
    if !alone_with_few_files(&format!("tls::tests::{own}")) {
        return;
    }
    let (folder, site) = (tempfile::tempdir().unwrap(), authority("site"));
    let settings = settings(folder.path(), &site);
    let crl = settings.crl.clone().unwrap();
    let server = Server::open(settings).unwrap();
    let (certificate, _) = issue(&site, "pump", Vec::new());
    let chain = [certificate.der().clone()];
    fs_err::write(&crl, list(&site, &[0x00ab_cdef])).unwrap();
    let files = open_files(0);
    assert!(!server.look());
    server.terms().accept(&chain).unwrap();
    drop(files);
    assert!(server.look());
    assert!(server.terms().accept(&chain).is_err());
    assert!(!server.look());
}

#[test]
fn an_authority_without_a_list_is_named_when_there_are_lists() {
    let (folder, site) = (tempfile::tempdir().unwrap(), authority("site"));
    let settings = settings(folder.path(), &site);
    let both = site.pem() + &authority("other").pem();
    fs_err::write(&settings.client_ca, both).unwrap();
    match Server::open(settings) {
        Err(TlsError::NoRevocationList { authority }) => assert!(authority.contains("CN=other")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_longer_than_any_real_one_is_not_looked_at() {
    let (folder, site) = (tempfile::tempdir().unwrap(), authority("site"));
    let server = Server::open(settings(folder.path(), &site)).unwrap();
    let (certificate, _) = issue(&site, "pump", Vec::new());
    let mut chain = vec![certificate.der().clone()];
    chain.resize(6, site.der().clone());
    server.terms().accept(&chain).unwrap();
    chain.push(site.der().clone());
    assert!(server.terms().accept(&chain).is_err());
}
