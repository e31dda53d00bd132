//! One version of a plugin takes the place of another while messages flow: nothing
//! is lost, doubled or out of order, and whoever fails changes nothing.

use std::sync::Arc;
use std::time::Duration;

use selvedge::runtime::{Generation, HandOver, Seat, TakeOverError};
use selvedge::spec::Limits;
use selvedge::supervisor::UnitState;

use crate::support::{Host, Listener, Plugin, filters};

const PLUGIN: &str = "offender";

/// A host and the seat of a plugin on it.
struct Line {
    host: Host,
    seat: Arc<Seat>,
}

impl Line {
    fn new() -> Self {
        let host = Host::empty(8);
        let seat = host.seat(PLUGIN);
        Self { host, seat }
    }

    async fn version(&self, plugin: Plugin) -> Arc<Generation> {
        let roomy = plugin.limits(|limits| {
            limits.memory_bytes_max = (64 << 20).try_into().unwrap();
            limits.publish_per_s_max = 10_000_000.try_into().unwrap();
            limits.call_ms_max = Limits::default().call_ms_max;
        });
        self.host.generation(&self.seat, roomy).await.unwrap()
    }

    async fn guest(&self, which: &str) -> Arc<Generation> {
        self.version(Plugin::guest(which)).await
    }

    /// The first version, at work.
    async fn begin(&self, which: &str) -> Arc<Generation> {
        let first = self.guest(which).await;
        first.warm_up().await.unwrap();
        first.take_over(None).await.unwrap();
        self.host.begin(&first);
        self.host.running(PLUGIN).await;
        first
    }

    /// Puts `new` in the place of `old`; if it does not get it, `old` goes on.
    async fn swap(
        &self,
        old: &Arc<Generation>,
        new: &Arc<Generation>,
    ) -> Result<HandOver, TakeOverError> {
        new.warm_up().await.unwrap();
        self.host.stop(PLUGIN).await;
        let taken = new.take_over(Some(old)).await;
        self.host.begin(if taken.is_ok() { new } else { old });
        self.host.running(PLUGIN).await;
        taken
    }

    /// Puts `old` back in the place of `new`.
    async fn swap_back(&self, old: &Arc<Generation>, new: &Arc<Generation>) -> HandOver {
        self.host.stop(PLUGIN).await;
        let hand_over = old.return_from(Some(new)).await.unwrap();
        self.host.begin(old);
        self.host.running(PLUGIN).await;
        hand_over
    }

    async fn publish(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.host.publish("offence/go", number.to_string()).await;
        }
    }
}

/// What `swap_counts` and `swap_serves` tell of `numbers`, if all is well: each
/// once, in order, and counted from one instance to the next.
async fn all_of(seen: &mut Listener, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(seen.next().await, format!("{number} {}", number + 1));
    }
}

fn bytes(count: u64) -> HandOver {
    HandOver {
        state_bytes: Some(count),
    }
}

