//! Our own broker, asked what any broker is asked.

use super::conformance::{BOUNDED, GENERAL, bounded, hold};
use super::gateway::{Gateway, Setup};
use super::mutated::{Victim, withstands};
use super::target::Target;

/// Where our broker does less than the specifications allow.
const KNOWN: &[(&str, &str)] = &[];

/// The device that everybody is.
const TRIER: &str = "trier";

/// Everything, and membership of the groups that the cases share messages in: a
/// group takes messages away from others, so each is granted by its name.
const GRANT: &str = "
publish = [\"#\"]
subscribe = [\"#\", \"$share/g/#\", \"$share/g1/#\", \"$share/g2/#\", \"$share/group/#\"]
";

/// All that the cases need at once, and more messages than they send.
const QUOTA: &str = "
[broker.quota]
connections_max = 500
sessions_max = 5000
publish_per_second_max = 100000
publish_bytes_per_second_max = 1000000000
inflight_max = 20
";

/// A gateway that takes the trier with a certificate, and anybody as the trier on a
/// listener without TLS.
async fn gateway(broker: &str) -> (Gateway, Target) {
    let plain = "plain = { listen = \"127.0.0.1:0\", device = \"trier\" }\n";
    let setup = Setup {
        broker: format!("{plain}{broker}"),
        ..Setup::default()
    };
    let mut gateway = Gateway::prepare(setup, &[]);
    gateway.device(TRIER, GRANT);
    gateway.start_again().await;
    let plain = Target {
        address: gateway.plain.expect("it listens without TLS"),
        tls: None,
        ..gateway.target(TRIER)
    };
    (gateway, plain)
}

#[tokio::test]
async fn the_broker_passes_the_cases() {
    let (_gateway, target) = gateway(QUOTA).await;
    hold(&target, GENERAL, KNOWN).await;
}

#[tokio::test]
async fn the_broker_passes_the_cases_over_mutual_tls() {
    let (gateway, _plain) = gateway(QUOTA).await;
    hold(&gateway.target(TRIER), GENERAL, KNOWN).await;
}

#[tokio::test]
async fn the_broker_passes_the_cases_of_a_bounded_one() {
    let bounds = format!(
        "limits.keep_alive_s_max = {}\nquota.packet_bytes_max = {}\nquota.inflight_max = {}\n\
         quota.connections_max = 500\nquota.sessions_max = 500\n",
        bounded::KEEP_ALIVE_S_MAX,
        bounded::PACKET_BYTES_MAX,
        bounded::INFLIGHT_MAX
    );
    let (_gateway, target) = gateway(&bounds).await;
    hold(&target, BOUNDED, KNOWN).await;
}

#[tokio::test]
async fn the_broker_withstands_mutated_packets() {
    let (gateway, target) = gateway(QUOTA).await;
    withstands(Victim {
        target,
        pid: gateway.id(),
        log: &|| gateway.log(),
        growth_bytes_max: 32 << 20,
    })
    .await;
}
