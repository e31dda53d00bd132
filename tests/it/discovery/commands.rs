//! `selvedge ca` and `selvedge device`, as an operator uses them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value as Json;

use super::site::{Site, read};

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn json(site: &Site, arguments: &[&str]) -> Json {
    let text = site.succeeds(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_device_is_added_shown_rotated_revoked_and_removed() {
    let site = Site::new("").await;
    let added = json(&site, &["device", "add", "oven", "--note", "the first"]).await;
    let folder = site.path("oven");
    for file in added["files"].as_array().unwrap() {
        let file = folder.join(file.as_str().unwrap());
        let secret = file.extension().is_some_and(|ending| ending == "key");
        assert_eq!(mode(&file), if secret { 0o600 } else { 0o644 }, "{file:?}");
    }
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&site.path("data/devices/oven.toml")), 0o600);
    let shown = json(&site, &["device", "show", "oven"]).await;
    assert_eq!(
        shown["fingerprints"],
        serde_json::json!([added["fingerprint"]])
    );
    assert_eq!(shown["note"], "the first");
    assert_eq!(shown["standing"], "good");

    let rotated = json(&site, &["device", "rotate", "oven", "--overlap", "2d"]).await;
    let shown = json(&site, &["device", "show", "oven"]).await;
    let both = serde_json::json!([rotated["fingerprint"], added["fingerprint"]]);
    assert_eq!(shown["fingerprints"], both, "for two days");
    let again = json(&site, &["device", "rotate", "oven", "--overlap", "0"]).await;
    let shown = json(&site, &["device", "show", "oven"]).await;
    assert_eq!(
        shown["fingerprints"],
        serde_json::json!([again["fingerprint"]])
    );
    let authority = json(&site, &["ca", "show"]).await;
    assert_eq!(authority["revoked"], 2);

    let arguments = ["device", "revoke", "oven", "--reason", "stolen"];
    assert_eq!(json(&site, &arguments).await["certificates_revoked"], 1);
    let list = json(&site, &["device", "list"]).await;
    assert_eq!(list["devices"][0]["standing"], "revoked");
    assert_eq!(list["devices"][0]["revoked"]["reason"], "stolen");
    let ended = site.ends(&["device", "rotate", "oven"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the device `oven` is revoked"));
    site.succeeds(&["device", "remove", "oven"]).await;
    let list = json(&site, &["device", "list"]).await;
    assert_eq!(list["devices"], serde_json::json!([]));
}

#[tokio::test]
async fn nothing_is_overwritten_and_what_is_wrong_is_named() {
    let settings = "classes.oven.publish = ['telemetry/ovens/{device}/#']";
    let site = Site::new(settings).await;
    let authority = read(&site.path("data/ca/ca.key"));
    for (arguments, code, said) in [
        (&["ca", "init"][..], 1, "there is an authority in"),
        (&["device", "show", "oven"], 1, "there is no device `oven`"),
        (
            &["device", "rotate", "oven"],
            1,
            "there is no device `oven`",
        ),
        (
            &["device", "revoke", "oven"],
            1,
            "there is no device `oven`",
        ),
        (
            &["device", "remove", "oven"],
            1,
            "there is no device `oven`",
        ),
        (&["device", "add", "Oven"], 64, "`Oven` is not a name"),
        (
            &["device", "add", "oven", "--class", "x"],
            1,
            "there are oven",
        ),
        (
            &["device", "add", "oven", "--publish", "a#"],
            64,
            "`publish`",
        ),
        (
            &["device", "add", "oven", "--csr", "host.toml"],
            1,
            "host.toml",
        ),
        (
            &["device", "add", "oven", "--endpoint", "a:b:c"],
            64,
            "endpoint",
        ),
        (&["device", "add", "oven", "--days", "0"], 64, "--days"),
        (&["ca", "renew-server", "--san", "a b"], 1, "`a b`"),
    ] {
        let ended = site.ends(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(said),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
    assert_eq!(read(&site.path("data/ca/ca.key")), authority);
    assert!(!site.path("data/devices/oven.toml").exists());
    assert!(!site.path("oven").exists());

    let other = Site::new("").await;
    fs_err::remove_dir_all(other.path("data/ca")).unwrap();
    let ended = other.ends(&["device", "add", "oven"]).await;
    assert!(
        ended.stderr.contains("selvedge ca init"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn the_only_copy_of_a_key_is_never_overwritten() {
    let settings = "classes.oven.publish = ['telemetry/ovens/{device}/#']";
    let site = Site::new(settings).await;
    site.succeeds(&["device", "add", "oven", "--class", "oven"])
        .await;
    let key = read(&site.path("oven/oven.key"));
    let ended = site.ends(&["device", "add", "oven"]).await;
    assert!(ended.stderr.contains("there is a device `oven`"));
    site.succeeds(&["device", "remove", "oven"]).await;
    let ended = site.ends(&["device", "add", "oven"]).await;
    assert!(ended.stderr.contains("--out"), "{}", ended.stderr);
    assert_eq!(read(&site.path("oven/oven.key")), key, "the only copy");
    fs_err::write(site.path("data/devices/bad.toml"), "x = 1").unwrap();
    let ended = site.ends(&["device", "list"]).await;
    assert!(ended.stderr.contains("bad.toml"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_key_need_not_leave_its_device() {
    let site = Site::new("").await;
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default();
    let request = request.serialize_request(&key).unwrap().pem().unwrap();
    fs_err::write(site.path("oven.csr"), request).unwrap();
    site.succeeds(&["device", "add", "oven", "--csr", "oven.csr"])
        .await;
    assert!(site.path("oven/oven.crt").exists());
    assert!(!site.path("oven/oven.key").exists());
}

#[tokio::test]
async fn another_authority_can_vouch_for_the_site() {
    let plant = Site::new("").await;
    let site = Site::new("").await;
    fs_err::remove_dir_all(site.path("data/ca")).unwrap();
    let ca = ["ca.crt", "ca.key"].map(|file| plant.path("data/ca").join(file));
    let [certificate, key] = ca.each_ref().map(|path| path.to_str().unwrap());
    let arguments = ["ca", "init", "--from", certificate, key];
    site.succeeds(&arguments).await;
    site.succeeds(&["device", "add", "oven"]).await;
    let own = ["data/ca/ca.crt", "oven/ca.crt"].map(|file| read(&site.path(file)));
    assert_eq!(own, [read(&ca[0]), read(&ca[0])]);
}
