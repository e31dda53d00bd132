//! What every Rust source keeps to.

use super::assert_none;
use super::sources::{Source, rust_sources};
use super::tokens::{occurrences, tokens};

/// The most lines of code in a file; blank lines and comments are free.
const LINES_MAX: usize = 600;

/// Where `unsafe` is looked at by people: compiled code is mapped, and bindings
/// are generated. Guests may do what they like: they are the hostile ones.
const MAY_BE_UNSAFE: &[&str] = &[
    "host/src/runtime/precompiled.rs",
    "sdk/rust/src/bindings.rs",
    "tests/guests/",
];

fn size_faults(source: &Source) -> Vec<String> {
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//");
    let lines = source.text.lines().map(str::trim).filter(is_code).count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{}: {lines} lines of code, at most {LINES_MAX}: split it",
        source.path
    )]
}

/// The tests of a module say what they test by their names.
fn header_faults(source: &Source) -> Vec<String> {
    let is_tests = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    if source.text.starts_with("//! ") || is_tests {
        return Vec::new();
    }
    vec![format!(
        "{}:1: a module starts with `//!`: what it decides, what it promises",
        source.path
    )]
}

fn unsafe_faults(source: &Source) -> Vec<String> {
    if MAY_BE_UNSAFE
        .iter()
        .any(|path| source.path.starts_with(path))
    {
        return Vec::new();
    }
    tokens(source)
        .iter()
        .filter(|token| token.text == "unsafe")
        .map(|token| {
            format!(
                "{}:{}: `unsafe` does not belong here",
                source.path, token.line
            )
        })
        .collect()
}

fn leftover_faults(source: &Source) -> Vec<String> {
    const LEFTOVERS: &[(&[&str], &str)] = &[
        (&["todo", "!"], "`todo!`: finish it"),
        (&["unimplemented", "!"], "`unimplemented!`: finish it"),
        (&["#", "[", "ignore"], "`#[ignore]`: a test runs or goes"),
        (
            &["#", "[", "should_panic"],
            "`#[should_panic]`: assert the error",
        ),
    ];
    let tokens = tokens(source);
    let mut faults = Vec::new();
    for (sequence, what) in LEFTOVERS {
        for found in occurrences(&tokens, sequence) {
            faults.push(format!("{}:{}: {what}", source.path, found.line));
        }
    }
    faults
}

fn hold(rule: fn(&Source) -> Vec<String>) {
    let faults: Vec<_> = rust_sources().iter().flat_map(rule).collect();
    assert_none(&faults);
}

#[test]
fn no_file_is_too_long() {
    let line = "fn f() {}\n";
    let source = |lines: usize| Source::snippet("a.rs", &format!("// x\n\n{}", line.repeat(lines)));
    assert!(size_faults(&source(LINES_MAX)).is_empty());
    assert_eq!(size_faults(&source(LINES_MAX + 1)).len(), 1);
    hold(size_faults);
}

#[test]
fn every_module_says_what_it_is() {
    assert!(header_faults(&Source::snippet("a.rs", "//! Keeps time.\n")).is_empty());
    assert_eq!(
        header_faults(&Source::snippet("a.rs", "use std::time;\n")).len(),
        1
    );
    hold(header_faults);
}

#[test]
fn unsafe_code_is_where_it_is_looked_at() {
    let text = "// unsafe\nconst A: &str = \"unsafe\";\nfn f() { unsafe { g() } }";
    let faults = unsafe_faults(&Source::snippet("host/src/bus.rs", text));
    assert_eq!(faults, ["host/src/bus.rs:3: `unsafe` does not belong here"]);
    assert!(unsafe_faults(&Source::snippet(MAY_BE_UNSAFE[0], text)).is_empty());
    hold(unsafe_faults);
}

#[test]
fn nothing_is_left_undone() {
    for leftover in [
        "fn f() { todo!() }",
        "#[ignore]\nfn f() {}",
        "#[ignore = \"slow\"]\nfn f() {}",
    ] {
        let source = Source::snippet("a.rs", leftover);
        assert_eq!(leftover_faults(&source).len(), 1, "{leftover}");
    }
    assert!(leftover_faults(&Source::snippet("a.rs", "// todo!()\n")).is_empty());
    hold(leftover_faults);
}
