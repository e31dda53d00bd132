//! A disk that is full at any write: a deployment fails, the host says so, and
//! nothing is half done.

use futures::future::join_all;
use tokio::process::Command;

use super::killed::{assert_survived, committed, copy};
use super::world::Device;
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
code=0; timeout -s TERM 8 "$0" run v2.toml --data-directory room || code=$?
rm -r data && cp -a room data && exit $code"#;

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
