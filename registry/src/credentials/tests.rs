//! Credentials, against real files and real helper programs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{CredentialError, Credentials, Sources};

fn sources(directory: &Path) -> Sources {
    // The helpers are shell scripts and need what shells use.
    let path = format!("{}:/usr/bin:/bin", directory.display());
    Sources {
        directory: Some(directory.to_owned()),
        path: OsString::from(path),
        helper_max: Duration::from_secs(10),
    }
}

fn with_config(config: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("config.json"), config).unwrap();
    directory
}

fn add_helper(directory: &TempDir, name: &str, script: &str) {
    let path = directory.path().join(format!("docker-credential-{name}"));
    // By another process: a child that another test begins just now would keep our
    // file open for writing, and such a file cannot be run.
    let mut writer = Command::new("sh");
    writer.args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\""]);
    writer.arg(&path).arg(format!("#!/bin/sh\n{script}\n"));
    assert!(writer.status().unwrap().success());
}

async fn find(directory: &TempDir, registry: &str) -> Result<Option<Credentials>, CredentialError> {
    sources(directory.path()).find(registry).await
}

async fn check(config: &str, registry: &str, expected: Option<(&str, &str)>) {
    let directory = with_config(config);
    let found = find(&directory, registry).await.unwrap();
    let found = found
        .as_ref()
        .map(|found| (found.user.as_str(), found.password.as_str()));
    assert_eq!(found, expected, "{config}");
}

#[tokio::test]
async fn docker_s_configuration_is_read_as_docker_writes_it() {
    // `user:pass:word`, with padding and without.
    for auth in ["dXNlcjpwYXNzOndvcmQ=", "dXNlcjpwYXNzOndvcmQ"] {
        for key in [
            "r.example:5000",
            "https://r.example:5000",
            "https://r.example:5000/v2/",
        ] {
            let config = format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}}}"#);
            check(&config, "r.example:5000", Some(("user", "pass:word"))).await;
            check(&config, "r.example", None).await;
        }
    }
    let token = r#"{"auths": {"r.example": {"auth": "dTpw", "identitytoken": "t"}}}"#;
    check(token, "r.example", Some(("<token>", "t"))).await;
    let plain = r#"{"auths": {"r.example": {"username": "u", "password": "p"}}}"#;
    check(plain, "r.example", Some(("u", "p"))).await;
    let hub = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}}}"#;
    check(hub, "docker.io", Some(("u", "p"))).await;
    for nothing in [
        "{}",
        r#"{"auths": {"r.example": {}}}"#,
        r#"{"auths": {"r.example": null}}"#,
    ] {
        check(nothing, "r.example", None).await;
    }
}

#[tokio::test]
async fn without_a_configuration_nobody_asks() {
    let directory = tempfile::tempdir().unwrap();
    assert!(find(&directory, "r.example").await.unwrap().is_none());
}

#[tokio::test]
async fn a_helper_is_asked_for_its_registry() {
    let directory = with_config(
        r#"{"credHelpers": {"r.example:5000": "one"}, "credsStore": "all",
            "auths": {"own.example": {"auth": "dTpw"}}}"#,
    );
    add_helper(
        &directory,
        "one",
        r#"read server; echo "{\"ServerURL\": \"x\", \"Username\": \"$1\", \"Secret\": \"$server\"}""#,
    );
    add_helper(
        &directory,
        "all",
        r#"echo '{"Username": "all", "Secret": "s"}'"#,
    );

    let one = find(&directory, "r.example:5000").await.unwrap().unwrap();
    assert_eq!(
        (one.user.as_str(), one.password.as_str()),
        ("get", "r.example:5000")
    );
    let own = find(&directory, "own.example").await.unwrap().unwrap();
    assert_eq!(own.user, "u");
    let other = find(&directory, "other.example").await.unwrap().unwrap();
    assert_eq!(other.user, "all");
}

#[tokio::test]
async fn a_helper_without_an_entry_means_nobody() {
    let directory = with_config(r#"{"credsStore": "none"}"#);
    add_helper(
        &directory,
        "none",
        "echo 'credentials not found in native keychain'; exit 1",
    );
    assert!(find(&directory, "r.example").await.unwrap().is_none());
}

#[tokio::test]
async fn a_helper_that_never_answers_is_given_up() {
    let directory = with_config(r#"{"credsStore": "stuck"}"#);
    // `exec`: the helper itself is what is stuck, and what is killed.
    add_helper(&directory, "stuck", "exec sleep 600");
    let mut sources = sources(directory.path());
    sources.helper_max = Duration::from_millis(200);
    let error = sources.find("r.example").await.unwrap_err();
    assert!(
        matches!(error, CredentialError::HelperSlow { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_helper_that_never_stops_talking_is_cut_off() {
    let directory = with_config(r#"{"credsStore": "endless"}"#);
    add_helper(&directory, "endless", "exec yes");
    let error = find(&directory, "r.example").await.unwrap_err();
    assert!(matches!(error, CredentialError::HelperAnswer(_)), "{error}");
}

#[tokio::test]
async fn a_failing_helper_is_quoted_without_control_characters() {
    let directory = with_config(r#"{"credsStore": "bad"}"#);
    add_helper(&directory, "bad", r"printf 'locked\033[31m\n\n'; exit 3");
    let error = find(&directory, "r.example").await.unwrap_err().to_string();
    assert!(
        error.contains("locked") && !error.contains('\u{1b}'),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_helper_s_name_is_no_path() {
    for name in ["../evil", "a/b", "a b", "$(x)", "a\\n"] {
        let directory = with_config(&format!(r#"{{"credsStore": "{name}"}}"#));
        let error = find(&directory, "r.example").await.unwrap_err();
        assert!(matches!(error, CredentialError::HelperName(_)), "{error}");
    }
    let directory = with_config(r#"{"credsStore": "absent"}"#);
    let error = find(&directory, "r.example").await.unwrap_err();
    assert!(
        matches!(error, CredentialError::HelperMissing(_)),
        "{error}"
    );
}

#[tokio::test]
async fn errors_show_no_secret() {
    let secret = "hunter2";
    for config in [
        format!(r#"{{"auths": {{"r.example": "{secret}"}}}}"#),
        format!(r#"{{"auths": {{"r.example": {{"auth": "{secret}!"}}}}}}"#),
        format!(r#"{{"auths": {{"r.example": {{"identitytoken": ["{secret}"]}}}}}}"#),
    ] {
        let directory = with_config(&config);
        let error = find(&directory, "r.example").await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains(secret), "{error:?}");
    }
    let credentials = Credentials {
        user: "u".to_owned(),
        password: secret.to_owned(),
    };
    assert!(!format!("{credentials:?}").contains(secret));
}

#[tokio::test]
async fn a_configuration_that_is_too_large_is_refused() {
    let directory = with_config(&format!("{{\"x\": \"{}\"}}", "y".repeat(1 << 20)));
    let error = find(&directory, "r.example").await.unwrap_err();
    assert!(matches!(error, CredentialError::TooLarge { .. }), "{error}");
}