const STATELESS: HandOver = HandOver { state_bytes: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_and_a_service_are_swapped_under_load() {
    const MESSAGES: u64 = 20_000;
    for which in ["swap_counts:is-large", "swap_serves:serves"] {
        let line = Line::new();
        let mut seen = line.host.listen("seen/count");
        let mut now = line.begin(which).await;
        assert_eq!(line.seat.last_pause(), None);
        let swaps = async {
            let mut swaps = 0;
            while line.host.counted(PLUGIN).delivered_total < MESSAGES * 9 / 10 {
                let next = line.guest(which).await;
                let handed = line.swap(&now, &next).await.unwrap();
                assert!(handed.state_bytes.is_some());
                assert!(line.seat.last_pause().unwrap() < Duration::from_secs(10));
                now = next;
                swaps += 1;
            }
            swaps
        };
        let (swaps, ()) = tokio::join!(swaps, line.publish(0..MESSAGES));
        all_of(&mut seen, 0..MESSAGES).await;
        assert!(swaps > 2, "{which}: {swaps} swaps");
        assert_eq!(seen.arrived(), [""; 0]);
        assert_eq!(line.host.counted(PLUGIN).dropped_total, 0);
        let tally = now.tally();
        assert!(
            tally.memory_bytes > 0 && tally.dead_letters_total == 0,
            "{tally:?}"
        );
        line.host.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticker_is_swapped_between_two_ticks() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/tick");
    let mut now = line.begin("swap_ticks").await;
    let mut number = 0;
    for round in 0..20 {
        for _ in 0..5 {
            assert_eq!(seen.next().await, number.to_string());
            number += 1;
        }
        if round % 3 == 2 {
            // It goes back as well as on.
            let next = line.guest("swap_ticks").await;
            line.swap(&now, &next).await.unwrap();
            assert_eq!(line.swap_back(&now, &next).await, bytes(8));
        } else {
            let next = line.guest("swap_ticks").await;
            assert_eq!(line.swap(&now, &next).await.unwrap(), bytes(8));
            now = next;
        }
    }
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_take_the_state_does_not_get_the_seat() {
    for (which, code, reason) in [
        (
            "swap_counts:refuses-state",
            "restore-refused",
            "`restore` failed: I would rather not",
        ),
        (
            "swap_counts:traps-in-restore",
            "restore-refused",
            "`restore` trapped",
        ),
        (
            "swap_counts:spins-in-restore",
            "restore-refused",
            "`restore` did not return within",
        ),
    ] {
        let line = Line::new();
        let mut seen = line.host.listen("seen/count");
        let old = line.begin("swap_counts").await;
        line.publish(0..3).await;
        all_of(&mut seen, 0..3).await;
        let new = line.guest(which).await;
        let (taken, ()) = tokio::join!(line.swap(&old, &new), line.publish(3..500));
        let error = taken.unwrap_err();
        assert_eq!(error.code(), code);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with(reason), "{source}");
        line.publish(500..510).await;
        all_of(&mut seen, 3..510).await;
        assert_eq!(new.tally().handled_total, 0);
        line.host.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_too_large_or_from_a_version_to_come_stays_where_it_is() {
    for (old, new, code) in [
        (
            "swap_counts:is-too-large",
            "swap_counts:is-large",
            "snapshot-failed",
        ),
        ("swap_later", "swap_counts:is-large", "restore-refused"),
    ] {
        let line = Line::new();
        let mut seen = line.host.listen("seen/count");
        let old = line.begin(old).await;
        line.publish(0..3).await;
        all_of(&mut seen, 0..3).await;
        let new = line.guest(new).await;
        assert_eq!(line.swap(&old, &new).await.unwrap_err().code(), code);
        line.publish(3..6).await;
        all_of(&mut seen, 3..6).await;
        line.host.shut_down().await;
    }
    // The other way round it is understood.
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_counts").await;
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    let new = line.guest("swap_later").await;
    assert_eq!(line.swap(&old, &new).await.unwrap(), bytes(8));
    line.publish(3..6).await;
    all_of(&mut seen, 3..6).await;
    // Back again it is not: the predecessor goes on with what it had.
    assert_eq!(line.swap_back(&old, &new).await, STATELESS);
    line.publish(6..7).await;
    assert_eq!(seen.next().await, "6 4");
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_traps_in_init_is_never_in_the_way() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_counts").await;
    let new = line.guest("swap_counts:traps-in-init").await;
    assert_eq!(new.warm_up().await.unwrap_err().code(), "guest-trapped");
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    // Nor if it is only made when it is to take over.
    line.host.stop(PLUGIN).await;
    let error = new.take_over(Some(&old)).await.unwrap_err();
    assert_eq!(error.code(), "restore-refused");
    line.host.begin(&old);
    line.publish(3..6).await;
    all_of(&mut seen, 3..6).await;
    line.host.shut_down().await;
}

/// An instance that trapped cannot be called again; its seat stays its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_traps_on_being_asked_for_its_state_begins_anew() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_counts:traps-in-snapshot").await;
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    let new = line.guest("swap_counts").await;
    let error = line.swap(&old, &new).await.unwrap_err();
    assert_eq!(error.code(), "snapshot-failed");
    line.publish(3..4).await;
    assert_eq!(seen.next().await, "3 1");
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_successor_failed_on_is_handed_to_its_predecessor() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let mut letters = line.host.listen("$selvedge/dead-letter/#");
    let old = line.begin("swap_counts").await;
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    let strict = Plugin::guest("swap_counts:traps-on-messages").limits(|limits| {
        // It could not go worse: nothing is tried again, and it dies often.
        limits.retries_max = 0;
        limits.restarts_max = 5;
    });
    let new = line.version(strict).await;
    line.swap(&old, &new).await.unwrap();
    line.publish(3..4).await;
    line.host.given_up(PLUGIN).await;
    line.publish(4..10).await;
    // It is dead: what it was handed to begin with is all there is.
    assert_eq!(line.swap_back(&old, &new).await, STATELESS);
    all_of(&mut seen, 3..10).await;
    assert_eq!(letters.arrived(), [""; 0]);
    assert_eq!(line.host.state(PLUGIN), UnitState::Running);

    // Without a predecessor that can come back, it is its own fault.
    let new = line.guest("swap_counts:traps-on-messages").await;
    line.swap(&old, &new).await.unwrap();
    drop(old);
    line.publish(10..11).await;
    assert_eq!(letters.next().await, "10");
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_predecessor_comes_back_with_what_its_successor_knows() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_serves:serves").await;
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    let new = line.guest("swap_counts").await;
    line.swap(&old, &new).await.unwrap();
    line.publish(3..6).await;
    all_of(&mut seen, 3..6).await;
    assert_eq!(line.swap_back(&old, &new).await, bytes(8));
    line.publish(6..9).await;
    all_of(&mut seen, 6..9).await;
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_predecessor_had_in_hand_is_handed_to_its_successor() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let brief =
        Plugin::guest("swap_counts:traps-on-messages").limits(|limits| limits.restarts_max = 0);
    let old = line.version(brief).await;
    old.take_over(None).await.unwrap();
    line.publish(0..5).await;
    line.host.begin(&old);
    line.host.given_up(PLUGIN).await;
    line.publish(5..10).await;
    let new = line.guest("swap_counts").await;
    assert_eq!(line.swap(&old, &new).await.unwrap(), STATELESS);
    all_of(&mut seen, 0..10).await;
    assert_eq!(seen.arrived(), [""; 0]);
    line.host.shut_down().await;
}

/// Where only one of two has a state there is none to hand over, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_without_state_takes_over_none_and_hands_back_none() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let mut echoes = line.host.listen("echo/#");
    let old = line.begin("swap_counts").await;
    line.publish(0..3).await;
    all_of(&mut seen, 0..3).await;
    let echo = Plugin::guest("echo").grants(|grants| grants.publish = filters(&["echo/#"]));
    let echo = line.version(echo).await;
    assert_eq!(line.swap(&old, &echo).await.unwrap(), STATELESS);
    line.publish(3..4).await;
    assert_eq!(echoes.next().await, "3");
    // The instance that stopped goes on where it was.
    assert_eq!(line.swap_back(&old, &echo).await, STATELESS);
    line.publish(4..5).await;
    assert_eq!(seen.next().await, "4 4");
    line.host.shut_down().await;
}

/// A service that is told to stop and does not listen is aborted; what it had not
/// acknowledged is handed to its successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_stop_leaves_its_messages_and_no_state() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_serves:sleeps-on-messages").await;
    line.publish(0..1).await;
    all_of(&mut seen, 0..1).await;
    line.publish(1..3).await;
    let new = line.guest("swap_serves:serves").await;
    assert_eq!(line.swap(&old, &new).await.unwrap(), STATELESS);
    // The first was handled but never acknowledged.
    all_of(&mut seen, 0..3).await;
    line.host.shut_down().await;
}

/// A service may be run again: who does not get the seat does it no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_on_after_it_was_stopped() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    let old = line.begin("swap_serves:serves").await;
    let new = line.guest("swap_counts:refuses-state").await;
    for round in 0..3 {
        line.swap(&old, &new).await.unwrap_err();
        line.publish(round * 3..round * 3 + 3).await;
        all_of(&mut seen, round * 3..round * 3 + 3).await;
    }
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_warming_up_goes_out_with_the_seat_or_never() {
    let line = Line::new();
    let mut early = line.host.listen("seen/early");
    let strayed = line.host.listen("elsewhere");
    let first = line.guest("swap_counts:publishes-in-init").await;
    first.warm_up().await.unwrap();
    drop(first);
    let second = line.guest("swap_counts:publishes-in-init").await;
    second.warm_up().await.unwrap();
    assert_eq!(early.arrived(), [""; 0]);
    second.take_over(None).await.unwrap();
    line.host.begin(&second);
    for number in 0..3 {
        assert_eq!(early.next().await, number.to_string());
    }
    assert_eq!(
        early.next().await,
        "cannot publish: the topic is not granted"
    );
    assert_eq!(strayed.arrived(), [""; 0]);

    let third = line.guest("swap_counts:floods-in-init").await;
    line.swap(&second, &third).await.unwrap();
    for number in 0..1024 {
        assert_eq!(early.next().await, number.to_string());
    }
    assert_eq!(early.arrived(), [""; 0]);
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_warming_up_outlasts_a_rest_before_the_first_run() {
    let line = Line::new();
    let early = line.host.listen("seen/early");
    let published = async |plugin: &Arc<Generation>| {
        plugin.return_from(None).await.unwrap();
        line.host.begin(plugin);
        line.host.running(PLUGIN).await;
        line.host.stop(PLUGIN).await;
        plugin.leave();
        early.arrived().len()
    };
    // It takes the place of one that an operator stopped, and rests.
    for discarded in [false, true] {
        let plugin = line.guest("swap_counts:publishes-in-init").await;
        plugin.warm_up().await.unwrap();
        plugin.take_over(None).await.unwrap();
        plugin.leave();
        if discarded {
            // What it said goes with it: another instance says it again.
            plugin.discard();
        }
        assert_eq!(published(&plugin).await, 4, "discarded: {discarded}");
        assert_eq!(published(&plugin).await, 0, "once, and no more");
    }
    line.host.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_gets_what_it_is_granted_and_no_kept_value_again() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    line.host.keep("offence/kept", "kept").await;
    line.host.keep("elsewhere/kept", "elsewhere").await;
    let first = line.begin("swap_counts").await;
    assert_eq!(seen.next().await, "kept 1");
    let same = line.guest("swap_counts").await;
    line.swap(&first, &same).await.unwrap();
    line.publish(0..1).await;
    assert_eq!(seen.next().await, "0 2");

    let wider = Plugin::guest("swap_counts")
        .grants(|grants| grants.subscribe = filters(&["offence/#", "elsewhere/#"]));
    let wider = line.version(wider).await;
    line.swap(&same, &wider).await.unwrap();
    assert_eq!(seen.next().await, "elsewhere 3");
    assert_eq!(line.host.counted(PLUGIN).subscriptions, 2);

    // What waits while nobody has the seat is there for the next one, as far as it
    // is granted that.
    line.host.stop(PLUGIN).await;
    line.publish(1..2).await;
    line.host.publish("elsewhere/go", "not granted").await;
    line.publish(2..3).await;
    let narrower = Plugin::guest("swap_counts").grants(|grants| {
        grants.publish = filters(&["seen/count"]);
        grants.subscribe = filters(&["offence/go"]);
    });
    let narrower = line.version(narrower).await;
    narrower.take_over(Some(&wider)).await.unwrap();
    line.host.begin(&narrower);
    line.host.publish("elsewhere/go", "not granted").await;
    line.publish(3..4).await;
    for told in ["1 4", "2 5", "3 6"] {
        assert_eq!(seen.next().await, told);
    }
    assert_eq!(line.host.counted(PLUGIN).dropped_total, 1);
    line.host.shut_down().await;
}

/// Nobody waits for a plugin that left its seat, and nothing reaches it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_may_leave_its_seat_and_come_back() {
    let line = Line::new();
    let mut seen = line.host.listen("seen/count");
    line.host.keep("offence/kept", "kept").await;
    let plugin = Plugin::guest("swap_counts")
        .limits(|limits| limits.inbox_messages_max = 2.try_into().unwrap());
    let plugin = line.version(plugin).await;
    plugin.take_over(None).await.unwrap();
    line.host.begin(&plugin);
    assert_eq!(seen.next().await, "kept 1");
    line.host.stop(PLUGIN).await;
    line.publish(0..2).await;
    plugin.leave();
    line.publish(2..100).await;
    assert_eq!(plugin.return_from(None).await.unwrap(), STATELESS);
    line.host.begin(&plugin);
    line.publish(100..101).await;
    for told in ["0 2", "1 3", "100 4"] {
        assert_eq!(seen.next().await, told);
    }
    line.host.shut_down().await;
}
