use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fs_err as fs;

use super::record::{self, Now, Read};
use super::{BUCKET, Keeper, RetentionStatus, key_of, open};
use crate::bus::{
    Bus, BusLimits, Grant, KeptChanges, KeptPending, KeptValue, Message, Party, Receipt, Settled,
};
use crate::names::{Qos, Topic};
use crate::storage::Storage;
use crate::supervisor::Supervisor;

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn value(name: &str, payload: &str) -> Message {
    let mut message = Message::new(topic(name), payload.to_owned());
    message.retain = true;
    message
}

fn asking(name: &str, payload: &str) -> (Message, Settled) {
    let (receipt, settled) = Receipt::new();
    let mut message = value(name, payload);
    message.receipt = Some(receipt);
    (message, settled)
}

/// A host's bus and what keeps its values, without a unit.
struct Kept {
    storage: Storage,
    bus: Bus,
    keeper: Keeper,
}

impl Kept {
    fn open(directory: &Path, limits: BusLimits) -> Self {
        let storage = Storage::open(directory).unwrap();
        let bus = Bus::new(limits);
        let keeper = Keeper {
            bucket: storage.bucket(BUCKET, 1 << 20).unwrap(),
            bus: bus.clone(),
            status: RetentionStatus::default(),
        };
        keeper.restore().unwrap();
        Self {
            storage,
            bus,
            keeper,
        }
    }

    fn party(&self, name: &str) -> Party {
        let all: Vec<_> = vec!["#".parse().unwrap()];
        let grant = Grant {
            publish: all.clone(),
            subscribe: all,
        };
        self.bus.attach(name.parse().unwrap(), grant).unwrap()
    }

    /// All that is kept, as `topic=payload`.
    fn values(&self) -> Vec<String> {
        values(&self.bus)
    }
}

fn values(bus: &Bus) -> Vec<String> {
    let all = ["#".parse().unwrap(), "$selvedge/#".parse().unwrap()];
    let kept = bus.kept(&all, usize::MAX);
    let line = |message: &std::sync::Arc<Message>| {
        let payload = String::from_utf8_lossy(&message.payload);
        format!("{}={payload}", message.topic)
    };
    kept.iter().map(line).collect()
}

#[test]
fn values_are_there_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let long = format!("a/{}", "x".repeat(1000));
    let mut full = value("a/full", "1");
    full.content_type = Some("text/plain".into());
    full.reply_to = Some(topic("b"));
    full.correlation = Some(vec![0, 255].into());
    full.properties = [("k", "v"), ("k", "w")].into_iter().collect();
    full.hops = 3;
    full.qos = Qos::ExactlyOnce;
    full.utf8 = true;
    {
        let host = Kept::open(directory.path(), BusLimits::default());
        let p = host.party("p");
        for message in [
            full.clone(),
            value("b", "1"),
            value("b", "2"),
            value(&long, ""),
        ] {
            p.publish(message).unwrap();
        }
        p.publish(value(&long, "3")).unwrap();
        p.publish(value("c", "erased")).unwrap();
        let system = value("$selvedge/state/x", "afresh");
        host.bus.host_party().publish(system).unwrap();
        host.keeper.save().unwrap();
        p.publish(value("c", "")).unwrap();
        host.keeper.save().unwrap();
        p.publish(value("d", "never saved")).unwrap();
        assert_eq!(host.keeper.status.unsaved_total(), 0);
    }
    let host = Kept::open(directory.path(), BusLimits::default());
    assert_eq!(
        host.values(),
        ["a/full=1".to_owned(), format!("{long}=3"), "b=2".to_owned()]
    );
    assert_eq!(host.keeper.status.restored(), 3);
    assert_eq!(host.bus.kept_pending(), KeptPending::Nothing);
    let restored = &host.bus.kept(&["a/full".parse().unwrap()], 1)[0];
    assert_eq!(restored.properties, full.properties);
    assert_eq!(restored.content_type, full.content_type);
    assert_eq!(restored.correlation, full.correlation);
    assert_eq!(restored.reply_to, full.reply_to);
    assert_eq!((restored.hops, restored.qos), (3, Qos::ExactlyOnce));
    assert!(restored.utf8 && restored.retain && restored.published_at > 0);
    assert!(restored.expires_at.is_none());
}

