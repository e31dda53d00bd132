//! The steps of `cargo xtask test`, cheapest first.
//!
//! The dependencies are built once by `build` (and used by `test`) and checked
//! once by `clippy` (and used by `doc`): a step that selects other packages or
//! another profile would build them again.

use std::process::Command;

use wasm_build::Workspace;

use crate::command::{Cargo, Failure, run, succeeds};
use crate::run::{Outcome, Step};
use crate::{fuzz, peers, wit};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "the sources are formatted",
        run: fmt,
    },
    Step {
        name: "wit",
        what: "the vendored WIT is what was vendored",
        run: |workspace| passed(wit::check(workspace)),
    },
    Step {
        name: "peers",
        what: "set up other people's servers and clients",
        run: |workspace| passed(peers::set_up(workspace)),
    },
    Step {
        name: "wasm",
        what: "set up the wasm target and build the test components",
        run: |workspace| {
            workspace.guests()?;
            Ok(Outcome::Passed)
        },
    },
    Step {
        name: "clippy",
        what: "no lint has anything to say",
        run: clippy,
    },
    Step {
        name: "build",
        what: "everything builds",
        run: |workspace| passed(cargo_test(workspace).arguments(&["--no-run"]).run()),
    },
    Step {
        name: "test",
        what: "the tests pass",
        run: test,
    },
    Step {
        name: "fuzz",
        what: "hostile bytes change nothing",
        run: fuzz::step,
    },
    Step {
        name: "doc",
        what: "the documentation builds and its links lead somewhere",
        run: doc,
    },
    Step {
        name: "deny",
        what: "dependencies: licences, sources, duplicates",
        run: deny,
    },
];

fn passed(result: Result<(), Failure>) -> Result<Outcome, Failure> {
    result.map(|()| Outcome::Passed)
}

fn fmt(workspace: &Workspace) -> Result<Outcome, Failure> {
    needs_component(workspace, "fmt", "rustfmt")?;
    Cargo::new(workspace, &["fmt", "--all", "--check"]).run()?;
    passed(fuzz::fmt(workspace))
}

fn clippy(workspace: &Workspace) -> Result<Outcome, Failure> {
    needs_component(workspace, "clippy", "clippy")?;
    let arguments = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    passed(Cargo::new(workspace, &arguments).run())
}

/// The guests are components: to build them for this machine says nothing.
fn cargo_test(workspace: &Workspace) -> Cargo {
    Cargo::new(
        workspace,
        &["test", "--locked", "--workspace", "--exclude", "guests"],
    )
}

fn test(workspace: &Workspace) -> Result<Outcome, Failure> {
    passed(
        cargo_test(workspace)
            .env("SELVEDGE_GUESTS", workspace.guests()?)
            .env("SELVEDGE_PEERS", peers::folder(workspace))
            .arguments(&["--no-fail-fast"])
            .run(),
    )
}

/// The examples are named so that cargo takes the features of the tests'
/// dependencies too, as `clippy` did: else it would check wasmtime once more.
/// Private items are in: most of what our documentation links to is.
fn doc(workspace: &Workspace) -> Result<Outcome, Failure> {
    let arguments = [
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--lib",
        "--examples",
    ];
    passed(
        Cargo::new(workspace, &arguments)
            .arguments(&["--document-private-items"])
            .env(
                "RUSTDOCFLAGS",
                "-D warnings -A rustdoc::private_intra_doc_links",
            )
            .run(),
    )
}

/// Not set up here: `cargo-deny` takes about as long to build as the host. Nor are
/// advisories asked for: their database is not in a package registry, and changes
/// without our sources. `cargo deny check` asks for them too.
fn deny(workspace: &Workspace) -> Result<Outcome, Failure> {
    if !succeeds(Command::new("cargo").args(["deny", "--version"])) {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed: `cargo install --locked cargo-deny`",
        ));
    }
    passed(Cargo::new(workspace, &["deny", "check", "bans", "licenses", "sources"]).run())
}

fn needs_component(
    workspace: &Workspace,
    subcommand: &str,
    component: &str,
) -> Result<(), Failure> {
    let mut version = Command::new("cargo");
    version
        .current_dir(workspace.root())
        .args([subcommand, "--version"]);
    if succeeds(&mut version) {
        return Ok(());
    }
    println!("{component} is missing: rustup component add {component}");
    let mut add = Command::new("timeout");
    add.current_dir(workspace.root())
        .args(["120", "rustup", "component", "add", component]);
    run(add).map_err(|failure| {
        Failure::new(format!(
            "{failure}; run `rustup component add {component}` and try again"
        ))
    })
}
