//! What a newer policy, or none that is believed, means for what runs.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_signer::{Lifetimes, RepositoryKeys, SigningKey, TrustRepository};
use tokio::time::timeout;

use super::peers::Peers;
use super::world::World;
use crate::process::DEADLINE;

/// The device looks at its trust repository this often.
const REFRESH: &str = "refresh_s = 1\n";
/// How long the policy that expires in a test is believed: long enough for a busy
/// machine to start a host.
const SHORT: SignedDuration = SignedDuration::from_secs(45);

#[tokio::test]
async fn what_is_revoked_is_stopped_and_its_neighbour_goes_on() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let vendor = world.key_publisher("vendor", "vendor/*").await;
    let mut references = Vec::new();
    for package in ["bad", "good"] {
        let to = format!("{}/vendor/{package}", registry.address);
        let reference = world.publish(&to, "1.0.0", &vendor).await;
        references.push(world.pull(&reference).await);
    }
    let host = String::from_utf8(world.read("host.toml")).unwrap();
    world.write("host.toml", host + REFRESH);
    let references: Vec<_> = references.iter().map(String::as_str).collect();
    world.deployment("line.toml", &references);
    let mut host = world.host_without_network("line.toml");
    host.line("deployment started").await;

    // What nobody can believe changes nothing.
    let timestamp = world.find("site/repository", "timestamp.json");
    let whole = fs_err::read(&timestamp).unwrap();
    fs_err::write(&timestamp, b"{}").unwrap();
    host.line("trust repository not believed").await;
    fs_err::write(&timestamp, whole).unwrap();

    let (_, digest) = references[0].split_once('@').unwrap();
    world
        .done(&format!("policy revoke digest {digest} --site site"))
        .await;
    let line = host.line("plugin stopped: it is revoked").await;
    assert!(
        line.contains("plugin=\"p0\"") && line.contains(digest),
        "{line}"
    );
    host.signal("TERM").await;
    let ended = host.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let stopped = ended
        .stderr
        .matches("plugin stopped: it is revoked")
        .count();
    assert_eq!(stopped, 1, "{ended:?}");
    let last = ended.stderr.rsplit("shutting down").next().unwrap();
    assert!(
        last.contains("plugin/p1"),
        "it did not run to the end: {ended:?}"
    );
}

#[tokio::test]
async fn without_a_policy_that_is_believed_only_shipped_plugins_run() {
    let world = World::new().await;
    let timestamp = world.find("site/repository", "timestamp.json");
    fs_err::write(&timestamp, b"{}").unwrap();
    let shipped = "name = \"line\"\nversion = \"1.0.0\"\n[plugins.window]\ncomponent = \"shipped:window\"\n\
        config = { step_ms = 100, length = 30, hop = 5, max_gap_ms = 1000, wait_ms = 300, \
        series = [{ record = \"speed\", features = [\"mean\"] }] }\n\
        grants.subscribe = [\"telemetry/#\"]\ngrants.publish = [\"feature/#\"]\n";
    world.write("shipped.toml", shipped);
    let ended = world.runs_without_network("shipped.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("trust repository not believed"),
        "{ended:?}"
    );
    let digest = "0".repeat(64);
    let other = format!("localhost:1/vendor/echo:1.0.0@sha256:{digest}");
    world.deployment("other.toml", &[&other]);
    world.refuses("other.toml").await;
}

#[tokio::test]
async fn an_expired_policy_blocks_what_is_new_and_nothing_else() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let vendor = world.key_publisher("vendor", "vendor/*").await;
    let mut references = Vec::new();
    for package in ["accepted", "new"] {
        let to = format!("{}/vendor/{package}", registry.address);
        let reference = world.publish(&to, "1.0.0", &vendor).await;
        references.push(world.pull(&reference).await);
    }
    publish_for(&world, SHORT);
    world.deployment("accepted.toml", &[&references[0]]);
    world.runs_without_network("accepted.toml").await;

    let expired = async {
        let verify = format!("verify {} --host-config host.toml", references[1]);
        while !world.cli(&verify).await.stderr.contains("expired at") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(DEADLINE, expired).await.unwrap();
    let ended = world.runs_without_network("accepted.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    world.deployment("new.toml", &[&references[1]]);
    let ended = world.refuses("new.toml").await;
    assert!(ended.stderr.contains("the policy expired at"), "{ended:?}");

    // The operator says again that it is current.
    world.done("policy refresh --site site").await;
    let ended = world.runs_without_network("new.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Signs the site's policy again, to be believed only for a while.
fn publish_for(world: &World, valid: SignedDuration) {
    let key = |role: &str| SigningKey::read(&world.path(&format!("site/keys/{role}.key")), None);
    let keys = RepositoryKeys {
        root: Vec::new(),
        targets: vec![key("targets").unwrap()],
        online: key("online").unwrap(),
    };
    let mut repository = TrustRepository::open(&world.path("site/repository")).unwrap();
    let policy = repository.policy().clone();
    let files: Vec<(String, Bytes)> = repository.files();
    let lifetimes = Lifetimes {
        snapshot: valid,
        timestamp: valid,
        ..Lifetimes::default()
    };
    let now = Timestamp::now();
    let published = repository.publish(&keys, &policy, &files, lifetimes, now);
    published.unwrap();
}
