//! Guests that take memory, tables and host resources.

use crate::support::{Host, Plugin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_refused_beyond_the_limit() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    host.run(Plugin::guest("handles:grows-memory"))
        .await
        .unwrap();
    host.publish("offence/go", "").await;

    let got: u64 = seen.next().await.parse().unwrap();

    assert!((8 << 20..16 << 20).contains(&got), "got {got}");
    host.neighbour_answers().await;
    host.running("offender").await;
}

/// Starts it; what the host says of its first failure.
async fn offend(plugin: Plugin) -> String {
    let host = Host::start().await;
    host.run(plugin).await.unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    host.neighbour_answers().await;
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_are_summed() {
    let plugin = Plugin::text("grows-memories.wat");
    let error = offend(plugin.limits(|limits| {
        limits.memory_bytes_max = (1 << 20).try_into().unwrap();
    }));
    assert_eq!(error.await, "`tick` failed: no more memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_summed() {
    let error = offend(Plugin::text("grows-tables.wat")).await;
    assert_eq!(error, "`tick` failed: no more elements");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_from_the_start_does_not_start() {
    let error = offend(Plugin::text("starts-large.wat")).await;
    assert!(
        error.starts_with("`start` trapped: memory minimum size of 512 pages"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_resources_are_bounded() {
    let error = offend(Plugin::guest("handles:grows-resources")).await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    assert!(error.contains("resource table"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_are_bounded() {
    let error = offend(Plugin::guest("handles:asks-for-random")).await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    assert!(error.contains("1073741824"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_multiplies_its_memory_in_the_host_is_refused() {
    let error = offend(Plugin::text("multiplies.wat")).await;
    assert!(error.starts_with("`tick` trapped: "), "{error}");
    assert!(error.contains("fuel"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_large_is_refused() {
    let plugin = Plugin::guest("handles:answers-at-length");
    let error = offend(plugin.limits(|limits| {
        limits.memory_bytes_max = (256 << 20).try_into().unwrap();
    }));
    let error = error.await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    assert!(error.contains("fuel"), "{error}");
}

/// Nobody may take what others need in order to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_plugin_cannot_take_the_memories_of_all() {
    const HOARDERS: [&str; 4] = ["hoarder-1", "hoarder-2", "hoarder-3", "hoarder-4"];
    let host = Host::empty(5);
    for name in HOARDERS {
        host.run(Plugin::text("hoards-memories.wat").named(name))
            .await
            .unwrap();
    }
    for name in HOARDERS {
        host.running(name).await;
    }
    host.run(Plugin::guest("ticks:fails")).await.unwrap();
    assert_eq!(
        host.failed("offender").await,
        "`tick` failed: the clock is wrong"
    );
}
