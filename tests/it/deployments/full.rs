//! A disk that is full at any write: a deployment fails, the host says so, and
//! nothing is half done.

use futures::future::join_all;
use tokio::process::Command;

use super::killed::{assert_survived, committed, copy};
use super::world::{Device, Line};
use crate::process::{Process, text};

/// Room on the disk beyond what the device has: from hardly any to enough.
const STEP_KIB: u64 = 4;
const STEPS: u64 = 14;

/// Deploys the second version with `$1` KiB of room on the disk, and brings what
/// is on it back to a larger one.
const SCRIPT: &str = r#"set -e
mkdir room && mount -t tmpfs -o size=64m,mode=700 none room && cp -a --sparse=always data/. room/
used=$(df -k --output=used room | tail -n 1)
mount -o remount,size=$((used + $1))k room
code=0; timeout -s TERM 30 "$0" run v2.toml --data-directory room || code=$?
rm -r data && cp -a room data && exit $code"#;

/// Deploys over the API to a host whose disk has 64 KiB of room, fewer than the
/// components need, and once more when there is enough.
const UPLOAD: &str = r#"set -e
mkdir room && mount -t tmpfs -o size=64m,mode=700 none room
"$0" dev first.toml --data-directory room 2>host.log & host=$!
on() { command=$1; shift; "$0" "$command" "$@" --host room/selvedge.sock; }
until on history 1 --follow && on health; do kill -0 $host; sleep 0.1; done
used=$(df -k --output=used room | tail -n 1)
mount -o remount,size=$((used + 64))k room
code=0; on deploy second.toml || code=$?
echo "full $code"; on ps
mount -o remount,size=64m room
code=0; on deploy second.toml || code=$?
echo "roomy $code"; on ps
kill -s INT $host; wait $host"#;

#[tokio::test]
async fn an_upload_to_a_full_disk_fails_and_what_runs_goes_on() {
    let device = Device::with(&["echo", "handles", "update_counts"]);
    let write = |name: &str, line: Line| {
        fs_err::write(device.folder().join(name), line.text()).unwrap();
    };
    let first = || Line::new(1).plugin("a", "echo", "");
    write("first.toml", first());
    let second = first().plugin("b", "handles", "is-slow");
    write("second.toml", second.counts("c", "update_counts", ""));
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "--"])
        .args(["sh", "-c", UPLOAD, env!("CARGO_BIN_EXE_selvedge")])
        .current_dir(device.folder());
    let ended = Process::start(&mut command).end().await;
    let log = fs_err::read_to_string(device.folder().join("host.log")).unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}\n{log}");
    assert!(!log.contains("panicked"), "{log}");
    let (full, roomy) = ended.stdout.split_once("roomy ").unwrap();
    let full = full.split_once("full ").unwrap().1;
    assert!(full.starts_with('1'), "{ended:?}");
    assert!(full.contains("a       running"), "{ended:?}");
    assert!(ended.stderr.contains("[disk-full]"), "{ended:?}");
    assert!(roomy.starts_with('0'), "{ended:?}\n{log}");
    assert_eq!(roomy.matches("running").count(), 3, "{ended:?}");
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_or_the_new() {
    let template = committed().await;
    let deploy = async |step: u64| {
        let device = Device::new();
        copy(template.folder(), device.folder());
        let room = (step * STEP_KIB).to_string();
        let binary = env!("CARGO_BIN_EXE_selvedge");
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "--"])
            .args(["sh", "-c", SCRIPT, text(binary.as_ref()), &room])
            .current_dir(device.folder());
        let ended = Process::start(&mut command).end().await;
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        // It was told to stop, or did not begin.
        assert!(matches!(ended.code, Some(0 | 1 | 124)), "{ended:?}");
        (device, ended.stderr)
    };
    let deployed = join_all((0..STEPS).map(deploy)).await;
    let mut full = 0;
    for (step, (device, log)) in (0..).zip(&deployed) {
        full += usize::from(log.contains("No space left") || log.contains("StorageFull"));
        assert_survived(device, &format!("{step} steps of room: {log}")).await;
    }
    assert!(full > 0, "the disk was never full");
    let (_, last) = deployed.last().unwrap();
    assert!(last.contains("deployment committed"), "{last}");
}
