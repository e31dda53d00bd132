//! A small disk of its own for a gateway's data, which can be filled and freed.
//!
//! It is in a namespace of mounts that a process holds for as long as the disk is
//! wanted, so that a gateway can be started on it again.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::process::DEADLINE;

/// Puts a disk with room for `$1` KiB in the place of `data`, with what is in it.
const HOLD: &str = r#"set -e
mkdir -p data room
mount -t tmpfs -o size=$1k,mode=0700 tmpfs room
cp -a data/. room/
mount --bind room data
touch mounted
exec sleep 3600"#;

/// A disk.
pub(crate) struct SmallDisk {
    holder: Child,
    data: PathBuf,
}

impl SmallDisk {
    /// A disk for `folder/data`; none if this user may not make namespaces.
    #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
    pub(crate) async fn mount(folder: &Path, kib: u32) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["-rm", "true"]).stderr(Stdio::null());
        if !command.status().await.is_ok_and(|status| status.success()) {
            println!("skipped: this user may not make namespaces (`unshare -rm`)");
            return None;
        }
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", HOLD, "hold", &kib.to_string()])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let mut holder = command.spawn().unwrap();
        let begun = Instant::now();
        while !folder.join("mounted").exists() {
            let ended = holder.try_wait().unwrap();
            assert!(ended.is_none(), "nothing is mounted: {ended:?}");
            assert!(begun.elapsed() < DEADLINE, "nothing is mounted");
            sleep(Duration::from_millis(10)).await;
        }
        let id = holder.id().unwrap();
        let folder = folder.strip_prefix("/").unwrap();
        let root = PathBuf::from(format!("/proc/{id}/root"));
        let data = root.join(folder).join("data");
        Some(Self { holder, data })
    }

    /// The process that holds it.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id().expect("it has not been waited for")
    }

    fn ballast(&self) -> PathBuf {
        self.data.join("ballast")
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) {
        let mut ballast = fs_err::File::create(self.ballast()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if ballast.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        fs_err::remove_file(self.ballast()).unwrap();
    }
}
