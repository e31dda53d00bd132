//! `selvedge backends`, with the real libraries and without.

use std::path::Path;

use serde_json::Value;

use super::libraries;
use crate::process::{Ended, Process, run, selvedge, text};

async fn told(arguments: &[&str]) -> Value {
    let arguments = [&["backends", "--json"], arguments].concat();
    let ended = run(&mut selvedge(&arguments)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

async fn pinned(library: &Path) -> Ended {
    run(&mut selvedge(&["backends", "pin", text(library)])).await
}

/// What programs are told of a library is what `lines` say to host.toml.
async fn same_as_json(library: &Path, lines: &str) {
    let pin = ["backends", "pin", text(library), "--json"];
    let ended = run(&mut selvedge(&pin)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let read: Value = toml::from_str(lines).unwrap();
    let section = &read["inference"][told["backend"].as_str().unwrap()];
    assert_eq!(told["library"], section["library"]);
    assert_eq!(told["files"], section["files"]);
    assert!(!told["files"].as_object().unwrap().is_empty(), "{told}");
    let offered = told["choices"].as_object().unwrap();
    for choice in offered.keys() {
        assert!(lines.contains(&format!("# {choice} = ")), "{told}: {lines}");
    }
}

#[tokio::test]
async fn what_is_pinned_is_what_a_host_then_loads() {
    let Some(libraries) = libraries() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.toml");
    let mut config = String::new();
    for library in &libraries {
        let ended = pinned(library).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        config += &ended.stdout;
        same_as_json(library, &ended.stdout).await;
    }
    fs_err::write(&file, &config).unwrap();
    let told = told(&["--host-config", text(&file)]).await;
    assert_eq!(told["source"], "configuration");
    assert_eq!(told["file"], text(&file));
    let backends = told["backends"].as_array().unwrap();
    for (backend, (name, library)) in backends[1..]
        .iter()
        .zip(["onnxruntime", "openvino"].into_iter().zip(&libraries))
    {
        assert_eq!(backend["backend"], name);
        assert_eq!(backend["unavailable"], Value::Null, "{backend}");
        assert_eq!(backend["library"], text(library));
        assert!(backend["version"].is_string());
        assert_eq!(backend["providers"][0]["device"], "cpu");
    }

    let ended = run(&mut selvedge(&["backends", "--host-config", text(&file)])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "tract",
        "onnxruntime",
        "openvino",
        "usable",
        "no host was asked",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }

    // The library of another file is not what was pinned.
    let other = config.replacen("sha256:", "sha256:0", 2);
    let cut = other.lines().map(|line| match line.split_once("sha256:0") {
        Some((before, digits)) => format!("{before}sha256:0{}\"", &digits[..63]),
        None => line.to_owned(),
    });
    fs_err::write(&file, cut.collect::<Vec<_>>().join("\n")).unwrap();
    let told = self::told(&["--host-config", text(&file)]).await;
    assert_eq!(
        told["backends"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|backend| backend["unavailable"]["code"] == "library-digest")
            .count(),
        1,
        "{told}"
    );
}

#[tokio::test]
async fn a_library_that_is_not_one_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("libopenvino_c.so.1");
    let ended = pinned(&missing).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("there is no "), "{ended:?}");
    assert!(ended.stderr.contains("help: "), "{ended:?}");
    let ended = pinned(&folder.path().join("libm.so.6")).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");

    let file = folder.path().join("host.toml");
    let config = "[inference.openvino]\nlibrary = \"/nowhere/libopenvino_c.so\"\nfiles = {}\n";
    fs_err::write(&file, config).unwrap();
    let ended = run(&mut selvedge(&["backends", "--host-config", text(&file)])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("library-missing"), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("openvino: there is no /nowhere/libopenvino_c.so"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_host_that_runs_is_asked_where_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.sock");
    let ended = run(&mut selvedge(&["backends", "--host", text(&none)])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no host answers at "), "{ended:?}");

    let data = folder.path().join("data");
    let mut host = Process::start(&mut selvedge(&["run", "--data-directory", text(&data)]));
    host.line("api").await;
    let socket = data.join("selvedge.sock");
    let told = told(&["--host", text(&socket)]).await;
    assert_eq!(told["source"], "host");
    assert_eq!(told["backends"][0]["backend"], "tract");
    assert_eq!(told["backends"][2]["unavailable"]["code"], "not-configured");
    let ended = run(&mut selvedge(&["backends", "--host", text(&socket)])).await;
    assert!(
        ended.stdout.ends_with("According to: the host that runs\n"),
        "{ended:?}"
    );
    host.signal("INT").await;
    assert_eq!(host.end().await.code, Some(0));
}
