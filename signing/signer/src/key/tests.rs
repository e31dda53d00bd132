use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{KeyError, SigningKey, pbes2};

fn is_same(one: &SigningKey, other: &SigningKey) -> bool {
    one.public_pem() == other.public_pem() && one.pkcs8() == other.pkcs8()
}

/// Whether OpenSSL is on this machine; tests with it say so if not.
fn openssl() -> bool {
    let found = Command::new("openssl").arg("version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: `openssl` is not on this machine");
    }
    found
}

fn run(directory: &Path, command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(directory)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn close(path: &Path) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_key_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    for (name, password) in [("plain", None), ("encrypted", Some("pass word"))] {
        let path = directory.path().join(name);
        key.write(&path, password).unwrap();
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(is_same(&SigningKey::read(&path, password).unwrap(), &key));
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    SigningKey::generate().unwrap().write(&path, None).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = SigningKey::read(&path, None).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode));
        assert!(error.to_string().ends_with("it must have 600"), "{error}");
    }
}

#[test]
fn a_key_is_never_written_over_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = SigningKey::generate().unwrap();
    key.write(&path, None).unwrap();
    let error = SigningKey::generate()
        .unwrap()
        .write(&path, None)
        .unwrap_err();
    assert!(matches!(error, KeyError::Exists { .. }));
    assert!(is_same(&SigningKey::read(&path, None).unwrap(), &key));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    assert!(
        key.write(&link, None).is_err(),
        "a dangling link is a file too"
    );
}

#[test]
fn a_missing_wrong_or_empty_password_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = SigningKey::generate().unwrap();
    assert!(matches!(
        key.write(&path, Some("")),
        Err(KeyError::PasswordEmpty)
    ));
    assert!(!path.exists());
    key.write(&path, Some("right")).unwrap();
    let missing = SigningKey::read(&path, None);
    assert!(matches!(missing, Err(KeyError::PasswordMissing { .. })));
    for wrong in ["", "wrong", "right "] {
        let error = SigningKey::read(&path, Some(wrong)).unwrap_err();
        assert!(matches!(error, KeyError::PasswordWrong { .. }), "{wrong}");
    }
}

#[test]
fn a_wrong_password_whose_padding_fits_gives_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let encrypted = pbes2::encrypt(b"not a key", "right", 1).unwrap();
    let path = directory.path().join("key");
    fs_err::write(&path, super::to_pem(super::ENCRYPTED, &encrypted)).unwrap();
    close(&path);
    let error = SigningKey::read(&path, Some("right")).unwrap_err();
    assert!(matches!(error, KeyError::PasswordWrong { .. }));
}

#[test]
fn a_file_cannot_ask_for_endless_rounds() {
    let encrypted = pbes2::encrypt(b"x", "p", 3).unwrap();
    assert_eq!(pbes2::decrypt(&encrypted, "p").unwrap(), b"x");
    for rounds in [10_000_001, u32::MAX] {
        let hostile = pbes2::with_rounds(rounds);
        let error = pbes2::decrypt(&hostile, "p").unwrap_err();
        assert!(matches!(error, pbes2::DecryptError::Unsupported(_)));
    }
    let error = pbes2::decrypt(&pbes2::with_rounds(0), "p").unwrap_err();
    assert!(matches!(error, pbes2::DecryptError::Unsupported(_)));
}

#[test]
fn what_is_no_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    assert!(matches!(
        SigningKey::read(&path, None),
        Err(KeyError::Read { .. })
    ));
    let error = SigningKey::read(directory.path(), None).unwrap_err();
    assert!(matches!(error, KeyError::NotAFile { .. }));

    let large = format!("{}-----BEGIN PRIVATE KEY-----", " ".repeat(70_000));
    for text in [
        "",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----\n-----END ",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        &large,
    ] {
        fs_err::write(&path, text).unwrap();
        close(&path);
        let error = SigningKey::read(&path, Some("p")).unwrap_err();
        let expected = matches!(error, KeyError::Unusable { .. } | KeyError::NotAFile { .. });
        assert!(expected, "{text:.60}: {error}");
    }
}

#[test]
fn any_truncation_of_an_encrypted_key_is_an_error() {
    let encrypted = pbes2::encrypt(SigningKey::generate().unwrap().pkcs8(), "p", 1).unwrap();
    for length in 0..encrypted.len() {
        assert!(pbes2::decrypt(&encrypted[..length], "p").is_err());
    }
}

#[test]
fn openssl_reads_what_is_written_here() {
    if !openssl() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    key.write(&directory.path().join("plain"), None).unwrap();
    key.write(&directory.path().join("encrypted"), Some("secret"))
        .unwrap();
    let run = |command: &str| run(directory.path(), command);
    let plain = run("openssl pkey -in plain -pubout");
    assert_eq!(plain, key.public_pem());
    let encrypted = run("openssl pkcs8 -in encrypted -passin pass:secret");
    assert_eq!(encrypted, key.private_pem());
}

#[test]
fn what_openssl_makes_is_read() {
    if !openssl() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let run = |command: &str| run(directory.path(), command);
    let read = |name: &str, password| {
        let path = directory.path().join(name);
        close(&path);
        SigningKey::read(&path, password)
    };
    run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain");
    let public = run("openssl pkey -in plain -pubout");
    assert_eq!(read("plain", None).unwrap().public_pem(), public);

    for (name, options) in [
        ("default", ""),
        (
            "rounds",
            " -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000",
        ),
    ] {
        run(&format!(
            "openssl pkcs8 -topk8 -in plain -out {name} -passout pass:secret{options}"
        ));
        assert_eq!(read(name, Some("secret")).unwrap().public_pem(), public);
    }

    run("openssl pkcs8 -topk8 -in plain -out scrypt -passout pass:secret -scrypt");
    run("openssl pkcs8 -topk8 -in plain -out aes128 -passout pass:secret -v2 aes-128-cbc");
    run("openssl pkcs8 -topk8 -in plain -out sha1 -passout pass:secret -v2prf hmacWithSHA1");
    run("openssl ecparam -name prime256v1 -genkey -out sec1");
    run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384");
    run("openssl genpkey -algorithm ed25519 -out ed25519");
    for other in ["scrypt", "aes128", "sha1", "sec1", "p384", "ed25519"] {
        let error = read(other, Some("secret")).unwrap_err();
        assert!(
            matches!(error, KeyError::Unusable { .. }),
            "{other}: {error}"
        );
    }
}
