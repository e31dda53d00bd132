//! Guests that keep more than they are granted.

use std::time::{Duration, Instant};

use crate::support::{Host, Plugin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_holds_over_keys_and_values_and_writes_are_limited() {
    for (guest, quota, report) in [
        // Keys of 5 bytes with 1 KiB each, and 64 for the entry.
        (
            "stores:without-end",
            10 << 10,
            "9 kept; the quota of 10240 bytes is reached",
        ),
        // Keys of 1 and 2 bytes with nothing.
        (
            "stores:keys-without-end",
            5 << 10,
            "77 kept; the quota of 5120 bytes is reached",
        ),
        (
            // Unless the disk takes fewer than that.
            "stores:keys-without-end",
            64 << 10,
            "kept; more than 100 writes in a second",
        ),
        ("stores:long-keys", 5 << 10, "0 kept; the key has 257 bytes"),
    ] {
        let host = Host::start().await;
        let mut seen = host.listen("seen/#");
        let plugin = Plugin::guest(guest).grants(|grants| grants.keyvalue_bytes_max = quota);
        host.run(plugin.limits(|limits| limits.call_ms_max = 60_000.try_into().unwrap()))
            .await
            .unwrap();
        let begun = Instant::now();
        host.publish("offence/go", "").await;
        let seen = seen.next().await;
        // Some 990 entries: at fewer than 100 a second the quota comes first.
        let is_slow = begun.elapsed() > Duration::from_secs(9) && seen.contains("the quota");
        assert!(seen.contains(report) || is_slow, "{guest}: {seen}");
        host.neighbour_answers().await;
    }
}
