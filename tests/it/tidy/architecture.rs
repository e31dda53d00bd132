//! The layers inside the host, and what only one module may do.

use std::collections::BTreeSet;

use super::assert_none;
use super::sources::{Source, files, root};
use super::tokens::{Path, Token, occurrences, paths, tokens};

/// Each module of the host and what it may import, lowest layer first: the
/// table of ARCHITECTURE.md. `a::b` allows only that part of `a`, `*` allows all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error_chain", &[]),
    ("names", &["error_chain"]),
    ("supervisor", &["error_chain", "names"]),
    ("service_manager", &["supervisor", "error_chain"]),
    ("spec", &["names"]),
    ("bus", BASE),
    ("storage", BASE),
    ("mqtt", BASE),
    ("tls", BASE),
    (
        "devices",
        &[
            "tls",
            "storage",
            "supervisor",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "retention",
        &["bus", "storage", "supervisor", "names", "error_chain"],
    ),
    (
        "broker",
        &[
            "bus",
            "mqtt",
            "tls",
            "devices",
            "storage",
            "supervisor",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "uplink",
        &[
            "bus",
            "mqtt",
            "tls",
            "storage",
            "supervisor",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    ("inference", BASE),
    ("artifacts", BASE),
    (
        "trust",
        &["artifacts", "storage", "names", "spec", "error_chain"],
    ),
    (
        "capabilities",
        &[
            "bus",
            "inference",
            "storage",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "capture",
        &[
            "bus",
            "inference",
            "supervisor",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "runtime",
        &[
            "capabilities",
            "bus",
            "inference",
            "storage",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "deployment",
        &[
            "runtime",
            "capture",
            "capabilities",
            "bus",
            "inference",
            "storage",
            "supervisor",
            "config",
            "artifacts",
            "trust",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "cloud",
        &[
            "deployment",
            "uplink",
            "bus",
            "storage",
            "supervisor",
            "tls",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "discovery",
        &[
            "broker",
            "devices",
            "bus",
            "tls",
            "supervisor",
            "names",
            "error_chain",
        ],
    ),
    (
        "api",
        &[
            "broker",
            "retention",
            "uplink",
            "cloud",
            "devices",
            "tls",
            "deployment",
            "capture",
            "runtime",
            "capabilities",
            "bus",
            "inference",
            "storage",
            "supervisor",
            "artifacts",
            "trust",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "inference_api",
        &[
            "api",
            "deployment",
            "capture",
            "inference",
            "supervisor",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    (
        "config",
        // Each module owns its part of the configuration.
        &[
            "deployment::document",
            "api::config",
            "broker::config",
            "cloud::config",
            "discovery::config",
            "uplink::config",
            "artifacts",
            "trust",
            "bus",
            "inference",
            "names",
            "spec",
            "error_chain",
        ],
    ),
    ("app", &["*"]),
    ("demo", &["*"]),
    ("cli", &["*"]),
];

const BASE: &[&str] = &["names", "spec", "error_chain"];

/// The modules that may name wasmtime.
const NAME_WASMTIME: &[&str] = &["runtime", "capabilities"];

/// Ways to start something that nobody waits for. `spawn_blocking` is not among
/// them: its caller waits, within the bounds that clippy's ban leaves it.
const SPAWNS: &[&[&str]] = &[
    &["tokio", "spawn"],
    &["task", "spawn"],
    &["task", "spawn_local"],
    &["thread", "spawn"],
    &["thread", "Builder"],
    &["JoinSet"],
    &["TaskTracker"],
    &["Handle", "current"],
];

/// Who may all the same, in which file and which way.
const MAY_SPAWN: &[(&str, &[&str])] = &[
    // The epoch clock is a thread: it must tick when guests keep every worker busy.
    ("host/src/runtime/engine.rs", &["thread", "Builder"]),
    // Runs that are made in place hold the thread that would stop them.
    ("host/src/inference/watchdog.rs", &["thread", "Builder"]),
    // One reads what a model's rehearsal says, for as long as that process lives.
    ("host/src/inference/rehearsal.rs", &["thread", "Builder"]),
    // And one, in that process, ends it with the host.
    (
        "host/src/inference/rehearsal/there.rs",
        &["thread", "Builder"],
    ),
];

fn host_sources() -> Vec<Source> {
    let sources = files(&["host/src"], "rs");
    assert!(sources.len() > 15, "the host's sources were not found");
    sources
}

/// `host/src/bus/inbox.rs` is the module `["bus", "inbox"]`.
fn module_of(source: &Source) -> Vec<String> {
    let path = source.path.trim_start_matches("host/src/");
    let path = path.trim_end_matches(".rs");
    path.split('/').map(str::to_owned).collect()
}

/// The crate's root and the binary only name the modules.
fn is_root(module: &[String]) -> bool {
    module == ["lib"] || module == ["main"]
}

fn layer_faults(source: &Source) -> Vec<String> {
    let module = module_of(source);
    if is_root(&module) {
        return Vec::new();
    }
    let tokens = tokens(source);
    let mut faults = BTreeSet::new();
    for path in paths(&tokens) {
        let Some(target) = in_host(&path, &module, &tokens[path.token]) else {
            continue;
        };
        if !target.is_empty() && !may_import(&module[0], &target) {
            let (file, from) = (source.path.trim_start_matches("host/src/"), &module[0]);
            let to = named(&target);
            faults.insert((
                path.line,
                format!(
                    "{file}:{}: `{from}` may not import `{to}` (see ARCHITECTURE.md)",
                    path.line
                ),
            ));
        }
    }
    faults.into_iter().map(|(_, fault)| fault).collect()
}

/// The path from the crate's root, if `path` starts with `crate` or `super`.
fn in_host(path: &Path, module: &[String], place: &Token) -> Option<Vec<String>> {
    let segments = &path.segments;
    if segments[0] == "crate" {
        return Some(segments[1..].to_vec());
    }
    let up = segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    if up == 0 || up <= place.depth {
        return None;
    }
    let base = module.len().saturating_sub(up - place.depth);
    Some(
        module[..base]
            .iter()
            .chain(&segments[up..])
            .cloned()
            .collect(),
    )
}

fn may_import(from: &str, target: &[String]) -> bool {
    if target[0] == from {
        return true;
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == from) else {
        return false;
    };
    allowed
        .iter()
        .any(|allowed| *allowed == "*" || is_within(target, allowed))
}

/// Whether `target` is `prefix` or in it.
fn is_within(target: &[String], prefix: &str) -> bool {
    let prefix: Vec<_> = prefix.split("::").map(str::to_owned).collect();
    target.starts_with(&prefix)
}

/// How a fault names what was imported: the module, and which part of it if
/// another part would have been allowed.
fn named(target: &[String]) -> String {
    let part = MAY_IMPORT
        .iter()
        .flat_map(|(_, allowed)| allowed.iter())
        .any(|allowed| {
            allowed
                .split_once("::")
                .is_some_and(|(module, _)| module == target[0])
        });
    target[..if part { target.len().min(2) } else { 1 }].join("::")
}

fn wasmtime_faults(source: &Source) -> Vec<String> {
    let module = module_of(source);
    if NAME_WASMTIME.contains(&module[0].as_str()) {
        return Vec::new();
    }
    tokens(source)
        .iter()
        .filter(|token| token.text.starts_with("wasmtime"))
        .map(|token| {
            format!(
                "{}:{}: only `runtime` and `capabilities` name wasmtime",
                source.path, token.line
            )
        })
        .collect()
}

fn spawn_faults(source: &Source) -> Vec<String> {
    if module_of(source)[0] == "supervisor" {
        return Vec::new();
    }
    let tokens = tokens(source);
    let is_allowed = |spawn: &&[&str]| MAY_SPAWN.contains(&(&source.path, spawn));
    let spawns = |path: &Path| {
        let mut forbidden = SPAWNS.iter().filter(|spawn| !is_allowed(spawn));
        forbidden.any(|spawn| contains(&path.segments, spawn))
    };
    paths(&tokens)
        .into_iter()
        .filter(|path| !tokens[path.token].is_test && spawns(path))
        .map(|path| {
            format!(
                "{}:{}: only `supervisor` spawns: add a unit",
                source.path, path.line
            )
        })
        .collect()
}

fn contains(segments: &[String], part: &[&str]) -> bool {
    segments.windows(part.len()).any(|found| found == part)
}

#[test]
fn the_modules_of_the_host_keep_to_their_layers() {
    let faults: Vec<_> = host_sources().iter().flat_map(layer_faults).collect();
    assert_none(&faults);
}

#[test]
fn only_runtime_and_capabilities_name_wasmtime() {
    let faults: Vec<_> = host_sources().iter().flat_map(wasmtime_faults).collect();
    assert_none(&faults);
}

#[test]
fn only_supervisor_spawns() {
    let faults: Vec<_> = host_sources().iter().flat_map(spawn_faults).collect();
    assert_none(&faults);
}

#[test]
fn whoever_may_spawn_does() {
    for (file, spawn) in MAY_SPAWN {
        let text = fs_err::read_to_string(root().join(file)).unwrap();
        let source = Source::snippet(file, &text);
        let found = paths(&tokens(&source));
        let used = found.iter().any(|path| contains(&path.segments, spawn));
        assert!(used, "{file} no longer needs `{}`", spawn.join("::"));
    }
}

#[test]
fn the_layer_table_lists_the_modules_of_the_host() {
    let lib = Source {
        text: fs_err::read_to_string(root().join("host/src/lib.rs")).unwrap(),
        path: "host/src/lib.rs".to_owned(),
    };
    let tokens = tokens(&lib);
    let declared: BTreeSet<_> = occurrences(&tokens, &["mod"])
        .iter()
        .map(|found| {
            let at = tokens
                .iter()
                .position(|token| std::ptr::eq(token, *found))
                .unwrap();
            tokens[at + 1].text.clone()
        })
        .collect();
    let listed: BTreeSet<_> = MAY_IMPORT
        .iter()
        .map(|(module, _)| (*module).to_owned())
        .collect();
    assert_eq!(declared, listed);
}

#[test]
fn an_import_from_a_higher_layer_is_found_in_every_spelling() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(
            layer_faults(&Source::snippet(path, text)),
            expected,
            "{text}"
        );
    };
    let limits = "host/src/bus.rs";
    let fault = "bus.rs:2: `bus` may not import `app` (see ARCHITECTURE.md)";
    check(limits, "\nuse crate::app::App;", &[fault]);
    check(limits, "\nuse crate::{names::Topic, app::App};", &[fault]);
    check(limits, "\nfn f(app: &crate::app::App) {}", &[fault]);
    check(limits, "\nuse super::app;", &[fault]);
    check(
        limits,
        "mod tests { use super::*;\nuse super::super::app; }",
        &[fault],
    );
    check(limits, "use crate::names::Topic; use crate::bus::Bus;", &[]);
    check(limits, "mod tests { use super::app; }", &[]);
    check("host/src/bus/inbox.rs", "use super::app;", &[]);
    check(
        "host/src/bus/inbox.rs",
        "use super::super::app;",
        &["bus/inbox.rs:1: `bus` may not import `app` (see ARCHITECTURE.md)"],
    );
    check(
        "host/src/config.rs",
        "use crate::deployment::document::Document;",
        &[],
    );
    check(
        "host/src/config.rs",
        "use crate::deployment::{document::Document, Deployment};",
        &["config.rs:1: `config` may not import `deployment::Deployment` (see ARCHITECTURE.md)"],
    );
    check(
        "host/src/unheard_of.rs",
        "use crate::names::Topic;",
        &["unheard_of.rs:1: `unheard_of` may not import `names` (see ARCHITECTURE.md)"],
    );
}

#[test]
fn wasmtime_and_spawns_are_found_outside_their_modules() {
    let source = |path: &str, text: &str| Source::snippet(path, text);
    let wasmtime = "fn f(e: wasmtime::Error) {}";
    assert_eq!(
        wasmtime_faults(&source("host/src/bus.rs", wasmtime)),
        ["host/src/bus.rs:1: only `runtime` and `capabilities` name wasmtime"]
    );
    assert!(wasmtime_faults(&source("host/src/runtime/engine.rs", wasmtime)).is_empty());

    for spawn in [
        "fn f() { tokio::spawn(g()); }",
        "use tokio::{task::{self, JoinSet}};",
        "use std::thread; fn f() { thread::Builder::new(); }",
        "fn f() { tokio::runtime::Handle::current().spawn(g()); }",
    ] {
        let path = "host/src/bus/route.rs";
        assert_eq!(spawn_faults(&source(path, spawn)).len(), 1, "{spawn}");
        assert!(spawn_faults(&source("host/src/supervisor.rs", spawn)).is_empty());
        let in_tests = format!("#[cfg(test)] mod tests {{ {spawn} }}");
        assert!(spawn_faults(&source(path, &in_tests)).is_empty());
    }
}
