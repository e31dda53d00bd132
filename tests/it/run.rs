//! `selvedge run` and `selvedge check`, as an operator meets them: exit codes,
//! messages, stopping, and the data directory.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::guests::guest;
use crate::process::{Process, run, selvedge, text};

/// Two plugins, started in this order.
const DEPLOYMENT: &str = r##"name = "pair"
version = "1.0.0"

[plugins.first]
component = "echo.wasm"
grants = { publish = ["echo/#"], subscribe = ["in/#"] }

[plugins.second]
component = "echo.wasm"
grants = { publish = ["echo/#"], subscribe = ["in/#"] }
"##;

/// A folder with a deployment, its component, and room for a data directory.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(deployment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("echo.wasm"), guest("echo")).unwrap();
        fs_err::write(folder.path().join("pair.toml"), deployment).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `selvedge dev`, in the folder: nobody has signed its component.
    fn run(&self) -> Command {
        let mut command = selvedge(&["dev", "pair.toml", "--data-directory", "data"]);
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it and waits until it is at work.
    async fn start(&self) -> Process {
        let mut host = Process::start(&mut self.run());
        host.line("deployment started").await;
        host
    }

    /// The files of native code.
    fn native_code(&self) -> Vec<PathBuf> {
        let files = fs_err::read_dir(self.path("data/compiled")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

/// What stands in `log` in this order.
fn assert_in_order(log: &str, parts: &[&str]) {
    let mut rest = log;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("no `{part}` in its place in:\n{log}");
        };
        rest = after;
    }
}

#[tokio::test]
async fn a_deployment_runs_until_it_is_interrupted_and_stops_in_reverse_order() {
    for signal in ["INT", "TERM"] {
        let site = Site::new(DEPLOYMENT);
        let mut host = site.start().await;
        host.signal(signal).await;
        let ended = host.end().await;
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
        let order = [
            "shutting down",
            "unit stopped",
            "second",
            "unit stopped",
            "first",
        ];
        assert_in_order(&ended.stderr, &order);
        assert!(!ended.stderr.contains("unit aborted"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_faulty_deployment_is_refused_with_its_place_before_anything_runs() {
    let good = DEPLOYMENT;
    for (deployment, expected) in [
        (
            good.replace("grants = {", "grant = {"),
            "pair.toml:6:1: error: unknown field `grant`\n  help: did you mean `grants`?\n",
        ),
        (
            good.replacen("subscribe", "subscribes", 1),
            "pair.toml:6:34: error: unknown field `subscribes`\n  help: did you mean `subscribe`?\n",
        ),
        (
            good.replacen("echo.wasm", "none.wasm", 1),
            "pair.toml:5:13: error: cannot find component `none.wasm`",
        ),
        (
            good.replacen("echo.wasm", "shipped:nothing", 1),
            "pair.toml:5:13: error: no plugin `nothing` is shipped",
        ),
        (good.replace("1.0.0", "one"), "pair.toml:2:11: error: "),
        (
            good.replace("[plugins.second]", "[plugins.second"),
            "pair.toml:8:16: error: ",
        ),
    ] {
        let site = Site::new(&deployment);
        let ended = run(&mut site.run()).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{expected}: {ended:?}");
        assert!(!site.path("data").exists(), "{expected}");
    }
    let site = Site::new(good);
    fs_err::remove_file(site.path("pair.toml")).unwrap();
    let ended = run(&mut site.run()).await;
    let expected = "pair.toml:1:1: error: cannot read the file: entity not found\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(78), expected));
}

#[tokio::test]
async fn a_component_that_imports_what_is_not_granted_is_refused_by_name_and_line() {
    let deployment = DEPLOYMENT.replacen("publish = [\"echo/#\"], ", "", 1);
    let ended = run(&mut Site::new(&deployment).run()).await;
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let expected = "pair.toml:6:1: error: plugin `first` imports \
        `selvedge:bus/publisher@0.1.0`, which needs `publish` in its grants";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    // And of the good one beside it nothing ran.
    assert!(
        !ended.stderr.contains("deployment started"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    for bytes in [
        &b""[..],
        b"\0asm",
        b"\x7fELF\x02\x01\x01",
        b"not wasm at all",
    ] {
        let site = Site::new(DEPLOYMENT);
        fs_err::write(site.path("echo.wasm"), bytes).unwrap();
        let ended = run(&mut site.run()).await;
        assert_eq!(ended.code, Some(78), "{bytes:?}: {}", ended.stderr);
        assert_in_order(&ended.stderr, &["pair.toml:5:", "error: "]);
    }
}

#[tokio::test]
async fn what_nobody_has_signed_runs_only_in_development() {
    let site = Site::new(DEPLOYMENT);
    let mut command = selvedge(&["run", "pair.toml", "--data-directory", "data"]);
    let ended = run(command.current_dir(site.folder.path())).await;
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let chain = [
        "pair.toml:",
        "error: cannot load plugin",
        "it may not run here",
        "the component is a file, which nobody has signed",
        "help: run it with `selvedge dev`",
    ];
    assert_in_order(&ended.stderr, &chain);
    assert_eq!(site.native_code(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_a_usage_error() {
    for arguments in [
        &[][..],
        &["walk"],
        &["dev"],
        &["run", "a.toml", "b.toml"],
        &["run", "a.toml", "--fast"],
        &["keygen", "--no-password", "--password-file", "a"],
        &["sign", "thermostat"],
        &["policy", "add"],
        &["check"],
        &["demo", "--for", "soon"],
    ] {
        let ended = run(&mut selvedge(arguments)).await;
        assert_eq!(ended.code, Some(64), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        let says = |what| ended.stderr.contains(what);
        assert!(
            says("Usage: ") || says("error: "),
            "{arguments:?}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn help_and_version_are_no_errors() {
    let help = run(&mut selvedge(&["--help"])).await;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    let shown = [
        "run",
        "check",
        "demo",
        "Exit codes: 0 fine, 1 failure, 64 usage, 78",
    ];
    assert_in_order(&help.stdout, &shown);
    let version = run(&mut selvedge(&["--version"])).await;
    let expected = concat!("selvedge ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((version.code, version.stdout.as_str()), (Some(0), expected));
}

#[tokio::test]
async fn check_says_of_files_what_they_hold_or_what_is_wrong() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/check");
    let check = async |case: &str, files: &[&str]| {
        let mut command = selvedge(&["check"]);
        run(command.args(files).current_dir(cases.join(case))).await
    };
    let good = check("good", &["press.toml", "host.toml"]).await;
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    let expected = "press.toml: ok (3 plugins, 1 model)\nhost.toml: ok (host configuration)\n";
    assert_eq!(good.stdout, expected);
    let bad = check("unknown-field", &["press.toml"]).await;
    let expected = fs_err::read_to_string(cases.join("unknown-field/expect.txt")).unwrap();
    assert_eq!((bad.code, bad.stdout), (Some(78), expected));
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_a_failure_that_says_why() {
    let site = Site::new(DEPLOYMENT);
    // A file is where the directory should be: not even root can use that.
    fs_err::write(site.path("data"), "").unwrap();
    let ended = run(&mut site.run()).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let chain = ["cannot start", "cannot open the data directory", "data"];
    assert_in_order(&ended.stderr, &chain);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn a_data_directory_serves_one_host_at_a_time() {
    let site = Site::new(DEPLOYMENT);
    let mut first = site.start().await;
    let second = run(&mut site.run()).await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let chain = [
        "cannot start",
        "cannot open the data directory",
        "in use by another",
    ];
    assert_in_order(&second.stderr, &chain);
    // The first is none the worse for it, and leaves the directory free.
    first.signal("TERM").await;
    assert_eq!(first.end().await.code, Some(0));
    let mut third = site.start().await;
    third.signal("TERM").await;
    assert_eq!(third.end().await.code, Some(0));
}

#[tokio::test]
async fn native_code_is_compiled_once_and_again_when_it_was_tampered_with() {
    let site = Site::new(DEPLOYMENT);
    let once = async || {
        let mut host = site.start().await;
        host.signal("TERM").await;
        let ended = host.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    once().await;
    let files = site.native_code();
    let [file] = files.as_slice() else {
        panic!("one component makes one file: {files:?}");
    };
    let read = || (fs_err::read(file).unwrap(), modified(file));
    let (code, written) = read();

    let log = once().await;
    assert!(read() == (code.clone(), written), "written again");
    assert!(!log.contains("compiling anew"), "{log}");

    let mut tampered = code.clone();
    *tampered.last_mut().unwrap() ^= 1;
    fs_err::write(file, &tampered).unwrap();
    let log = once().await;
    assert!(
        log.contains("cached native code is not ours: compiling anew"),
        "{log}"
    );
    assert!(read().0 != tampered, "still tampered with");
    let log = once().await;
    assert!(!log.contains("compiling anew"), "{log}");

    // A device's own key: code from elsewhere is worth nothing here.
    fs_err::remove_file(site.path("data/device.key")).unwrap();
    let log = once().await;
    assert!(log.contains("compiling anew"), "{log}");
    assert_eq!(text(file), text(&site.native_code()[0]));
}

fn modified(file: &Path) -> std::time::SystemTime {
    fs_err::metadata(file).unwrap().modified().unwrap()
}
