//! `selvedge install` into a directory, and what systemd's own tools make of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Ended, run, selvedge, text};

const UNIT: &str = "usr/lib/systemd/system/selvedge.service";
const HOST: &str = "etc/selvedge/host.toml";

/// What systemd makes of the unit, out of 10; it may only become better.
const EXPOSURE_MAX: &str = "13";

/// The first version that knows `Type=notify-reload`.
const NOTIFY_RELOAD: u32 = 253;

struct Root(TempDir);

impl Root {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn install(&self, options: &[&str]) -> Ended {
        let mut command = selvedge(&["install", "--root", text(self.0.path())]);
        let ended = run(command.args(options)).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// The machine's own units, which ours refers to.
    fn with_units_of_this_machine(&self) {
        let there = Path::new("/usr/lib/systemd/system");
        for entry in fs_err::read_dir(there).unwrap() {
            let entry = entry.unwrap();
            let to = self.path(UNIT).with_file_name(entry.file_name());
            if entry.path().is_file() && !to.exists() {
                fs_err::copy(entry.path(), to).unwrap();
            }
        }
    }
}

/// What each file became, in order.
fn actions(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines();
    let words = lines.filter_map(|line| line.split(' ').next());
    let files = words.filter(|word| !["now", "ran", "left"].contains(word));
    files.map(str::to_owned).collect()
}

/// The version of systemd here, or none, and then it is said that the test is
/// skipped.
#[expect(clippy::print_stdout, reason = "says why a test is skipped")]
async fn systemd(tool: &str) -> Option<u32> {
    let mut command = Command::new(tool);
    let output = command.arg("--version").stderr(Stdio::null()).output();
    let Ok(output) = output.await else {
        println!("skipped: there is no {tool} on this machine");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split(' ').nth(1)?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[tokio::test]
async fn installing_twice_changes_nothing_and_what_is_yours_stays() {
    let root = Root::new();
    assert_eq!(actions(&root.install(&[]).await), ["written"; 5]);
    assert_eq!(actions(&root.install(&[]).await), ["unchanged"; 5]);
    for (name, mode) in [("usr/bin/selvedge", 0o755), (UNIT, 0o644), (HOST, 0o644)] {
        let found = fs_err::metadata(root.path(name)).unwrap().permissions();
        assert_eq!(found.mode() & 0o7777, mode, "{name}");
    }

    // A configuration is the operator's; a unit that was edited is seen.
    let mine = "data_directory = \"/srv/selvedge\"\n";
    fs_err::write(root.path(HOST), mine).unwrap();
    let edited = root.read(UNIT).replace("WatchdogSec=30s", "WatchdogSec=9s");
    fs_err::write(root.path(UNIT), &edited).unwrap();
    let again = root.install(&[]).await;
    let expected = ["unchanged", "kept", "unchanged", "unchanged", "kept"];
    assert_eq!(actions(&again), expected);
    let says = "selvedge.service: it was edited by hand and differs in 2 lines";
    assert!(again.stdout.contains(says), "{}", again.stdout);
    assert_eq!(
        (root.read(HOST), root.read(UNIT)),
        (mine.to_owned(), edited)
    );

    // The unit of another version is not an edited one.
    fs_err::remove_file(root.path(UNIT)).unwrap();
    root.install(&[]).await;
    let json = root.install(&["--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["files"][1]["action"], "unchanged");
    assert_eq!(report["files"][4]["action"], "kept");
    assert_eq!(report["commands_run"], false);
}

#[tokio::test]
async fn the_installed_configuration_is_valid_and_the_installed_program_runs() {
    let root = Root::new();
    root.install(&["--prefix", "/usr/local"]).await;
    let program = root.path("usr/local/bin/selvedge");
    let mut check = Command::new(&program);
    let checked = run(check.args(["check", text(&root.path(HOST))])).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert_eq!(checked.stderr, "");
    // What is commented out is valid as well.
    let commented = root.read(HOST);
    let whole: String = commented
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(whole.contains("\n[trust]\n") && whole.contains("\n[hosts]\n"));
    fs_err::write(root.path(HOST), whole).unwrap();
    let mut check = Command::new(&program);
    let checked = run(check.args(["check", text(&root.path(HOST))])).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
}

#[tokio::test]
async fn print_shows_the_files_and_writes_none() {
    let root = Root::new();
    let printed = root.install(&["--print"]).await;
    let left = fs_err::read_dir(root.0.path()).unwrap().count();
    assert_eq!(left, 0, "something was written");
    let json = root.install(&["--print", "--json"]).await;
    let files: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(files.len(), 4);
    root.install(&[]).await;
    for file in files {
        let (path, text) = (
            file["path"].as_str().unwrap(),
            file["text"].as_str().unwrap(),
        );
        assert_eq!(fs_err::read_to_string(path).unwrap(), text);
        assert!(printed.stdout.contains(text.trim_end()), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_installed_is_refused_with_a_way_out() {
    let root = Root::new();
    let path = text(root.0.path());
    for options in [
        &["--root", path, "--prefix", "/opt"][..],
        &["--root", path, "--print", "--enable"],
        &["--root", path, "--uninstall", "--enable"],
    ] {
        let ended = run(selvedge(&["install"]).args(options)).await;
        assert_eq!(ended.code, Some(64), "{options:?}: {}", ended.stderr);
    }
    // Nobody else is root in a namespace of their own, nor is root there.
    let binary = env!("CARGO_BIN_EXE_selvedge");
    let mut nobody = Command::new("unshare");
    nobody.args(["--user", "--", binary, "install", "--json"]);
    let made = Command::new("unshare").args(["--user", "true"]).status();
    if made.await.is_ok_and(|status| status.success()) {
        let ended = run(&mut nobody).await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let expected = "error: only root may change the system\n  help: run it with `sudo`";
        assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    } else {
        println!("skipped: this user may not make namespaces (`unshare --user`)");
    }
}

#[tokio::test]
async fn systemd_finds_no_fault_with_the_unit() {
    let Some(version) = systemd("systemd-analyze").await else {
        return;
    };
    let root = Root::new();
    root.install(&[]).await;
    root.with_units_of_this_machine();
    if version < NOTIFY_RELOAD {
        // It says that it ignores this line, and goes by the one before it.
        let unit = root.read(UNIT).replace("Type=notify-reload\n", "");
        fs_err::write(root.path(UNIT), unit).unwrap();
    }
    let root_option = format!("--root={}", text(root.0.path()));
    let mut verify = Command::new("systemd-analyze");
    verify.args([&root_option, "--man=no", "verify", "selvedge.service"]);
    verify.arg("--recursive-errors=no");
    let ended = run(&mut verify).await;
    let said = (ended.code, ended.stderr.as_str());
    assert_eq!(said, (Some(0), ""), "{}", ended.stdout);

    // A fault would be found.
    let unit = root.read(UNIT);
    fs_err::write(
        root.path(UNIT),
        unit.replace("WatchdogSec=", "WatchdogSecs="),
    )
    .unwrap();
    let faulty = run(&mut verify).await;
    assert!(faulty.stderr.contains("WatchdogSecs"), "{}", faulty.stderr);
}

#[tokio::test]
async fn the_unit_exposes_no_more_than_was_decided() {
    if systemd("systemd-analyze").await.is_none() {
        return;
    }
    let root = Root::new();
    root.install(&[]).await;
    let mut security = Command::new("systemd-analyze");
    security
        .args([
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold",
            EXPOSURE_MAX,
        ])
        .arg(root.path(UNIT));
    let ended = run(&mut security).await;
    let level = ended
        .stdout
        .lines()
        .find(|line| line.contains("exposure level"));
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    println!("{}", level.expect("a level"));
}

#[tokio::test]
async fn the_user_and_the_directories_are_as_the_unit_expects_them() {
    for tool in ["systemd-sysusers", "systemd-tmpfiles", "systemctl"] {
        if systemd(tool).await.is_none() {
            return;
        }
    }
    let is_root = run(Command::new("id").arg("-u")).await.stdout == "0\n";
    if !is_root {
        println!("skipped: only root makes users, even below another root");
        return;
    }
    let root = Root::new();
    let enabled = root.install(&["--enable"]).await;
    assert!(
        enabled.stdout.contains("\nran        systemctl "),
        "{}",
        enabled.stdout
    );
    let passwd = root.read("etc/passwd");
    let user = passwd.lines().find(|line| line.starts_with("selvedge:"));
    let user = user.expect("a user");
    assert!(user.contains(":/var/lib/selvedge:"), "{user}");
    let data = fs_err::metadata(root.path("var/lib/selvedge")).unwrap();
    assert_eq!(data.permissions().mode() & 0o7777, 0o700);
    let wanted = "etc/systemd/system/multi-user.target.wants/selvedge.service";
    assert!(root.path(wanted).is_symlink());
    root.install(&["--enable"]).await;

    let removed = root.install(&["--uninstall"]).await;
    let expected = ["removed", "removed", "removed", "kept", "removed"];
    assert_eq!(actions(&removed), expected);
    assert!(!root.path(wanted).is_symlink());
    assert!(!root.path("usr/bin/selvedge").exists());
    assert!(root.path(HOST).exists() && root.path("var/lib/selvedge").exists());
    let again = root.install(&["--uninstall"]).await;
    assert_eq!(
        actions(&again),
        ["absent", "absent", "absent", "kept", "absent"]
    );
}
