//! The crate law: who may depend on whom; and every crate has the same lints.

use std::process::Command;

use serde_json::Value;

use super::assert_none;
use super::sources::{files, root};

/// A crate of the workspace and what it depends on, of whatever kind.
#[derive(Debug)]
struct Package {
    name: String,
    dependencies: Vec<String>,
}

/// Ours, each with those of ours that it may depend on. The plugins (`plugin-*`)
/// may depend on the SDK, and nobody on them but `train-data`, which must compute
/// what they compute.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("selvedge-artifact", &[]),
    // Its tests verify what the signer makes.
    (
        "selvedge-signing",
        &["selvedge-artifact", "selvedge-signer"],
    ),
    (
        "selvedge-signer",
        &["selvedge-artifact", "selvedge-signing"],
    ),
    ("selvedge-registry", &["selvedge-artifact"]),
    ("selvedge-plugin", &[]),
    ("wasm-build", &[]),
    ("guests", &["selvedge-plugin"]),
    ("selvedge-bundle", &["wasm-build"]),
    (
        "selvedge",
        &[
            "selvedge-artifact",
            "selvedge-bundle",
            "selvedge-registry",
            "selvedge-signer",
            "selvedge-signing",
            "wasm-build",
        ],
    ),
    (
        "train-data",
        &["plugin-window", "selvedge", "selvedge-plugin"],
    ),
    ("xtask", &["wasm-build"]),
    // Measures the host from outside, as an embedder would see it.
    (
        "bench",
        &[
            "selvedge",
            "selvedge-artifact",
            "selvedge-registry",
            "selvedge-signer",
            "selvedge-signing",
            "wasm-build",
        ],
    ),
];

/// Crates of others that only some of ours may depend on.
const ONLY: &[(&str, &[&str])] = &[
    // `bench` has it as the raw thing that the host is measured against.
    ("wasmtime", &["selvedge", "bench"]),
    ("sigstore", &["selvedge-signing", "selvedge-signer"]),
    (
        "reqwest",
        &["selvedge-registry", "selvedge-signer", "selvedge"],
    ),
];

fn law_faults(packages: &[Package]) -> Vec<String> {
    let ours = |name: &String| packages.iter().any(|package| package.name == *name);
    let mut faults = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|name| ours(name)) {
            if !may_depend(&package.name, dependency) {
                faults.push(format!(
                    "`{}` may not depend on `{dependency}`",
                    package.name
                ));
            }
        }
        for (family, users) in ONLY {
            let of_family = |name: &&String| name.starts_with(family);
            if let Some(dependency) = package.dependencies.iter().find(of_family)
                && !users.contains(&package.name.as_str())
            {
                faults.push(format!(
                    "`{}` may not depend on `{dependency}`",
                    package.name
                ));
            }
        }
    }
    faults
}

fn may_depend(name: &str, dependency: &str) -> bool {
    if name.starts_with("plugin-") {
        return dependency == "selvedge-plugin";
    }
    let listed = MAY_DEPEND.iter().find(|(listed, _)| *listed == name);
    listed.is_some_and(|(_, allowed)| allowed.contains(&dependency))
}

fn workspace_packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().unwrap().iter();
        items
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| Package {
            name: package["name"].as_str().unwrap().to_owned(),
            dependencies: texts(&package["dependencies"]),
        })
        .collect()
}

fn lint_faults(path: &str, manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let is_crate = manifest.contains_key("package");
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if is_crate && inherits != Some(&toml::Value::Boolean(true)) {
        return vec![format!("{path}: add `[lints] workspace = true`")];
    }
    Vec::new()
}

#[test]
fn crates_depend_only_on_those_they_may() {
    let packages = workspace_packages();
    assert!(packages.len() > 8, "the workspace was not found");
    assert_none(&law_faults(&packages));
}

#[test]
fn every_crate_has_the_workspaces_lints() {
    let folders = ["host", "signing", "registry", "sdk", "plugins", "tests"];
    let manifests: Vec<_> = files(&folders, "toml")
        .into_iter()
        .filter(|source| source.path.ends_with("/Cargo.toml"))
        .collect();
    assert!(manifests.len() > 8, "the manifests were not found");
    let faults: Vec<_> = manifests
        .iter()
        .flat_map(|source| lint_faults(&source.path, &source.text))
        .collect();
    assert_none(&faults);
}

#[test]
fn a_forbidden_dependency_is_found() {
    let package = |name: &str, dependencies: &[&str]| Package {
        name: name.to_owned(),
        dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
    };
    let others = || {
        [
            "selvedge-plugin",
            "selvedge",
            "selvedge-signing",
            "selvedge-registry",
            "plugin-x",
        ]
    };
    let check = |name: &str, dependency: &str, expected: &[&str]| {
        let mut packages: Vec<_> = others().iter().map(|other| package(other, &[])).collect();
        packages.retain(|package| package.name != name);
        packages.push(package(name, &["serde", dependency]));
        assert_eq!(law_faults(&packages), expected);
    };
    check("selvedge", "wasmtime", &[]);
    check("selvedge", "selvedge-signing", &[]);
    check("plugin-x", "selvedge-plugin", &[]);
    for (name, dependency) in [
        ("selvedge", "selvedge-plugin"),
        ("selvedge", "plugin-x"),
        ("selvedge-signing", "selvedge-registry"),
        ("selvedge-signing", "wasmtime-wasi"),
        ("plugin-x", "selvedge"),
        ("plugin-x", "wasmtime"),
        ("new-crate", "selvedge"),
    ] {
        let fault = format!("`{name}` may not depend on `{dependency}`");
        check(name, dependency, &[&fault]);
    }
}

#[test]
fn a_crate_without_the_lints_is_found() {
    assert_eq!(
        lint_faults("a/Cargo.toml", "[package]\nname = 'a'\n").len(),
        1
    );
    assert_eq!(
        lint_faults("a/Cargo.toml", "[package]\n[lints]\nworkspace = false\n").len(),
        1
    );
    assert!(lint_faults("a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n").is_empty());
}
