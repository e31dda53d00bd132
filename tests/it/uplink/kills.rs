//! The real host and its far end, ended at random moments: whatever was
//! acknowledged to a publisher is at the far end, in order.
//!
//! The far end remembers what it acknowledged, as a durable broker does, and loses
//! its connections whenever; the host is killed. Publishers send a number again
//! until it is acknowledged, as devices do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::far_end::{Came, FarEnd, Reply};
use crate::process::DEADLINE;

/// Says with which numbers to begin; otherwise the clock does.
pub(super) const SEED: &str = "SELVEDGE_KILLS_SEED";

const PAIRS: u64 = 4;
/// Of each pair, host and far end together.
const KILLS: u64 = 50;
const PUBLISHERS: usize = 3;
/// Messages unacknowledged at once.
const WINDOW: usize = 50;

/// Random enough numbers (xorshift64).
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Somebody whose messages are acknowledged.
trait Source {
    /// Whether it was acknowledged; if not, it may have been taken all the same.
    fn publish(&mut self, topic: &str, number: u64) -> bool;
}

/// Publishes over the management API.
struct Operator {
    socket: PathBuf,
}

impl Source for Operator {
    fn publish(&mut self, topic: &str, number: u64) -> bool {
        let attempt = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(&self.socket)?;
            let body = format!("{{\"topic\":\"{topic}\",\"text\":\"{number}\"}}");
            let length = body.len();
            write!(
                stream,
                "POST /v1/publish?settled=true HTTP/1.0\r\nhost: selvedge\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(line.contains(" 204 "))
        };
        attempt().unwrap_or(false)
    }
}

/// A host that is killed.
struct Host {
    folder: TempDir,
    child: Option<Child>,
}

impl Host {
    fn new(far_end: &FarEnd) -> Self {
        let folder = TempDir::new().unwrap();
        let config = format!(
            "data_directory = \"data\"\napi.socket = \"api.sock\"\n\
             [uplinks.cloud]\nendpoint = \"{}\"\nplain = true\nclient_id = \"gw\"\n\
             limits.in_flight_max = {WINDOW}\n\
             times = {{ reconnect_ms_min = 1, reconnect_ms_max = 10 }}\n\
             [[uplinks.cloud.rules]]\nfilter = \"out/#\"\n",
            far_end.address
        );
        fs_err::write(folder.path().join("host.toml"), config).unwrap();
        let mut host = Self {
            folder,
            child: None,
        };
        host.start();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self) {
        let mut options = fs_err::OpenOptions::new();
        let log = options.create(true).append(true).open(self.path("log"));
        let log = log.unwrap().into_file();
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_selvedge")));
        command
            .args(["run", "--host-config"])
            .arg(self.path("host.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Host {
    #[expect(clippy::print_stdout, reason = "shown if the test fails")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs_err::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// Publishes numbers until it is over; how many were acknowledged.
fn publish(source: &mut dyn Source, topic: &str, over: &AtomicBool) -> u64 {
    let mut number = 0;
    let mut begun = Instant::now();
    loop {
        if source.publish(topic, number) {
            number += 1;
            begun = Instant::now();
            // A busy machine may have had no time to serve between two kills.
            if over.load(Ordering::Relaxed) && number > KILLS {
                return number;
            }
        } else {
            assert!(begun.elapsed() < DEADLINE, "{number} is never acknowledged");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What came of one pair.
#[derive(Debug, Default)]
struct Tally {
    host_kills: u64,
    cuts: u64,
    acknowledged: u64,
    duplicates: usize,
}

fn pair(seed: u64) -> Tally {
    let mut random = Random(seed | 1);
    let mut moody = random.clone();
    let far_end = FarEnd::start(move |_| match moody.below(500) {
        0 => Reply::TakeAndHangUp,
        1 => Reply::HangUp,
        _ => Reply::Take,
    });
    let mut host = Host::new(&far_end);
    let over = AtomicBool::new(false);
    let mut tally = Tally::default();
    let acknowledged: Vec<u64> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|own| {
                let socket = host.path("api.sock");
                let over = &over;
                scope.spawn(move || {
                    let mut source = Operator { socket };
                    publish(&mut source, &format!("out/{own}"), over)
                })
            })
            .collect();
        for _ in 0..KILLS {
            std::thread::sleep(Duration::from_millis(20 + random.below(600)));
            if random.below(2) == 0 {
                tally.cuts += 1;
                far_end.cut();
            } else {
                tally.host_kills += 1;
                host.kill();
                host.start();
            }
        }
        over.store(true, Ordering::Relaxed);
        publishers
            .into_iter()
            .map(|own| own.join().unwrap())
            .collect()
    });
    far_end.behave(|_| Reply::Take);
    let all: u64 = acknowledged.iter().sum();
    let came = wait_for_all(&far_end, &acknowledged);
    tally.acknowledged = all;
    check(&came, &mut tally, far_end.connects(1).len());
    tally
}

/// What came, once the last numbers are there.
fn wait_for_all(far_end: &FarEnd, acknowledged: &[u64]) -> Vec<Came> {
    let begun = Instant::now();
    loop {
        let came = far_end.came(0);
        let there: BTreeSet<_> = came.iter().map(|one| (&one.topic, &one.payload)).collect();
        let last = |(own, count): (usize, &u64)| {
            let (topic, payload) = (format!("out/{own}"), (count - 1).to_string());
            there.contains(&(&topic, &payload))
        };
        if acknowledged.iter().enumerate().all(last) {
            return came;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "the last are missing: {acknowledged:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// None is missing, the order is kept, and what came twice is known by its number.
fn check(came: &[Came], tally: &mut Tally, connections: usize) {
    let mut seen = BTreeSet::new();
    let mut topics: BTreeMap<&str, u64> = BTreeMap::new();
    for one in came {
        if !seen.insert(one.identity()) {
            tally.duplicates += 1;
            continue;
        }
        let number: u64 = one.payload.parse().unwrap();
        let next = topics.entry(&one.topic).or_default();
        // A publisher that was not told sends its last number again.
        assert!(
            number == *next || number + 1 == *next,
            "{} of {} instead of {next}",
            number,
            one.topic
        );
        *next = number + 1;
    }
    assert!(topics.values().sum::<u64>() >= tally.acknowledged);
    let most = WINDOW * connections;
    assert!(tally.duplicates <= most, "{} > {most}", tally.duplicates);
}

#[test]
fn killed_at_random_neither_end_loses_what_was_acknowledged() {
    let given = std::env::var(SEED).ok();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = given.map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let tallies: Vec<_> = std::thread::scope(|scope| {
        let pairs: Vec<_> = (0..PAIRS)
            .map(|own| scope.spawn(move || pair(seed.wrapping_add(own * 7_919))))
            .collect();
        pairs.into_iter().map(|own| own.join().unwrap()).collect()
    });
    println!("{tallies:#?}");
    let kills: u64 = tallies.iter().map(|own| own.host_kills + own.cuts).sum();
    assert_eq!(kills, PAIRS * KILLS);
    for tally in &tallies {
        assert!(tally.acknowledged > KILLS, "{tally:?}");
    }
}
