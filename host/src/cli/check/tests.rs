//! Runs `tests/cases/check/*`: each folder holds the files to check and, in
//! `expect.txt`, what is printed. `UPDATE_EXPECT=1` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{CheckArgs, EXIT_CONFIG, run};
use crate::names::{Digest, PluginName};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/check")
}

fn shipped() -> BTreeMap<PluginName, Digest> {
    ["detector", "modbus", "window"]
        .into_iter()
        .map(|name| (name.parse().unwrap(), Digest::of(name.as_bytes())))
        .collect()
}

/// What `check` prints and returns of the files in `folder`, seen from there.
fn checked(folder: &Path, files: &[&str], json: bool) -> (String, ExitCode) {
    let host = folder.join("for-host.toml");
    let args = CheckArgs {
        files: files.iter().map(|file| folder.join(file)).collect(),
        host_config: host.exists().then_some(host),
        json,
    };
    let mut out = Vec::new();
    let code = run(&args, shipped(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    (out.replace(&format!("{}/", folder.display()), ""), code)
}

/// The files to check: all but the host they are for and what they name.
fn files(folder: &Path) -> Vec<String> {
    let names = fs_err::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.into_string().unwrap()
    });
    let mut files: Vec<_> = names
        .filter(|name| name.ends_with(".toml") && name != "for-host.toml")
        .collect();
    files.sort();
    files
}

#[test]
fn each_case_prints_what_it_expects() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs_err::read_dir(cases()).unwrap() {
        let folder = entry.unwrap().path();
        let files = files(&folder);
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let (out, code) = checked(&folder, &files, false);
        let refused = out.contains(": error: ");
        let expected = if refused { EXIT_CONFIG } else { 0 };
        assert_eq!(code, ExitCode::from(expected), "{}", folder.display());
        let expect = folder.join("expect.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs_err::write(&expect, &out).unwrap();
        }
        if fs_err::read_to_string(&expect).unwrap_or_default() != out {
            wrong.push(format!("{}:\n{out}", folder.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
    assert!(count >= 12, "{count} cases");
}

#[test]
fn json_says_the_same_for_programs() {
    let (out, code) = checked(&cases().join("unknown-field"), &["press.toml"], true);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, ExitCode::from(EXIT_CONFIG));
    assert_eq!(report["ok"], false);
    let fault = &report["files"][0]["faults"][0];
    let expected = serde_json::json!({
        "file": "press.toml",
        "line": 9,
        "column": 1,
        "severity": "error",
        "code": "field-unknown",
        "message": "unknown field `inbox_max`",
        "help": "did you mean `inbox_bytes_max` or `inbox_messages_max`?",
    });
    assert_eq!(fault, &expected);
}

#[test]
fn a_good_file_is_counted_in_json_too() {
    let (out, code) = checked(&cases().join("good"), &["press.toml"], true);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    let expected = serde_json::json!({
        "ok": true,
        "files": [{
            "file": "press.toml",
            "ok": true,
            "kind": "deployment",
            "plugins": 3,
            "models": 1,
            "faults": [],
        }],
    });
    assert_eq!(report, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (out, code) = checked(folder.path(), &["none.toml", "."], false);
    assert_eq!(code, ExitCode::from(EXIT_CONFIG));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[0],
        "none.toml:1:1: error: cannot read the file: entity not found"
    );
    assert!(lines[1].ends_with("cannot read the file: is a directory"));
}

#[test]
fn the_command_line_needs_a_file() {
    use clap::{Args, Command};
    let command = || CheckArgs::augment_args(Command::new("check"));
    assert!(command().try_get_matches_from(["check"]).is_err());
    let matches = command().try_get_matches_from(["check", "a.toml", "--json"]);
    assert!(matches.is_ok());
}
