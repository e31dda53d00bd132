//! Two real hosts, both killed at random moments: devices publish numbers to the
//! one, over mutual TLS, and what it acknowledged reaches who reads at the other,
//! in order.
//!
//! Devices keep a window of unacknowledged messages and send it again after each
//! reconnection, as MQTT asks. Some readers read all the time, others come back
//! when all is over.

mod device;
mod reader;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use tokio::time::sleep;

use self::device::{Device, TOPICS, WINDOW};
use self::reader::{IN_FLIGHT, Reader};
use super::kills::{Random, SEED};
use crate::mqtt::gateway::{Gateway, Setup};
use crate::mqtt::raw::Version;

const PAIRS: u64 = 4;
/// Of each pair, both together.
const KILLS: u64 = 50;
/// Messages that the uplink has sent and that are not acknowledged.
const UPLINK_WINDOW: usize = 20;

/// What came of one pair.
#[derive(Debug, Default)]
struct Tally {
    edge_kills: u64,
    cloud_kills: u64,
    connections: u64,
    acknowledged: u64,
    duplicates: usize,
}

/// Two hosts: devices at one, the reader at the other, an uplink between them.
struct Pair {
    edge: Gateway,
    cloud: Gateway,
}

impl Pair {
    async fn start(uplink: &str) -> Self {
        let setup = Setup::default();
        let cloud = Gateway::prepare(setup, &[]);
        let all = "publish = [\"#\"]\nsubscribe = [\"#\"]\n[quota]\n";
        let quota = format!("inflight_max = {IN_FLIGHT}\npublish_per_second_max = 100000\n");
        cloud.device("edge", &format!("{all}{quota}"));
        let quota = format!("inflight_max = {IN_FLIGHT}\nqueue_messages_max = 1000000\n");
        let bytes = format!("queue_bytes_max = {}\n", 128 << 20);
        cloud.device("reader", &format!("{all}{quota}{bytes}"));
        let mut cloud = cloud;
        cloud.start_again().await;
        let broker = format!(
            "[uplinks.cloud]\nendpoint = \"{}\"\nclient_id = \"edge\"\nprotocol = \"{uplink}\"\n\
             ca = \"cloud.pem\"\ncertificate = \"edge.pem\"\nkey = \"edge.key\"\n\
             limits.in_flight_max = {UPLINK_WINDOW}\n\
             times = {{ reconnect_ms_min = 1, reconnect_ms_max = 20 }}\n\
             [[uplinks.cloud.rules]]\nfilter = \"out/#\"\n",
            cloud.address
        );
        let setup = Setup {
            broker,
            ..Setup::default()
        };
        let mut edge = Gateway::prepare(setup, &["a", "b"]);
        let own = cloud.authority.issue("edge");
        fs_err::write(edge.path("cloud.pem"), cloud.authority.pem()).unwrap();
        fs_err::write(edge.path("edge.pem"), own.certificate).unwrap();
        fs_err::write(edge.path("edge.key"), own.key).unwrap();
        edge.start_again().await;
        Self { edge, cloud }
    }

    /// Kills one or both, and starts them again; not always waits until they serve.
    async fn kill(&mut self, random: &mut Random, tally: &mut Tally) {
        let which = random.below(4);
        let (edge, cloud) = (which != 0, which != 1 && which != 2);
        if edge {
            tally.edge_kills += 1;
            self.edge.kill().await;
        }
        if cloud {
            tally.cloud_kills += 1;
            self.cloud.kill().await;
            self.cloud.spawn();
        }
        if edge {
            self.edge.spawn();
        }
        if random.below(3) > 0 {
            self.listening().await;
        }
    }

    async fn listening(&mut self) {
        self.edge.listening_again().await;
        self.cloud.listening_again().await;
    }
}

impl Drop for Pair {
    #[expect(clippy::print_stdout, reason = "shown if the test fails")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, host) in [("edge", &self.edge), ("cloud", &self.cloud)] {
            let log = host.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            println!("{name}:\n{}", last.join("\n"));
            println!("{:?}", host.try_get("/v1/uplinks"));
        }
    }
}

async fn pair(own: u64, seed: u64) -> Tally {
    let mut random = Random(seed | 1);
    let mut tally = Tally::default();
    let uplink = if own.is_multiple_of(2) { "5" } else { "3.1.1" };
    let mut pair = Pair::start(uplink).await;
    let target = pair.cloud.target("reader");
    let reads_meanwhile = own < PAIRS / 2;
    // Of the device's own repetitions, and of the uplink's.
    let behind_max = (!reads_meanwhile).then_some(WINDOW + UPLINK_WINDOW);
    let version = Version::BOTH[(own % 2) as usize];
    let mut reader = Reader::subscribe(&target, version, behind_max).await;
    let mut devices = [("a", Version::V4), ("b", Version::V5)]
        .map(|(name, version)| Device::new(name, version, pair.edge.target(name)));
    let (over, told) = (AtomicBool::new(false), AtomicBool::new(false));
    let kills = async {
        while tally.edge_kills + tally.cloud_kills < KILLS {
            sleep(Duration::from_millis(20 + random.below(500))).await;
            pair.kill(&mut random, &mut tally).await;
        }
        pair.listening().await;
        over.store(true, Ordering::Relaxed);
    };
    let publish = async {
        join_all(devices.iter_mut().map(|device| device.publish(&over))).await;
        told.store(true, Ordering::Relaxed);
    };
    let read = async {
        if reads_meanwhile {
            reader.read_until(|_| told.load(Ordering::Relaxed)).await;
        }
    };
    tokio::join!(kills, publish, read);
    let last: BTreeMap<_, _> = devices.iter().flat_map(Device::acknowledged).collect();
    assert_eq!(last.len(), devices.len() * TOPICS);
    tally.acknowledged = last.values().sum();
    reader
        .read_until(|next| {
            last.iter()
                .all(|(topic, count)| next.get(topic) >= Some(count))
        })
        .await;
    let connections = devices.iter().map(|device| device.connections);
    tally.connections = connections.sum();
    tally.duplicates = reader.duplicates;
    let most = WINDOW * usize::try_from(tally.connections).unwrap()
        + UPLINK_WINDOW * usize::try_from(tally.edge_kills + tally.cloud_kills + 1).unwrap();
    assert!(reads_meanwhile || tally.duplicates <= most, "{tally:?}");
    tally
}

#[tokio::test]
async fn what_a_device_was_told_is_kept_outlives_any_kills_of_both_hosts() {
    let given = std::env::var(SEED).ok();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = given.map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let pairs = (0..PAIRS).map(|own| pair(own, seed.wrapping_add(own * 7_919)));
    let tallies = join_all(pairs).await;
    println!("{tallies:#?}");
    let kills = tallies.iter().map(|own| own.edge_kills + own.cloud_kills);
    assert!(kills.sum::<u64>() >= PAIRS * KILLS);
    for tally in &tallies {
        assert!(tally.acknowledged > 10 * KILLS, "{tally:?}");
    }
}
