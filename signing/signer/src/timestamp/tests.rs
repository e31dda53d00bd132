use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use sigstore_verify::tsa::verify_timestamp_for_authority;
use sigstore_verify::types::{DerCertificate, SignatureBytes, TimestampToken, TsaAuthority};

use super::{TimestampAuthority, TimestampError};
use crate::trusted_root::whole_seconds;
use crate::{KeyError, SigningKey};

pub(super) const SIGNATURE: &[u8] = b"a signature";

fn now() -> Timestamp {
    whole_seconds(Timestamp::now())
}

pub(super) fn verify(
    authority: &TimestampAuthority,
    token: &[u8],
    signature: &[u8],
) -> Option<Timestamp> {
    let chain = authority.chain();
    let certificate = |bytes: &[u8]| DerCertificate::from_bytes(bytes);
    let trusted = TsaAuthority::new(certificate(chain[0]), vec![], certificate(chain[1]), None);
    let token = TimestampToken::from_bytes(token);
    verify_timestamp_for_authority(&token, &SignatureBytes::from_bytes(signature), &trusted).ok()
}

#[test]
fn a_timestamp_is_verified_by_sigstore() {
    let start = now();
    let authority = TimestampAuthority::generate("site", start, 1).unwrap();
    let token = authority.timestamp(SIGNATURE, start).unwrap();
    assert_eq!(verify(&authority, &token, SIGNATURE), Some(start));
    assert_eq!(verify(&authority, &token, b"another"), None);
    let other = TimestampAuthority::generate("site", start, 1).unwrap();
    assert_eq!(verify(&other, &token, SIGNATURE), None);
}

#[test]
fn the_time_is_the_one_given_in_whole_seconds() {
    let start = now();
    let authority = TimestampAuthority::generate("site", start, 1).unwrap();
    let late = start + SignedDuration::from_millis(1999);
    let token = authority.timestamp(SIGNATURE, late).unwrap();
    let attested = verify(&authority, &token, SIGNATURE).unwrap();
    assert_eq!(attested, start + SignedDuration::from_secs(1));
}

#[test]
fn no_two_timestamps_are_the_same() {
    let start = now();
    let authority = TimestampAuthority::generate("site", start, 1).unwrap();
    let token = || authority.timestamp(SIGNATURE, start).unwrap();
    assert_ne!(token(), token());
}

#[test]
fn a_changed_token_is_refused() {
    let start = now();
    let authority = TimestampAuthority::generate("site", start, 1).unwrap();
    let token = authority.timestamp(SIGNATURE, start).unwrap();
    let mut believed = 0;
    for position in 0..token.len() {
        let mut changed = token.clone();
        changed[position] ^= 1;
        // The certificate that it carries is not looked at: the trusted one is.
        if let Some(time) = verify(&authority, &changed, SIGNATURE) {
            assert_eq!(time, start, "at {position}");
            believed += 1;
        }
    }
    assert!(
        believed < token.len() - 200,
        "{believed} of {}",
        token.len()
    );
}

#[test]
fn a_time_outside_of_the_validity_is_refused() {
    let start = now();
    let authority = TimestampAuthority::generate("site", start, 1).unwrap();
    let day = SignedDuration::from_hours(24);
    let second = SignedDuration::from_secs(1);
    for (time, expected) in [
        (start - second, false),
        (start, true),
        (start + day, true),
        (start + day + second, false),
    ] {
        match authority.timestamp(SIGNATURE, time) {
            Ok(token) => assert_eq!(verify(&authority, &token, SIGNATURE), Some(time)),
            Err(error) => {
                assert!(matches!(error, TimestampError::NotValid { .. }), "{error}");
                assert!(!expected, "{time}");
            }
        }
    }
}

