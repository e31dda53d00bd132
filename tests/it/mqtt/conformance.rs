//! What the specifications and other people's test suites ask of a broker, as
//! cases that run against any: each takes a broker and asks one question.
//!
//! They run side by side against one broker, every case with client ids and topics
//! of its own. They run against mosquitto too, which proves the cases themselves;
//! where mosquitto is known to be wrong, the list says why.

pub(crate) mod bounded;
mod connecting;
mod flow;
mod kills;
mod malformed;
mod properties;
mod publishing;
mod retained;
mod sessions;
mod sharing;
mod subscribing;
mod wills;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;

use super::certificates::Authority;
use super::mosquitto::{self, Mosquitto};
use super::raw::{Client, Connect, Packet, Version, packet};
use super::target::Target;

/// Cases that run at once.
const CASES_AT_ONCE: usize = 24;
/// After this a case has failed.
const CASE_DEADLINE: Duration = Duration::from_secs(90);

/// One question to a broker.
pub(crate) struct Case {
    name: &'static str,
    versions: &'static [Version],
    run: for<'a> fn(&'a Broker) -> BoxFuture<'a, ()>,
}

/// The cases of a module: `both`, `v4` or `v5`, and their functions.
macro_rules! cases {
    (@both) => { &[crate::mqtt::raw::Version::V4, crate::mqtt::raw::Version::V5] };
    (@v4) => { &[crate::mqtt::raw::Version::V4] };
    (@v5) => { &[crate::mqtt::raw::Version::V5] };
    ($($versions:ident: [$($name:ident),* $(,)?])*) => {
        pub(super) const CASES: &[crate::mqtt::conformance::Case] = &[$($(
            crate::mqtt::conformance::Case {
                name: stringify!($name),
                versions: cases!(@$versions),
                run: |broker| Box::pin($name(broker)),
            },
        )*)*];
    };
}
use cases;

/// All cases but [`bounded`]: for a broker that takes up to 20 messages of QoS 2 at
/// once, packets of 256 KiB, any keep-alive, and 100 connections at once from the
/// trier.
pub(crate) const GENERAL: &[&[Case]] = &[
    connecting::CASES,
    flow::CASES,
    kills::CASES,
    malformed::CASES,
    properties::CASES,
    publishing::CASES,
    retained::CASES,
    sessions::CASES,
    sharing::CASES,
    subscribing::CASES,
    wills::CASES,
];

/// For a broker that is set up with the bounds that [`bounded`] names.
pub(crate) const BOUNDED: &[&[Case]] = &[bounded::CASES];

/// The broker under test, as one case sees it.
pub(crate) struct Broker {
    target: Target,
    version: Version,
    number: usize,
}

impl Broker {
    /// A client id that only this case uses.
    fn id(&self, name: &str) -> String {
        let version = self.version;
        format!("{}{}{version:?}{name}", self.target.client, self.number)
    }

    /// A topic that only this case uses.
    fn topic(&self, rest: &str) -> String {
        let version = self.version;
        format!("{}/{}{version:?}/{rest}", self.target.root, self.number)
    }

    /// A clean session.
    fn connect(&self, name: &str) -> Connect {
        Connect::new(self.version, &self.id(name))
    }

    /// A session that is kept.
    fn keep(&self, name: &str) -> Connect {
        Connect::kept(self.version, &self.id(name))
    }

    async fn join(&self, connect: &Connect) -> Client {
        Client::connect(&self.target, connect).await
    }

    /// A client with a clean session.
    async fn client(&self, name: &str) -> Client {
        self.join(&self.connect(name)).await
    }

    /// A client with a kept session.
    async fn kept(&self, name: &str) -> Client {
        self.join(&self.keep(name)).await
    }

    /// A client with a clean session that has subscribed.
    async fn subscriber(&self, name: &str, filter: &str, qos: u8) -> Client {
        let mut client = self.client(name).await;
        assert_eq!(client.subscribe(filter, qos).await, qos);
        client
    }

    /// Whether a connection ends when these bytes come after its CONNECT, with a
    /// reason if any that says so.
    async fn ends_at(&self, bytes: &[u8]) -> bool {
        let mut client = self.client("faulty").await;
        client.send(bytes).await;
        client.send(&packet::PING).await;
        loop {
            match client.next().await {
                None => return true,
                Some(Packet::Pong) => return false,
                Some(Packet::Disconnect { reason }) => {
                    assert!(reason >= 0x80, "{bytes:x?}: {reason:#x}");
                }
                Some(_) => {}
            }
        }
    }

    /// Others are served.
    async fn serves(&self) {
        for version in Version::BOTH {
            let id = self.id(&format!("probe{version:?}"));
            let mut probe = Client::connect(&self.target, &Connect::new(version, &id)).await;
            let topic = self.topic("probe");
            assert_eq!(probe.subscribe(&topic, 1).await, 1);
            assert!(probe.publish(&topic, "well?", 1).await < 0x80);
            assert_eq!(probe.message().await.text(), "well?");
            probe.disconnect().await;
        }
    }
}