#[test]
fn a_publisher_is_told_when_its_value_is_on_the_disk_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let host = Kept::open(directory.path(), BusLimits::default());
    let p = host.party("p");
    let publish = |name: &str, payload: &str| {
        let (message, settled) = asking(name, payload);
        p.publish(message).unwrap();
        settled
    };
    let first = publish("a", "1");
    assert_eq!(host.bus.kept_pending(), KeptPending::Awaited);
    let KeptChanges::Some(changes) = host.bus.kept_changes(9, 1 << 20) else {
        panic!("it is only one");
    };
    // Replaced while it is written: its successor waits for itself alone.
    let second = publish("a", "2");
    assert!(!first.is_settled());
    host.bus.saved_kept(&changes);
    assert!(first.is_settled() && !second.is_settled());
    // Replaced before it is written: both wait for what is written.
    let third = publish("a", "3");
    host.keeper.save().unwrap();
    assert!(second.is_settled() && third.is_settled());
    assert_eq!(host.bus.kept_pending(), KeptPending::Nothing);
    // Erasing is a change, but erasing nothing is none.
    let erased = publish("a", "");
    let nothing = publish("b", "");
    assert!(!erased.is_settled() && nothing.is_settled());
    let again = publish("a", "");
    assert!(!again.is_settled());
    host.keeper.save().unwrap();
    assert!(erased.is_settled() && again.is_settled());
    let system = asking("$selvedge/x", "1");
    host.bus.host_party().publish(system.0).unwrap();
    assert!(system.1.is_settled());
}

#[test]
fn a_value_without_room_in_memory_is_not_on_the_disk_either() {
    let directory = tempfile::tempdir().unwrap();
    {
        let host = Kept::open(directory.path(), BusLimits::default());
        let p = host.party("p");
        for name in ["a", "b", "c"] {
            p.publish(value(name, "1")).unwrap();
        }
        host.keeper.save().unwrap();
    }
    let limits = BusLimits {
        retained_messages_max: 2,
        ..BusLimits::default()
    };
    {
        let host = Kept::open(directory.path(), limits.clone());
        assert_eq!(host.values(), ["a=1", "b=1"]);
        let status = &host.keeper.status;
        assert_eq!((status.restored(), status.unrestored()), (2, 1));
        // One party keeps at most half: what does not fit takes the old one along.
        let (message, settled) = asking("b", "2");
        host.party("p").publish(message).unwrap();
        assert!(!settled.is_settled());
        host.keeper.save().unwrap();
        assert!(settled.is_settled());
    }
    let host = Kept::open(directory.path(), BusLimits::default());
    assert_eq!(host.values(), ["a=1"]);
}

#[test]
fn what_the_quota_of_the_disk_forbids_is_counted_and_nothing_older_stays() {
    let directory = tempfile::tempdir().unwrap();
    {
        let mut host = Kept::open(directory.path(), BusLimits::default());
        let p = host.party("p");
        p.publish(value("a", "old")).unwrap();
        host.keeper.save().unwrap();
        host.keeper.bucket = host.storage.bucket(BUCKET, 800).unwrap();
        p.publish(value("b", "small")).unwrap();
        let (large, settled) = asking("a", &"x".repeat(600));
        p.publish(large).unwrap();
        host.keeper.save().unwrap();
        assert!(settled.is_settled());
        assert_eq!(host.keeper.status.unsaved_total(), 1);
        assert_eq!(host.values().len(), 2);
    }
    let host = Kept::open(directory.path(), BusLimits::default());
    assert_eq!(host.values(), ["b=small"]);
}

