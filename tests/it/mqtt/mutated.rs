//! A hundred thousand mutated packets against a broker, seeded, over short and long
//! connections at once, while other clients must be served all along.
//!
//! Each packet is looked at before the next one is sent: a ping follows it, and its
//! answer or the end of the connection is waited for.

mod packets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use self::packets::{Packets, Random};
use super::mosquitto::{self, Mosquitto};
use super::raw::{Client, Connect, Version, packet};
use super::target::{Stream, Target};

/// Mutated packets in all.
const PACKETS: usize = 100_000;
/// Connections at once.
const WORKERS: usize = 20;
/// How long an answer is waited for: a packet that ends too early gets none.
const ANSWER_MAX: Duration = Duration::from_millis(5);
/// The longest that a client beside the attack waits for its own message.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// How many packets a connection carries at most, if it lives.
const PACKETS_PER_CONNECTION: [usize; 4] = [1, 8, 64, 512];
/// Changed, it makes other packets of the same kind.
const SEED: u64 = 0x5E1F_ED6E;

/// A broker under attack.
pub(crate) struct Victim<'a> {
    /// Without TLS, or handshakes take most of the time.
    pub(crate) target: Target,
    pub(crate) pid: u32,
    /// All that it has logged.
    pub(crate) log: &'a dyn Fn() -> String,
    /// How much its memory may grow.
    pub(crate) growth_bytes_max: u64,
}

/// What was sent, and how the broker fared.
#[derive(Debug)]
#[expect(dead_code, reason = "printed as a whole")]
struct Report {
    packets: usize,
    connections: usize,
    probes: usize,
    slowest_probe: Duration,
    growth_bytes: u64,
    elapsed: Duration,
}

/// A broker withstands all that; anything else fails the test.
#[expect(clippy::print_stdout, reason = "a measurement, shown with --nocapture")]
pub(crate) async fn withstands(victim: Victim<'_>) {
    let target = victim.target.clone();
    let mut probes = Vec::new();
    for version in Version::BOTH {
        probes.push(Probe::start(&target, version).await);
    }
    let (begun, before) = (Instant::now(), resident_bytes(victim.pid));
    let attack = tokio::task::spawn_blocking(move || attack(&target));
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while !attack.is_finished() {
        for probe in &mut probes {
            slowest = slowest.max(probe.answer().await);
            count += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = attack.await.unwrap();
    for version in Version::BOTH {
        Probe::start(&victim.target, version).await.answer().await;
    }
    let growth_bytes = resident_bytes(victim.pid).saturating_sub(before);
    let report = Report {
        packets: sent.packets.into_inner(),
        connections: sent.connections.into_inner(),
        probes: count,
        slowest_probe: slowest,
        growth_bytes,
        elapsed: begun.elapsed(),
    };
    println!("{report:?}");
    let log = (victim.log)();
    let panic = log.lines().find(|line| line.contains("panicked"));
    assert!(panic.is_none(), "{panic:?}");
    assert!(growth_bytes < victim.growth_bytes_max, "{report:?}");
    assert_eq!(report.packets, PACKETS);
    assert!(report.probes > 100, "{report:?}");
}

/// The memory of a process that is really there.
fn resident_bytes(pid: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("the broker runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.expect("it is no zombie").split_whitespace().nth(1);
    kibibytes.unwrap().parse::<u64>().unwrap() * 1_024
}

/// A client beside the attack.
struct Probe {
    client: Client,
    topic: String,
    number: u64,
}

impl Probe {
    async fn start(target: &Target, version: Version) -> Self {
        let id = format!("{}beside-{version:?}", target.client);
        let topic = format!("{}/beside-{version:?}", target.root);
        let connect = Connect::new(version, &id);
        let mut client = Client::connect(target, &connect).await;
        assert_eq!(client.subscribe(&topic, 1).await, 1);
        Self {
            client,
            topic,
            number: 0,
        }
    }

    /// Publishes to itself; how long it took.
    async fn answer(&mut self) -> Duration {
        let (begun, text) = (Instant::now(), self.number.to_string());
        self.number += 1;
        let answered = timeout(PROBE_MAX, async {
            self.client.publish(&self.topic, &text, 1).await;
            self.client.until(&text).await;
        });
        answered
            .await
            .expect("a client beside the attack is served");
        begun.elapsed()
    }
}

/// What has been sent by all workers.
#[derive(Debug, Default)]
struct Sent {
    packets: AtomicUsize,
    connections: AtomicUsize,
}

/// Sends everything, over several connections at once.
fn attack(target: &Target) -> Sent {
    let sent = Sent::default();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let sent = &sent;
            scope.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().unwrap();
                runtime.block_on(work(target, sent, worker));
            });
        }
    });
    sent
}

async fn work(target: &Target, sent: &Sent, worker: usize) {
    let seed = SEED + u64::try_from(worker).unwrap();
    let mut random = Random::new(seed);
    let client = format!("{}{worker}", target.client);
    let packets = Version::BOTH.map(|version| Packets::new(version, &client, &target.root));
    let mut left = PACKETS / WORKERS;
    while left > 0 {
        let packets = &packets[random.below(packets.len())];
        // A broker that is short of places may refuse for a while.
        let Ok(stream) = target.try_dial().await else {
            tokio::time::sleep(ANSWER_MAX).await;
            continue;
        };
        sent.connections.fetch_add(1, Ordering::Relaxed);
        let count = PACKETS_PER_CONNECTION[random.below(PACKETS_PER_CONNECTION.len())];
        let count = talk(stream, packets, &mut random, count.min(left)).await;
        sent.packets.fetch_add(count, Ordering::Relaxed);
        left -= count;
    }
}

/// Sends so many mutated packets, or fewer if the broker closes; how many.
async fn talk(
    mut stream: Box<dyn Stream>,
    packets: &Packets,
    random: &mut Random,
    count: usize,
) -> usize {
    if random.one_in(6) {
        say(&mut stream, &packets.mutated_connect(random)).await;
        return 1;
    }
    if !say(&mut stream, &packets.connects[0]).await {
        return 0;
    }
    for sent in 0..count {
        let mut bytes = packets.mutated(random);
        bytes.extend(packet::PING);
        if !say(&mut stream, &bytes).await {
            return sent + 1;
        }
    }
    count
}

/// Sends bytes and reads what is answered; whether the connection lives.
async fn say(stream: &mut Box<dyn Stream>, bytes: &[u8]) -> bool {
    if stream.write_all(bytes).await.is_err() || stream.flush().await.is_err() {
        return false;
    }
    let mut answer = [0; 4_096];
    match timeout(ANSWER_MAX, stream.read(&mut answer)).await {
        Ok(Ok(0) | Err(_)) => return false,
        Ok(Ok(_)) => {}
        Err(_) => return true,
    }
    // Whatever else has come.
    loop {
        match stream.read(&mut answer).now_or_never() {
            Some(Ok(0) | Err(_)) => return false,
            Some(Ok(_)) => {}
            None => return true,
        }
    }
}

#[tokio::test]
async fn mosquitto_withstands_mutated_packets() {
    let Some(program) = mosquitto::find() else {
        return;
    };
    let server = Mosquitto::start(&program, "");
    withstands(Victim {
        target: Target::open(server.address),
        pid: server.pid(),
        log: &|| server.log(),
        growth_bytes_max: 32 << 20,
    })
    .await;
}
