//! A plugin is asked who may connect: the real host, a real guest, and whatever
//! that guest says or does instead.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::certificates::without_certificate;
use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Version};
use super::target::Target;
use crate::guests::guest;
use crate::process::DEADLINE;

const CLIENT_ID_NOT_VALID: u8 = 0x85;
const BAD_CREDENTIALS: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const UNAVAILABLE: u8 = 0x88;
const ADMINISTRATIVE_ACTION: u8 = 0x98;
const MAXIMUM_CONNECT_TIME: u8 = 0xA0;

/// What the device `pump` may do by its file.
const PUMP: &str = "publish = [\"telemetry/#\"]\nsubscribe = [\"command/#\"]\n";

/// A gateway that asks the guest `authorizes` in this mode.
struct Guarded {
    gateway: Gateway,
    _deployment: TempDir,
}

impl Guarded {
    async fn start(mode: &str, broker: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let deployment = deployment(&folder, mode);
        let setup = Setup {
            broker: format!("authorizer = \"guard\"\n{broker}"),
            deployment: Some(deployment),
            ..Setup::default()
        };
        let mut gateway = Gateway::prepare(setup, &[]);
        gateway.device("pump", PUMP);
        gateway.start_again().await;
        Self {
            gateway,
            _deployment: folder,
        }
    }

    /// One where only the plugin knows who comes.
    async fn without_certificates(mode: &str) -> (Self, Target) {
        let guarded = Self::start(mode, "tls.client_certificates = \"optional\"").await;
        let gateway = &guarded.gateway;
        let target = Target {
            tls: Some(without_certificate(&gateway.authority.pem())),
            ..gateway.target("pump")
        };
        (guarded, target)
    }
}

fn deployment(folder: &TempDir, mode: &str) -> PathBuf {
    fs_err::write(folder.path().join("guard.wasm"), guest("authorizes")).unwrap();
    let text = format!(
        "name = \"site\"\nversion = \"1.0.0\"\n\n\
         [plugins.guard]\ncomponent = \"guard.wasm\"\nconfig.mode = \"{mode}\"\n\
         limits = {{ call_ms_max = 500 }}\n"
    );
    let path = folder.path().join("site.toml");
    fs_err::write(&path, text).unwrap();
    path
}

/// One who says this word.
fn with_word(version: Version, name: &str, word: &str) -> Connect {
    Connect::new(version, name).with(|connect| {
        connect.username = Some(name.to_owned());
        connect.password = Some(word.as_bytes().to_vec());
    })
}

async fn refusal(target: &Target, connect: &Connect) -> Option<u8> {
    match Client::try_connect(target, connect).await {
        Ok(_) => panic!("{connect:?} was let in"),
        Err(code) => code,
    }
}

