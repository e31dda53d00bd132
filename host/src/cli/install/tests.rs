use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::layout::{Kind, Layout};
use super::put::{self, Put};
use super::systemd::to_enable;

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_file_of_ours_is_replaced_unless_someone_edited_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lib/a.conf");
    let (old, new) = (put::sealed("one\ntwo\n"), put::sealed("one\nthree\n"));
    assert_eq!(put::ours(&path, &old).unwrap(), Put::Written);
    assert_eq!(mode(&path), put::MODE);
    assert_eq!(put::ours(&path, &old).unwrap(), Put::Unchanged);
    assert_eq!(put::ours(&path, &new).unwrap(), Put::Replaced);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), new);

    let edited = new.replace("three", "four");
    fs_err::write(&path, &edited).unwrap();
    let kept = Put::Edited { lines: 2 };
    assert_eq!(put::ours(&path, &new).unwrap(), kept);
    assert_eq!(put::remove(&path).unwrap(), Put::Edited { lines: 0 });
    assert_eq!(fs_err::read_to_string(&path).unwrap(), edited);
    // What never was ours is not ours now.
    for foreign in ["", "[Unit]\n", "no line"] {
        fs_err::write(&path, foreign).unwrap();
        let put = put::ours(&path, &new).unwrap();
        assert!(matches!(put, Put::Edited { .. }), "{foreign}: {put:?}");
    }

    fs_err::write(&path, &old).unwrap();
    assert_eq!(put::remove(&path).unwrap(), Put::Removed);
    assert_eq!(put::remove(&path).unwrap(), Put::Absent);
    let left = fs_err::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 0, "something was left aside");
}

#[test]
fn the_operators_file_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etc/host.toml");
    assert_eq!(put::leave(&path), Put::Absent);
    assert_eq!(put::if_absent(&path, "a").unwrap(), Put::Written);
    assert_eq!(put::if_absent(&path, "a").unwrap(), Put::Unchanged);
    assert_eq!(put::if_absent(&path, "b").unwrap(), Put::Kept);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "a");
    assert_eq!(put::leave(&path), Put::Kept);
}

#[test]
fn this_program_is_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bin/selvedge");
    assert_eq!(put::binary(&path).unwrap(), Put::Written);
    assert_eq!(mode(&path), 0o755);
    assert_eq!(put::binary(&path).unwrap(), Put::Unchanged);
    let mut bytes = fs_err::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&path, &bytes).unwrap();
    assert_eq!(put::binary(&path).unwrap(), Put::Replaced);
    let this = std::env::current_exe().unwrap();
    assert!(fs_err::read(&path).unwrap() == fs_err::read(this).unwrap());
    fs_err::write(&path, "short").unwrap();
    assert_eq!(put::binary(&path).unwrap(), Put::Replaced);
    assert_eq!(put::remove_binary(&path).unwrap(), Put::Removed);
}

#[test]
fn files_go_below_root_and_prefix_and_the_unit_names_its_program() {
    let layout = |prefix: &str| Layout::new(Some(Path::new("/image")), Path::new(prefix));
    for prefix in ["/usr", "/usr/local"] {
        let layout = layout(prefix).unwrap();
        let files = layout.files();
        let ours = files.iter().filter(|file| file.kind == Kind::Ours);
        for file in ours {
            assert!(file.path.starts_with(format!("/image{prefix}/lib")));
            assert!(!file.text.contains("@PREFIX@"));
        }
        let start = format!("\nExecStart={prefix}/bin/selvedge run ");
        assert!(files[0].text.contains(&start), "{}", files[0].text);
    }
    for prefix in ["/opt/selvedge", "usr", "", "/usr/../etc"] {
        assert!(layout(prefix).is_err(), "{prefix}");
    }
}

#[test]
fn a_running_service_is_started_afresh_when_its_files_were_replaced() {
    let last = |root: Option<&str>, replaced| {
        let commands = to_enable(root.map(Path::new), replaced);
        commands.last().unwrap().to_string()
    };
    assert_eq!(last(None, false), "systemctl enable --now selvedge.service");
    assert_eq!(last(None, true), "systemctl restart selvedge.service");
    let offline = "systemctl --root=/image enable selvedge.service";
    assert_eq!(last(Some("/image"), true), offline);
}
