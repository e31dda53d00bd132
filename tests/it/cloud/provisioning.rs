//! Certificates by a claim.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::site::Cloud;
use crate::process::{Process, selvedge, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_becomes_a_thing_by_a_command_that_can_be_repeated() {
    let Some(cloud) = Cloud::start().await else {
        return;
    };
    let claim = cloud.thing.clone();
    let endpoint = format!("127.0.0.1:{}", cloud.mosquitto.address.port());
    let folder = cloud.path().to_owned();
    let provision = |parameters: &[&str]| {
        let mut command = selvedge(&["provision", "--endpoint", &endpoint, "--template", "line"]);
        command.args(["--ca", text(&claim.authority)]);
        command.args(["--claim-cert", text(&claim.certificate)]);
        command.args(["--claim-key", text(&claim.key)]);
        command.args(parameters).current_dir(&folder);
        Process::start(&mut command)
    };
    let ended = provision(&[]).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("InvalidParameters: SerialNumber is missing"),
        "{ended:?}"
    );
    // What was begun is gone on with; a token that expired costs a certificate.
    cloud.orders("forget", json!({})).await;
    let parameter = ["--param", "SerialNumber=7"];
    let ended = provision(&parameter).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("gw-7"), "{ended:?}");
    let key = fs_err::metadata(folder.join("key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let ended = provision(&parameter).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = cloud.end().await;
    assert_eq!(said.matches("certificate made").count(), 2, "{said}");
    assert_eq!(said.matches("provisioned gw-7").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_certificate_gets_one_and_connects_with_it() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let folder = cloud.path().to_owned();
    let (certificate, key) = (folder.join("own/cert.pem"), folder.join("own/key.pem"));
    let uplink = cloud.uplink(&certificate, &key);
    let config = format!(
        "{uplink}[cloud]\nuplink = \"aws\"\n[cloud.shadow]\ninterval_s_min = 1\n\
         [cloud.provisioning]\ntemplate = \"line\"\nclaim_certificate = {:?}\nclaim_key = {:?}\n\
         parameters = {{ SerialNumber = \"7\" }}\n",
        cloud.thing.certificate, cloud.thing.key
    );
    fs_err::write(folder.join("host.toml"), config).unwrap();
    for _ in 0..2 {
        let mut command = selvedge(&["run", "--data-directory", "data"]);
        command
            .args(["--host-config", "host.toml"])
            .current_dir(&folder);
        let mut host = Process::start(&mut command);
        cloud.hears("shadow asked").await;
        host.signal("TERM").await;
        assert_eq!(host.end().await.code, Some(0));
    }
    let said = cloud.end().await;
    assert_eq!(said.matches("provisioned gw-7").count(), 1, "{said}");
}