#[test]
fn when_too_much_has_changed_the_disk_is_made_as_the_memory() {
    let directory = tempfile::tempdir().unwrap();
    let limits = BusLimits {
        retained_messages_max: 8,
        ..BusLimits::default()
    };
    {
        let host = Kept::open(directory.path(), limits.clone());
        let p = host.party("p");
        p.publish(value("gone", "1")).unwrap();
        p.publish(value("stays", "1")).unwrap();
        host.keeper.save().unwrap();
        p.publish(value("gone", "")).unwrap();
        let (message, settled) = asking("mine", "1");
        p.publish(message).unwrap();
        for number in 0..100 {
            p.publish(value(&format!("t/{number}"), "1")).unwrap();
            p.publish(value(&format!("t/{number}"), "")).unwrap();
        }
        let KeptChanges::All { values, upto } = host.bus.kept_changes(9, 1 << 20) else {
            panic!("it is not bounded");
        };
        // What changes meanwhile is not lost by it.
        let (message, later) = asking("later", "1");
        p.publish(message).unwrap();
        host.keeper.save_all(&values).unwrap();
        host.bus.saved_all_kept(upto);
        assert!(settled.is_settled() && !later.is_settled());
        host.keeper.save().unwrap();
        assert!(later.is_settled());
    }
    let host = Kept::open(directory.path(), limits);
    assert_eq!(host.values(), ["later=1", "mine=1", "stays=1"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let whole = {
        let message = value("a", "1").into();
        let owner = "p".parse().unwrap();
        record::write(&KeptValue { owner, message }, Now::read())
    };
    let key = key_of(&topic("a"));
    {
        let storage = Storage::open(directory.path()).unwrap();
        let bucket = storage.bucket(BUCKET, 1 << 20).unwrap();
        bucket.set(&key, &whole[..whole.len() - 1]).unwrap();
        bucket.set("elsewhere", &whole).unwrap();
        bucket.set("nonsense", &[255; 40]).unwrap();
        bucket.set("empty", b"").unwrap();
    }
    let host = Kept::open(directory.path(), BusLimits::default());
    assert_eq!(host.values(), [""; 0]);
    assert_eq!(host.keeper.status.unrestored(), 4);
    assert_eq!(host.keeper.all_keys().unwrap(), [""; 0]);
    // Cut anywhere, it is unreadable and no more.
    for len in 0..whole.len() {
        let cut = record::read(&whole[..len], Now::read());
        assert!(matches!(cut, Read::Unreadable), "{len}");
    }
}

/// By either clock a value is gone, and a clock set back gives it no more than it had.
#[test]
fn what_is_left_of_a_value_shrinks_over_a_restart_and_never_grows() {
    let saved = Now::read();
    let mut message = value("a", "1");
    message.expires_at = saved.instant.checked_add(Duration::from_secs(60));
    let owner = "p".parse().unwrap();
    let message = message.into();
    let written = record::write(&KeptValue { owner, message }, saved);
    for (clock_s, left_s) in [(0, Some(60)), (20, Some(40)), (60, None), (-900, Some(60))] {
        let now = Now {
            // Another process, whose own clock says nothing.
            instant: Instant::now() + Duration::from_secs(5_000),
            unix_ms: saved.unix_ms.checked_add_signed(clock_s * 1000).unwrap(),
        };
        let left = match record::read(&written, now) {
            Read::Value(value) => value.message.expires_at.map(|at| at - now.instant),
            Read::Expired => None,
            Read::Unreadable => panic!("unreadable after {clock_s} s"),
        };
        assert_eq!(left, left_s.map(Duration::from_secs), "after {clock_s} s");
    }
}

#[test]
fn an_expired_value_leaves_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let host = Kept::open(directory.path(), BusLimits::default());
    let mut message = value("a", "1");
    message.expires_at = Some(Instant::now());
    host.party("p").publish(message).unwrap();
    host.keeper.save().unwrap();
    assert_eq!(host.keeper.all_keys().unwrap().len(), 1);
    assert_eq!(host.values(), [""; 0]);
    assert_eq!(host.bus.expire_kept(), 1);
    host.keeper.save().unwrap();
    assert_eq!(host.keeper.all_keys().unwrap(), [""; 0]);
}

#[tokio::test]
async fn the_unit_writes_what_is_waited_for_at_once_and_the_rest_before_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    {
        let storage = Storage::open(directory.path()).unwrap();
        let limits = BusLimits::default();
        let bus = Bus::new(limits.clone());
        let (status, unit) = open(&storage, &bus, &limits).unwrap();
        let supervisor = Supervisor::new(Duration::from_secs(10), std::sync::Arc::new(|_, _| {}));
        supervisor.start(unit);
        let p = bus.host_party();
        for number in 0..50 {
            let (message, settled) = asking(&format!("a/{}", number % 5), &number.to_string());
            p.publish(message).unwrap();
            let told = tokio::time::timeout(Duration::from_secs(20), settled);
            told.await.expect("it is on the disk soon");
        }
        assert!(status.saved_total() >= 5);
        p.publish(value("b", "nobody waits")).unwrap();
        supervisor.shut_down().await;
    }
    let host = Kept::open(directory.path(), BusLimits::default());
    let expected = ["a/0=45", "a/1=46", "a/2=47", "a/3=48", "a/4=49"];
    assert_eq!(host.values()[..5], expected);
    assert_eq!(host.values()[5], "b=nobody waits");
}