/// Tries until it is let in: the plugin may have to come first.
async fn let_in(target: &Target, connect: &Connect) -> Client {
    let begun = Instant::now();
    loop {
        match Client::try_connect(target, connect).await {
            Ok(client) => return client,
            Err(code) => assert!(begun.elapsed() < DEADLINE, "{code:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_word_is_let_in_and_may_do_what_both_say() {
    let mut guarded = Guarded::start("answers", "").await;
    let gateway = &mut guarded.gateway;
    let pump = gateway.target("pump");
    for version in Version::BOTH {
        let mut client = let_in(&pump, &with_word(version, "pump", "the word")).await;
        // The plugin narrows what its file says.
        assert_eq!(client.subscribe("command/site/pump/go", 1).await, 1);
        assert!(client.subscribe("command/other", 1).await >= 0x80);
        if version == Version::V5 {
            let allowed = client.publish("telemetry/site/pump/a", "x", 1).await;
            assert!(allowed < 0x80, "{allowed:#x}");
            let beyond = client.publish("telemetry/other", "x", 1).await;
            assert_eq!(beyond, NOT_AUTHORIZED);
        }
        client.disconnect().await;
        let wrong = refusal(&pump, &with_word(version, "pump", "a guess")).await;
        let bad = match version {
            Version::V5 => BAD_CREDENTIALS,
            Version::V4 => 4,
        };
        assert_eq!(wrong, Some(bad));
    }
    let line = gateway.refused("authorizer-refused").await;
    assert_eq!(line["client_id"], "pump");
    // A word makes no certificate.
    let stranger = gateway.authority.issue("stranger");
    let stranger = gateway.target_as("stranger", &stranger);
    let word = with_word(Version::V5, "stranger", "the word");
    assert_eq!(refusal(&stranger, &word).await, Some(NOT_AUTHORIZED));
    // Nobody's word or password stands in the log.
    let log = gateway.log();
    assert!(
        !log.contains("a guess") && !log.contains("the word"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_certificate_is_who_the_plugin_says() {
    let (guarded, target) = Guarded::without_certificates("answers").await;
    let word = |name| with_word(Version::V5, name, "the word");
    let mut pump = let_in(&target, &word("pump")).await;
    assert_eq!(pump.subscribe("command/site/pump/go", 1).await, 1);
    assert_eq!(pump.subscribe("command/other", 1).await, NOT_AUTHORIZED);
    // A device without a file may do what the plugin says, and no more.
    let mut guest = let_in(&target, &word("visitor")).await;
    let topic = "telemetry/site/visitor/a";
    assert!(guest.publish(topic, "x", 1).await < 0x80);
    let beyond = guest.publish("telemetry/site/pump/a", "x", 1).await;
    assert_eq!(beyond, NOT_AUTHORIZED);
    // Of another name than it knows the word for.
    let other = word("pump").with(|connect| connect.client_id = "visitor".to_owned());
    assert_eq!(refusal(&target, &other).await, Some(CLIENT_ID_NOT_VALID));
    let nobody = Connect::new(Version::V5, "pump");
    assert_eq!(refusal(&target, &nobody).await, Some(BAD_CREDENTIALS));
    // Who shows a certificate is nobody else.
    let certified = guarded.gateway.target("pump");
    let told = refusal(&certified, &word("visitor")).await;
    assert_eq!(told, Some(CLIENT_ID_NOT_VALID));
    // Whom the operator shut out stays out.
    guarded.gateway.device("pump", "disabled = true\n");
    assert!(matches!(
        pump.closed().await,
        Some(NOT_AUTHORIZED | ADMINISTRATIVE_ACTION)
    ));
    assert_eq!(refusal(&target, &word("pump")).await, Some(NOT_AUTHORIZED));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_has_the_last_word_about_who_was_in_before_it_was_registered() {
    let (guarded, target) = Guarded::without_certificates("answers").await;
    let word = |name| with_word(Version::V5, name, "the word");
    let mut first = let_in(&target, &word("first")).await;
    let mut second = let_in(&target, &word("second")).await;
    let mut third = let_in(&target, &word("third")).await;
    // As much as the plugin says, less, nothing.
    let file = |publish| format!("publish = [\"{publish}\"]\nsubscribe = [\"command/#\"]\n");
    guarded.gateway.device("first", &file("telemetry/#"));
    guarded.gateway.device("second", &file("other"));
    assert_eq!(second.closed().await, Some(ADMINISTRATIVE_ACTION));
    let mut second = let_in(&target, &word("second")).await;
    let topic = "telemetry/site/second/a";
    assert_eq!(second.publish(topic, "x", 1).await, NOT_AUTHORIZED);
    guarded.gateway.device("third", "disabled = true\n");
    assert_eq!(third.closed().await, Some(NOT_AUTHORIZED));
    assert_eq!(refusal(&target, &word("third")).await, Some(NOT_AUTHORIZED));
    let topic = "telemetry/site/first/a";
    assert!(first.publish(topic, "x", 1).await < 0x80);
}

/// That a plugin in this mode lets nobody in, and that this is told.
async fn lets_nobody_in(mode: &str) {
    let mut guarded = Guarded::start(mode, "").await;
    let pump = guarded.gateway.target("pump");
    // The second comes while a plugin that failed is started again.
    for _ in 0..2 {
        let word = with_word(Version::V5, "pump", "the word");
        let told = refusal(&pump, &word).await;
        assert_eq!(told, Some(UNAVAILABLE), "{mode}");
    }
    guarded.gateway.refused("authorizer-unavailable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_lets_nobody_in() {
    tokio::join!(lets_nobody_in("traps"), lets_nobody_in("spins"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_talks_nonsense_lets_nobody_in() {
    tokio::join!(lets_nobody_in("lies"), lets_nobody_in("grants-nonsense"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_cannot_grant_a_registered_device_more_than_its_file() {
    let guarded = Guarded::start("grants-all", "").await;
    let pump = guarded.gateway.target("pump");
    let mut client = let_in(&pump, &Connect::new(Version::V5, "pump")).await;
    assert_eq!(client.subscribe("#", 1).await, NOT_AUTHORIZED);
    assert_eq!(client.subscribe("command/#", 1).await, 1);
    assert_eq!(client.publish("other", "x", 1).await, NOT_AUTHORIZED);
    assert!(client.publish("telemetry/x", "x", 1).await < 0x80);
    let reserved = client.publish("$selvedge/x", "x", 1).await;
    assert!(reserved >= 0x80, "{reserved:#x}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_ends_when_it_said() {
    let mut guarded = Guarded::start("for-a-second", "").await;
    let gateway = &mut guarded.gateway;
    let pump = gateway.target("pump");
    for version in Version::BOTH {
        let begun = Instant::now();
        let mut client = let_in(&pump, &Connect::new(version, "pump")).await;
        let told = client.closed().await;
        let taken = begun.elapsed();
        // Looked at each second; the machine may be busy.
        assert!(taken >= Duration::from_millis(500), "{taken:?}");
        assert!(taken < DEADLINE, "{taken:?}");
        let expected = (version == Version::V5).then_some(MAXIMUM_CONNECT_TIME);
        assert_eq!(told, expected);
    }
    gateway.refused("permission-ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_plugin_is_not_deployed_nobody_comes_in() {
    let setup = Setup {
        broker: "authorizer = \"guard\"\n".to_owned(),
        ..Setup::default()
    };
    let mut gateway = Gateway::prepare(setup, &[]);
    gateway.device("pump", PUMP);
    gateway.start_again().await;
    let pump = gateway.target("pump");
    let begun = Instant::now();
    let word = with_word(Version::V5, "pump", "the word");
    assert_eq!(refusal(&pump, &word).await, Some(UNAVAILABLE));
    assert!(begun.elapsed() < Duration::from_secs(10), "not at once");
    gateway.refused("authorizer-unavailable").await;
}