/// How a case ended.
struct Outcome {
    name: String,
    failure: Option<String>,
}

async fn outcome(target: &Target, case: &Case, version: Version, number: usize) -> Outcome {
    let broker = Broker {
        target: target.clone(),
        version,
        number,
    };
    let run = AssertUnwindSafe((case.run)(&broker)).catch_unwind();
    let failure = match timeout(CASE_DEADLINE, run).await {
        Ok(Ok(())) => None,
        Ok(Err(panic)) => Some(message(panic.as_ref())),
        Err(_) => Some(format!("it takes longer than {CASE_DEADLINE:?}")),
    };
    let name = format!("{version:?} {}", case.name);
    Outcome { name, failure }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// Runs all cases of `groups` that contain `wanted` against `target`. All must hold
/// but the `known` ones, which must fail: `(version and name, why)`.
pub(crate) async fn hold(target: &Target, groups: &[&[Case]], known: &[(&str, &str)]) {
    let wanted = std::env::var("SELVEDGE_CASE").unwrap_or_default();
    let cases = groups.iter().flat_map(|group| group.iter());
    let cases = cases.filter(|case| case.name.contains(&wanted));
    let cases = cases.flat_map(|case| case.versions.iter().map(move |version| (case, *version)));
    let cases: Vec<_> = cases.enumerate().collect();
    let outcomes = futures::stream::iter(cases)
        .map(|(number, (case, version))| outcome(target, case, version, number))
        .buffer_unordered(CASES_AT_ONCE)
        .collect::<Vec<_>>();
    let mut faults = Vec::new();
    for Outcome { name, failure } in outcomes.await {
        let expected = known.iter().find(|(known, _)| *known == name);
        match (failure, expected) {
            (Some(failure), None) => faults.push(format!("{name}: {failure}")),
            (None, Some((_, why))) => faults.push(format!("{name} holds: strike it off ({why})")),
            _ => {}
        }
    }
    faults.sort();
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{target:?}, {count}:\n{}",
        faults.join("\n")
    );
}

/// Where mosquitto 2.0.11 departs from the specifications, or does less than they
/// allow.
const MOSQUITTO: &[(&str, &str)] = &[
    (
        "V4 a_faulty_first_byte_ends_the_connection",
        "it does not look at the flags of PINGREQ, PUBACK, PUBREC and PUBCOMP",
    ),
    ("V5 a_faulty_first_byte_ends_the_connection", "likewise"),
    (
        "V4 a_faulty_group_is_refused",
        "it takes groups without a name, and without a filter",
    ),
    ("V5 a_faulty_group_is_refused", "likewise"),
    (
        "V4 a_faulty_message_ends_the_connection",
        "it takes QoS 0 with the flag of a repetition",
    ),
    ("V5 a_faulty_message_ends_the_connection", "likewise"),
    (
        "V4 a_group_gets_no_retained_messages_when_it_subscribes",
        "it gives them",
    ),
    (
        "V5 a_group_gets_no_retained_messages_when_it_subscribes",
        "likewise",
    ),
    (
        "V4 a_packet_of_the_server_ends_the_connection",
        "it takes SUBACK, UNSUBACK and PINGRESP, as it does from bridges",
    ),
    (
        "V5 a_packet_of_the_server_ends_the_connection",
        "it takes PINGRESP",
    ),
    (
        "V4 overlapping_subscriptions_deliver_at_the_highest_quality",
        "it delivers at that of the subscription it finds first",
    ),
    (
        "V5 a_client_gets_no_more_at_once_than_it_allows",
        "it sends one too many after an acknowledgement",
    ),
    (
        "V5 a_taken_over_client_is_told_why",
        "it closes, and does not say why",
    ),
    (
        "V5 faulty_connect_properties_are_refused",
        "it takes authentication data without a method",
    ),
    (
        "V5 faulty_publish_properties_are_refused",
        "it takes payload format 2, answers to wildcards, and subscription identifiers",
    ),
    (
        "V5 faulty_wills_are_refused",
        "it takes payload format 2 and answers to wildcards",
    ),
];

#[tokio::test]
async fn mosquitto_passes_the_cases_but_the_known_ones() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    let server = Mosquitto::start(&program, "");
    hold(&Target::open(server.address), GENERAL, MOSQUITTO).await;
}

#[tokio::test]
async fn mosquitto_passes_the_cases_over_mutual_tls() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("site"));
    let files = authority.write("server", folder.path());
    let server = Mosquitto::start(&program, &mosquitto::mutual_tls(&files));
    let target = Target {
        tls: Some(authority.client(&authority.issue("trier"))),
        ..Target::open(server.address)
    };
    hold(&target, GENERAL, MOSQUITTO).await;
}

#[tokio::test]
async fn mosquitto_passes_the_cases_of_a_bounded_broker() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    let server = Mosquitto::start(&program, bounded::MOSQUITTO_SETTINGS);
    hold(&Target::open(server.address), BOUNDED, bounded::MOSQUITTO).await;
}
