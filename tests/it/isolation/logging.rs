//! Guests that log too much, too long or lies.

use crate::support::{Host, Plugin};

/// One line of `$selvedge/log/offender`.
fn line(json: &str) -> (String, u64) {
    let line: serde_json::Value = serde_json::from_str(json).unwrap();
    (
        line["text"].as_str().unwrap().to_owned(),
        line["dropped"].as_u64().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_lines_is_thinned_and_counted() {
    for (guest, error) in [
        ("logs:without-end", "`handle` did not return within 1000 ms"),
        // Each line is waited for, and waiting is not computing.
        (
            "logs:to-stdout-without-end",
            "`handle` did not return within 4000 ms",
        ),
    ] {
        let host = Host::start().await;
        let lines = host.listen("$selvedge/log/offender");
        let plugin = Plugin::guest(guest).limits(|limits| {
            limits.log_lines_per_s_max = 5.try_into().unwrap();
            limits.call_ms_max = 1_000.try_into().unwrap();
            limits.restarts_max = 0;
        });
        host.run(plugin).await.unwrap();
        host.publish("offence/go", "").await;
        host.neighbour_answers().await;

        assert_eq!(host.given_up("offender").await, error);
        let lines = lines.arrived();
        // A burst of one second, then the rate; the machine may be busy.
        assert!((5..=50).contains(&lines.len()), "{} lines", lines.len());
        let dropped: u64 = lines.iter().map(|json| line(json).1).sum();
        assert!(
            dropped > 0,
            "nothing was said of the lines that were dropped"
        );
        host.neighbour_answers().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_is_cut() {
    for guest in ["logs:at-length", "logs:to-stderr-at-length"] {
        let host = Host::start().await;
        let mut lines = host.listen("$selvedge/log/offender");
        let plugin = Plugin::guest(guest);
        let roomy = plugin.limits(|limits| {
            limits.memory_bytes_max = (64 << 20).try_into().unwrap();
            limits.call_ms_max = 10_000.try_into().unwrap();
        });
        host.run(roomy).await.unwrap();
        host.publish("offence/go", "").await;

        let (long, _) = line(&lines.next().await);
        assert!((4000..=4096).contains(&long.len()), "{} bytes", long.len());
        assert_eq!(line(&lines.next().await).0, "after");
        host.neighbour_answers().await;
    }
}

/// What a guest logs must not look like lines of the host, nor reach the
/// operator's terminal as commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cannot_pass_for_two() {
    let host = Host::start().await;
    let mut lines = host.listen("$selvedge/log/offender");
    host.run(Plugin::guest("logs:forged")).await.unwrap();
    host.publish("offence/go", "").await;

    let (text, _) = line(&lines.next().await);

    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.starts_with("fine\u{fffd}2026-01-01"), "{text:?}");
    host.neighbour_answers().await;
}
