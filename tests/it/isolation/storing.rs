//! Guests that keep more than they are granted.

use crate::support::{Host, Plugin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_holds_over_keys_and_values() {
    for (guest, report) in [
        // 10 keys of 5 bytes with 1 KiB each.
        (
            "stores:without-end",
            "9 kept; the quota of 10240 bytes is reached",
        ),
        (
            "stores:keys-without-end",
            "2837 kept; the quota of 10240 bytes is reached",
        ),
        ("stores:long-keys", "0 kept; the key has 257 bytes"),
    ] {
        let host = Host::start().await;
        let mut seen = host.listen("seen/#");
        let plugin = Plugin::guest(guest).grants(|grants| grants.keyvalue_bytes_max = 10 << 10);
        host.run(plugin.limits(|limits| limits.call_ms_max = 60_000.try_into().unwrap()))
            .await
            .unwrap();
        host.publish("offence/go", "").await;
        let seen = seen.next().await;
        assert!(seen.starts_with(report), "{guest}: {seen}");
        host.neighbour_answers().await;
    }
}