#[test]
fn an_authority_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authority");
    let authority = TimestampAuthority::generate("Werk Süd", now(), 3650).unwrap();
    authority.write(&path).unwrap();
    let again = authority.write(&path).unwrap_err();
    assert!(matches!(
        again,
        TimestampError::Key(KeyError::Exists { .. })
    ));
    let read = TimestampAuthority::read(&path).unwrap();
    assert_eq!(read.chain(), authority.chain());
    let token = read.timestamp(SIGNATURE, now()).unwrap();
    assert!(verify(&authority, &token, SIGNATURE).is_some());
}

#[test]
fn a_file_with_other_certificates_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authority");
    let write = |key: &SigningKey, chain: &[&[u8]]| {
        let mut text = key.private_pem();
        chain
            .iter()
            .for_each(|bytes| text.push_str(&crate::key::to_pem("CERTIFICATE", bytes)));
        drop(fs_err::remove_file(&path));
        let text = crate::key::Secret(text.into_bytes());
        crate::key::write_private(&path, &text).unwrap();
        TimestampAuthority::read(&path).unwrap_err()
    };
    let authority = TimestampAuthority::generate("site", now(), 1).unwrap();
    let [leaf, root] = authority.chain().try_into().unwrap();
    let other = SigningKey::generate().unwrap();
    for (key, chain) in [
        (&authority.key, vec![]),
        (&authority.key, vec![root, leaf]),
        (&authority.key, vec![b"\x30\x00".as_slice()]),
        (&authority.key, vec![leaf; 6]),
        (&other, vec![leaf, root]),
    ] {
        let error = write(key, &chain);
        assert!(matches!(error, TimestampError::File { .. }), "{error}");
    }
}

#[test]
fn a_certificate_is_for_timestamps_and_nothing_else() {
    let authority = TimestampAuthority::generate("site", now(), 1).unwrap();
    let extensions = authority.leaf.tbs_certificate.extensions.unwrap();
    let found = extensions
        .iter()
        .map(|one| (one.extn_id.to_string(), one.critical));
    // authorityKeyIdentifier, keyUsage, extKeyUsage. No basicConstraints: rcgen
    // would write a default out, and strict readers refuse that.
    let expected = [
        ("2.5.29.35", false),
        ("2.5.29.15", true),
        ("2.5.29.37", true),
    ];
    let expected = expected.map(|(oid, critical)| (oid.to_owned(), critical));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn names_and_times_that_no_certificate_can_have_are_refused() {
    let error = |name: &str, now, days| {
        TimestampAuthority::generate(name, now, days)
            .map(|_| ())
            .unwrap_err()
    };
    for name in ["", "a\nb", &"x".repeat(57)] {
        assert!(matches!(error(name, now(), 1), TimestampError::Name));
    }
    let before_1970 = Timestamp::from_second(-1).unwrap();
    for (now, days) in [
        (now(), 0),
        (now(), 36_526),
        (Timestamp::MAX, 1),
        (before_1970, 1),
    ] {
        assert!(matches!(error("x", now, days), TimestampError::Validity));
    }
    TimestampAuthority::generate("x", Timestamp::UNIX_EPOCH, 36_525).unwrap();
}

#[test]
fn openssl_verifies_a_timestamp() {
    let found = Command::new("openssl").arg("version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `openssl` is not on this machine");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let authority = TimestampAuthority::generate("site", now(), 1).unwrap();
    let [_, root] = authority.chain().try_into().unwrap();
    fs_err::write(at("root.pem"), crate::key::to_pem("CERTIFICATE", root)).unwrap();
    fs_err::write(at("data"), SIGNATURE).unwrap();
    fs_err::write(at("other"), b"another").unwrap();
    let token = authority.timestamp(SIGNATURE, now()).unwrap();
    fs_err::write(at("token.tsr"), token).unwrap();
    let verified = |data: &str| {
        let arguments = [
            "ts",
            "-verify",
            "-data",
            data,
            "-in",
            "token.tsr",
            "-CAfile",
            "root.pem",
        ];
        openssl(directory.path(), &arguments)
    };
    assert_eq!(verified("data"), Ok(()));
    assert!(verified("other").is_err());
}

fn openssl(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("openssl");
    let output = command
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
