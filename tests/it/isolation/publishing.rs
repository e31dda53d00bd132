//! Guests that publish too much, too large, or where they must not.

use selvedge::bus::BusLimits;

use crate::support::{Host, Plugin, filters};

const PER_SECOND: u32 = 100;

/// What it saw, as often as asked, on being sent one message.
async fn seen(plugin: Plugin, count: usize) -> Vec<String> {
    let host = Host::start().await;
    let strayed = host.listen("elsewhere");
    let mut seen = host.listen("seen/#");
    let roomy = plugin.limits(|limits| limits.memory_bytes_max = (64 << 20).try_into().unwrap());
    host.run(roomy.limits(|limits| limits.call_ms_max = 10_000.try_into().unwrap()))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(seen.next().await);
    }
    host.neighbour_answers().await;
    assert_eq!(strayed.arrived(), Vec::<String>::new());
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_outside_the_grant_are_refused() {
    let answers = seen(Plugin::guest("publishes:outside"), 5).await;
    assert_eq!(answers, ["0: not-granted"; 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn system_topics_are_refused_even_if_granted() {
    let plugin = Plugin::guest("publishes:system");
    let greedy = plugin.grants(|grants| grants.publish = filters(&["#", "$selvedge/#", "$SYS/#"]));
    let answers = seen(greedy, 3).await;
    assert_eq!(answers, ["0: not-granted", "0: not-granted", "accepted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_topics_are_refused() {
    let plugin = Plugin::guest("publishes:invalid");
    let answers = seen(plugin.grants(|grants| grants.publish = filters(&["#"])), 6).await;
    assert_eq!(answers, ["0: invalid-topic"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beyond_their_bounds_are_refused() {
    assert_eq!(
        seen(Plugin::guest("publishes:too-large"), 1).await,
        ["0: too-large 262144"]
    );
    assert_eq!(
        seen(Plugin::guest("publishes:too-many"), 1).await,
        ["1024: busy"]
    );
    assert_eq!(
        seen(Plugin::guest("publishes:malformed"), 5).await,
        ["0: malformed"; 5]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_accepted_up_to_what_is_refused() {
    let host = Host::start().await;
    let flood = host.listen("flood/#");
    let mut seen = host.listen("seen/#");
    host.run(Plugin::guest("publishes:half-granted"))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    assert_eq!(seen.next().await, "1: not-granted");
    assert_eq!(flood.arrived().len(), 1);
    host.neighbour_answers().await;
}

/// The one who asks chooses where the answer goes: that lends no rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_only_where_the_grant_allows() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    host.run(Plugin::guest("publishes:for-the-asker"))
        .await
        .unwrap();
    for (reply_to, answer) in [("elsewhere", "0: not-granted"), ("flood/x", "accepted")] {
        host.ask("offence/go", reply_to).await;
        assert_eq!(seen.next().await, answer);
    }
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_too_many_bytes_is_a_trap() {
    let host = Host::start().await;
    let plugin = Plugin::guest("publishes:too-much");
    let roomy = plugin.limits(|limits| limits.memory_bytes_max = (64 << 20).try_into().unwrap());
    host.run(roomy).await.unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    assert!(error.contains("fuel"), "{error}");
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_taken_and_then_the_guest_is_told_to_wait() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    let plugin = Plugin::guest("publishes:until-refused");
    let plugin = plugin.limits(|limits| limits.publish_per_s_max = PER_SECOND.try_into().unwrap());
    host.run(plugin.limits(|limits| limits.call_ms_max = 10_000.try_into().unwrap()))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    let taken: u32 = seen.next().await.parse().unwrap();
    assert!((PER_SECOND..PER_SECOND * 2).contains(&taken), "{taken}");
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_without_end_is_limited_and_ends_at_the_deadline() {
    let host = Host::start().await;
    let flood = host.listen("flood/#");
    let plugin = Plugin::guest("publishes:without-end");
    let plugin = plugin.limits(|limits| limits.publish_per_s_max = PER_SECOND.try_into().unwrap());
    host.run(plugin.limits(|limits| limits.restarts_max = 0))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    host.neighbour_answers().await;

    let error = host.given_up("offender").await;

    assert_eq!(error, "`handle` did not return within 250 ms");
    let taken = flood.arrived().len();
    // A burst of one second, and at most one second more.
    assert!((100..=200).contains(&taken), "{taken}");
}

/// The neighbour's own topic is flooded, and its inbox makes publishers wait:
/// the flood waits in line with everyone else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_the_neighbours_topic_does_not_shut_others_out() {
    let host = Host::start().await;
    let plugin = Plugin::guest("ticks:floods");
    let plugin = plugin.grants(|grants| grants.publish = filters(&["in/flood"]));
    host.run(plugin.limits(|limits| limits.publish_per_s_max = 1_000_000.try_into().unwrap()))
        .await
        .unwrap();
    host.until_counted("offender", |party| party.published_total > 1_000)
        .await;
    for _ in 0..3 {
        host.neighbour_answers().await;
    }
}

/// One party keeps at most half of what may be kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_values_leave_room_for_others() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    let plugin = Plugin::guest("publishes:retained");
    let plugin = plugin.limits(|limits| limits.call_ms_max = 60_000.try_into().unwrap());
    host.run(plugin.limits(|limits| limits.publish_per_s_max = 1_000_000.try_into().unwrap()))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    assert_eq!(seen.next().await, "accepted");
    let offender = host.counted("offender");
    // Half of their bytes, which 1 KiB each reaches before half of the values.
    let mut room = BusLimits::default().retained_bytes_max / 2;
    let fits = |number: &u64| {
        let left = room.checked_sub(1024 + format!("flood/{number}").len() as u64);
        room = left.unwrap_or(room);
        left.is_some()
    };
    let kept = (0..20_000).filter(fits).count() as u64;
    assert_eq!(offender.unkept_total, 20_000 - kept);

    host.keep("in/kept", "kept").await;
    assert_eq!(host.listen("in/kept").next().await, "kept");
    host.neighbour_answers().await;
}
