use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

use super::{TOKEN_BYTES_MAX, bounded, timestamp};
use crate::loopback::{nobody, serve};
use crate::service::{Service, ServiceError};
use crate::timestamp::tests::{SIGNATURE, verify};
use crate::{SigningKey, TimeSource, TimestampAuthority};

/// What OpenSSL needs to be an authority.
const CONFIGURATION: &str = "
[tsa]
default_tsa = own
[own]
serial = serial
signer_cert = certificate.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
";

#[tokio::test]
async fn an_authority_is_asked_over_http() {
    let found = Command::new("openssl").arg("version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `openssl` is not on this machine");
        return;
    }
    let authority = TimestampAuthority::generate("other", Timestamp::now(), 1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
    write("tsa.cnf", CONFIGURATION);
    write("serial", "01\n");
    write("key.pem", &authority.key.private_pem());
    let certificate = crate::key::to_pem("CERTIFICATE", authority.chain()[0]);
    write("certificate.pem", &certificate);

    let home = directory.path().to_owned();
    let url = serve(move |_, query| (200, openssl_reply(&home, query)));
    let source = TimeSource::Remote(url);
    let token = source.timestamp(SIGNATURE).await.unwrap();
    assert!(verify(&authority, &token, SIGNATURE).is_some());
}

fn openssl_reply(home: &Path, query: &[u8]) -> Vec<u8> {
    fs_err::write(home.join("query"), query).unwrap();
    let arguments = "ts -reply -config tsa.cnf -queryfile query -out reply";
    let mut command = Command::new("openssl");
    let output = command
        .args(arguments.split(' '))
        .current_dir(home)
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs_err::read(home.join("reply")).unwrap()
}

#[tokio::test]
async fn a_token_that_was_made_before_is_refused() {
    let authority = TimestampAuthority::generate("other", Timestamp::now(), 1).unwrap();
    let replayed = authority.timestamp(SIGNATURE, Timestamp::now()).unwrap();
    let url = serve(move |_, _| (200, replayed.clone()));
    let error = timestamp(&url, SIGNATURE).await.unwrap_err();
    assert!(matches!(
        error,
        ServiceError::Answer {
            service: Service::Timestamp,
            ..
        }
    ));
}

#[tokio::test]
async fn refusals_and_silence_are_told_apart() {
    let ask = async |url: &str| timestamp(url, SIGNATURE).await.unwrap_err();
    let refusing = serve(|_, _| (403, b"not you".to_vec()));
    let error = ask(&refusing).await;
    let status = Some(403);
    assert!(matches!(error, ServiceError::Refused { status: found, .. } if found == status));
    // Followed, it would leave this machine.
    let redirecting = serve(|_, _| (307, Vec::new()));
    assert!(matches!(
        ask(&redirecting).await,
        ServiceError::Refused { .. }
    ));
    let error = ask(&nobody()).await;
    assert!(matches!(error, ServiceError::Unreachable { .. }), "{error}");
    let error = ask("http://timestamp.example").await;
    assert!(matches!(error, ServiceError::Address { .. }), "{error}");
    let babbling = serve(|_, _| (200, b"\x30\x80".repeat(1000)));
    assert!(matches!(ask(&babbling).await, ServiceError::Answer { .. }));
}

#[test]
fn a_token_that_would_spoil_the_bundle_is_refused() {
    bounded(vec![0; TOKEN_BYTES_MAX]).unwrap();
    bounded(vec![0; TOKEN_BYTES_MAX + 1]).unwrap_err();
}

#[test]
fn a_key_is_not_told() {
    let source = TimeSource::Own(TimestampAuthority::generate("own", Timestamp::now(), 1).unwrap());
    assert_eq!(format!("{source:?}"), "Own(TimestampAuthority { .. })");
    let key = format!("{:?}", SigningKey::generate().unwrap());
    assert_eq!(key, "SigningKey { .. }");
}