/// What the child below is told to write to, and where it notes what it was told.
const VICTIM: &str = "RETENTION_TEST_DIRECTORY";

/// Publishes values without an end and notes each that was settled.
#[tokio::test]
async fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else {
        return;
    };
    let directory = Path::new(&directory);
    let storage = Storage::open(&directory.join("data")).unwrap();
    let limits = BusLimits::default();
    let bus = Bus::new(limits.clone());
    let (_, unit) = open(&storage, &bus, &limits).unwrap();
    let supervisor = Supervisor::new(Duration::from_secs(10), std::sync::Arc::new(|_, _| {}));
    supervisor.start(unit);
    let mut told = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(directory.join("told"))
        .unwrap();
    let p = bus.host_party();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for round in 0u64.. {
        let number = u64::try_from(begun.as_millis()).unwrap() * 1_000_000 + round;
        let waiting: Vec<_> = (0..7)
            .map(|topic| {
                let (message, settled) = asking(&format!("a/{topic}"), &number.to_string());
                p.publish(message).unwrap();
                (topic, settled)
            })
            .collect();
        for (topic, settled) in waiting {
            settled.await;
            // At once: a kill between two parts would make one line of two.
            let line = format!("{topic} {number}\n");
            told.write_all(line.as_bytes()).unwrap();
        }
    }
}

/// The value of a topic is never older than one whose publisher was told.
#[test]
fn a_kill_loses_no_value_whose_publisher_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let lines = || {
        fs::read_to_string(&told)
            .unwrap_or_default()
            .lines()
            .count()
    };
    for kill in 1..=5 {
        let before = lines();
        let output = fs::File::create(directory.path().join("output")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "retention::tests::victim", "--nocapture"])
            .env(VICTIM, directory.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(output.into_file())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines() < before + 40 * kill {
            assert!(Instant::now() < deadline, "it writes nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        // `SIGKILL`.
        child.kill().unwrap();
        child.wait().unwrap();
        let host = Kept::open(&directory.path().join("data"), BusLimits::default());
        for line in fs::read_to_string(&told).unwrap().lines() {
            // The last line may be cut.
            let Some((name, number)) = line.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            let filter = format!("a/{name}").parse().unwrap();
            let kept = &host.bus.kept(&[filter], 1)[0];
            let kept: u64 = std::str::from_utf8(&kept.payload).unwrap().parse().unwrap();
            assert!(number <= kept, "{line} after {kept}");
        }
    }
}
