//! Builds the shipped plugins to components and lists them for `src/lib.rs`.

#![expect(clippy::print_stderr, reason = "a build script talks to cargo")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_build::{BuildError, Workspace, copy_if_changed};

/// What is shipped: the folders of `plugins/`. The package is `plugin-<folder>`.
const SHIPPED: &[&str] = &["modbus", "window", "detector", "responder", "classifier"];

fn main() -> ExitCode {
    match bundle() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error
                .downcast_ref::<BuildError>()
                .map_or_else(|| error.to_string(), BuildError::report);
            eprintln!("cannot build the shipped plugins: {text}");
            ExitCode::FAILURE
        }
    }
}

fn bundle() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    watch(&root);

    let packages: Vec<_> = SHIPPED
        .iter()
        .map(|name| format!("plugin-{name}"))
        .collect();
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    let components = Workspace::new(&root, target_folder(&out)).libraries(&packages)?;

    let mut list = String::from("&[\n");
    for (name, component) in SHIPPED.iter().zip(components) {
        let copy = out.join(name).with_extension("wasm");
        copy_if_changed(&component, &copy)?;
        let manifest = root.join("plugins").join(name).join("plugin.toml");
        let manifest = if manifest.is_file() {
            format!("Some(include_str!({manifest:?}))")
        } else {
            "None".to_owned()
        };
        writeln!(
            list,
            "Shipped {{ name: {name:?}, component: include_bytes!({copy:?}), manifest: {manifest} }},"
        )?;
    }
    list.push(']');
    fs_err::write(out.join("plugins.rs"), list)?;
    Ok(())
}

/// Names all that a plugin is made of, and nothing else, as reasons to run again.
fn watch(root: &Path) {
    let common = [
        "sdk/rust/src",
        "sdk/rust/Cargo.toml",
        "wit",
        "Cargo.toml",
        "Cargo.lock",
    ];
    for path in common {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
    for name in SHIPPED {
        println!(
            "cargo:rerun-if-changed={}",
            root.join("plugins").join(name).display()
        );
    }
}

/// The target directory that `out` is in, so that every profile and every cargo
/// command shares one build of the plugins.
fn target_folder(out: &Path) -> &Path {
    out.ancestors()
        .filter(|folder| folder.join("CACHEDIR.TAG").is_file())
        .last()
        .unwrap_or(out)
}
