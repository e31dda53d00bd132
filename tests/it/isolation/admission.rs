//! Guests that are refused before anything of them runs.

use selvedge::spec::Grants;

use crate::support::{Host, Plugin};

/// Why the host does not start it.
async fn refusal(plugin: Plugin) -> (&'static str, String) {
    let host = Host::start().await;
    let error = host.run(plugin).await.unwrap_err();
    host.neighbour_answers().await;
    (
        error.code(),
        selvedge::error_chain::ErrorChain(&error).to_string(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exports_nothing_is_refused() {
    for text in ["exports-nothing.wat", "exports-else.wat"] {
        let (code, error) = refusal(Plugin::text(text)).await;
        assert_eq!(code, "nothing-exported");
        assert_eq!(
            error,
            "plugin `offender` exports nothing that the host calls"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exports_a_loop_and_a_subscriber_is_refused() {
    let (code, error) = refusal(Plugin::guest("mixes")).await;
    assert_eq!(code, "mixed-exports");
    assert_eq!(
        error,
        "plugin `offender` exports `service` together with `subscriber`: a service reads its inbox"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_import_that_is_not_offered_is_named() {
    let (code, error) = refusal(Plugin::text("imports-unknown.wat")).await;
    assert_eq!(code, "import-not-offered");
    for import in [
        "wasi:http/outgoing-handler@0.2.0",
        "acme:secrets/vault",
        "system",
    ] {
        let named = format!("plugin `offender` imports `{import}`, which this host does not offer");
        assert!(error.contains(&named), "{error}");
    }
}

/// It could not be compiled, and nobody tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_compiled_first() {
    let (code, error) = refusal(Plugin::text("refused-before.wat")).await;
    assert_eq!(code, "import-not-offered");
    assert_eq!(
        error,
        "plugin `offender` imports `acme:secrets/vault`, which this host does not offer; \
         plugin `offender` exports `tick` with another type than the contract's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_import_that_is_not_granted_is_named() {
    for (guest, interface, grant) in [
        ("connects", "wasi:sockets/tcp@", "tcp"),
        ("connects", "wasi:sockets/udp@", "tcp` or `udp"),
        ("connects", "wasi:sockets/ip-name-lookup@", "tcp` or `udp"),
        (
            "stores:without-end",
            "wasi:keyvalue/store@",
            "keyvalue_bytes_max",
        ),
        ("serves:is-busy", "selvedge:bus/inbox@", "subscribe"),
        ("handles:retries", "selvedge:bus/publisher@", "publish"),
    ] {
        let plugin = Plugin::guest(guest).grants(|grants| *grants = Grants::default());
        let (code, error) = refusal(plugin).await;
        assert_eq!(code, "import-not-granted");
        let (import, needs) = (
            format!("imports `{interface}"),
            format!("which needs `{grant}`"),
        );
        let named = |part: &str| part.contains(&import) && part.contains(&needs);
        assert!(error.split("; ").any(named), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_more_of_the_machine_than_is_offered_is_refused() {
    for (text, why) in [
        ("memory64.wat", "memory64 must be enabled"),
        ("threads.wat", "threads must be enabled"),
        ("garbage-collected.wat", "gc"),
        ("many-memories.wat", "exceeds the per-"),
        ("starts-wide.wat", "exceeds the limit of 20000"),
    ] {
        let (code, error) = refusal(Plugin::text(text)).await;
        assert_eq!(code, "plugin-not-compiled", "{text}: {error}");
        assert!(
            error.starts_with("plugin `offender` cannot be compiled: "),
            "{error}"
        );
        assert!(error.contains(why), "{text}: {error}");
    }
}
