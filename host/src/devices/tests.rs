use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::time::timeout;

use super::table::Table;
use super::{ClassConfig, DeviceFile, Devices, Quota, Retiring, Revoked, Rules, Standing};
use crate::names::{PartyName, TopicFilter};
use crate::supervisor::Supervisor;
use crate::tls::tests::{alone_with_few_files, open_files};
use crate::tls::{Fingerprint, Identity};

const DEADLINE: Duration = Duration::from_secs(20);

/// A data directory in which devices are written as text.
struct Site(TempDir);

impl Site {
    fn new(devices: &[(&str, &str)]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs_err::create_dir(site.path().join("devices")).unwrap();
        devices
            .iter()
            .for_each(|(name, text)| site.write(name, text));
        site
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path().join(format!("devices/{name}.toml")), text).unwrap();
    }

    fn open(&self) -> Devices {
        let oven = ClassConfig {
            publish: vec!["telemetry/ovens/{device}/#".into()],
            subscribe: vec!["command/ovens/{device}".into(), "clock".into()],
            quota: Some(Quota {
                connections_max: 2.try_into().unwrap(),
                ..Quota::default()
            }),
        };
        let rules = Rules {
            classes: [("oven".to_owned(), oven)].into(),
            quota: Quota::default(),
        };
        Devices::open(self.path(), rules).unwrap()
    }
}

fn name(text: &str) -> PartyName {
    text.parse().unwrap()
}

fn texts(filters: &[TopicFilter]) -> Vec<&str> {
    filters.iter().map(TopicFilter::as_str).collect()
}

fn identity() -> Identity {
    Identity {
        common_name: None,
        uris: Vec::new(),
        dns_names: Vec::new(),
        mail_addresses: Vec::new(),
        fingerprint: Fingerprint([7; 32]),
        serial: "01".into(),
        not_after: 0,
    }
}

fn called(name: &str) -> Identity {
    Identity {
        common_name: Some(name.to_owned()),
        ..identity()
    }
}

#[test]
fn a_device_may_what_its_file_says_else_its_class_else_everybody() {
    let site = Site::new(&[
        ("plain", ""),
        ("oven-1", "class = 'oven'"),
        (
            "oven-2",
            "class = 'oven'\npublish = ['a/{device}']\nquota = { sessions_max = 1 }",
        ),
        ("mute", "publish = []\nsubscribe = []"),
    ]);
    let devices = site.open();
    assert_eq!(devices.faults(), []);
    let find = |text| devices.find(&name(text)).unwrap();
    let plain = find("plain");
    assert_eq!(
        texts(&plain.publish),
        ["telemetry/+/plain/#", "state/plain/#"]
    );
    assert_eq!(texts(&plain.subscribe), ["command/+/plain/#"]);
    assert_eq!(plain.quota, Quota::default());
    let first = find("oven-1");
    assert_eq!(texts(&first.publish), ["telemetry/ovens/oven-1/#"]);
    assert_eq!(texts(&first.subscribe), ["command/ovens/oven-1", "clock"]);
    assert_eq!(first.class.as_deref(), Some("oven"));
    let second = find("oven-2");
    assert_eq!(texts(&second.publish), ["a/oven-2"]);
    assert_eq!(texts(&second.subscribe), ["command/ovens/oven-2", "clock"]);
    assert_eq!(second.quota.sessions_max.get(), 1);
    assert_eq!(second.quota.connections_max.get(), 2, "from the class");
    let mute = find("mute");
    assert!(mute.publish.is_empty() && mute.subscribe.is_empty());
}

#[test]
fn a_certificate_lets_in_the_device_that_it_names() {
    let site = Site::new(&[("oven", ""), ("press", "")]);
    let devices = site.open();
    let admitted = |identity: &Identity| match devices.admit(identity) {
        Ok(device) => device.name.to_string(),
        Err(refused) => refused.code().to_owned(),
    };
    assert_eq!(admitted(&called("oven")), "oven");
    assert_eq!(admitted(&called("nobody")), "unknown-device");
    assert_eq!(admitted(&called("Oven")), "certificate-names-nobody");
    assert_eq!(admitted(&called("../oven")), "certificate-names-nobody");
    assert_eq!(admitted(&identity()), "certificate-names-nobody");
    let uri = Identity {
        uris: vec!["spiffe://x/press".into(), "urn:selvedge:device:oven".into()],
        dns_names: vec!["press.device.selvedge".into()],
        ..called("press")
    };
    assert_eq!(admitted(&uri), "oven", "the URI decides");
    let dns = Identity {
        dns_names: vec!["oven.device.selvedge".into()],
        ..called("press")
    };
    assert_eq!(admitted(&dns), "oven", "then the DNS name");
    let foreign = Identity {
        uris: vec!["urn:selvedge:device:nobody".into()],
        ..called("press")
    };
    assert_eq!(admitted(&foreign), "unknown-device", "no second try");
}

#[test]
fn whoever_lists_certificates_is_let_in_by_those_alone() {
    let listed = "07".repeat(32);
    let site = Site::new(&[
        ("oven", &format!("fingerprints = ['{listed}']")),
        (
            "press",
            &format!("fingerprints = ['{}']", "AA:".repeat(31) + "AA"),
        ),
    ]);
    let devices = site.open();
    let anything = devices.admit(&called("somebody")).unwrap();
    assert_eq!(anything.name, name("oven"), "whatever it says");
    let other = Identity {
        fingerprint: Fingerprint([8; 32]),
        ..called("oven")
    };
    let refused = devices.admit(&other).unwrap_err();
    assert_eq!(refused.code(), "certificate-not-registered");
    let colons = Identity {
        fingerprint: Fingerprint([0xaa; 32]),
        ..identity()
    };
    assert_eq!(devices.admit(&colons).unwrap().name, name("press"));
    site.write("press", &format!("fingerprints = ['{listed}']"));
    devices.reload().unwrap();
    let refused = devices.admit(&identity()).unwrap_err();
    assert_eq!(refused.code(), "certificate-of-several");
}

#[test]
fn who_is_revoked_or_disabled_is_refused() {
    let site = Site::new(&[
        (
            "oven",
            "[revoked]\nat = '2026-11-22T10:00:00Z'\nreason = 'stolen'",
        ),
        ("press", "disabled = true"),
    ]);
    let devices = site.open();
    let refused = |text| devices.admit(&called(text)).unwrap_err().code();
    assert_eq!(refused("oven"), "device-revoked");
    assert_eq!(refused("press"), "device-disabled");
    assert!(devices.find(&name("oven")).is_err());
    let list = devices.list();
    assert_eq!(list[0].standing, Standing::Revoked);
    let reason = list[0].revoked.as_ref().unwrap().reason.as_deref();
    assert_eq!(reason, Some("stolen"));
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_device_as_it_was_and_is_named() {
    let site = Site::new(&[("oven", "note = 'the first'")]);
    let devices = site.open();
    let changes = devices.changes();
    for (text, code) in [
        ("publsh = []", "device-file-malformed"),
        ("class = 'nothing'", "device-class-unknown"),
        ("publish = ['a/#/b']", "device-filter-invalid"),
        ("fingerprints = ['00']", "device-file-malformed"),
        ("quota = { sesions_max = 1 }", "device-file-malformed"),
        ("quota = { sessions_max = 0 }", "device-file-malformed"),
        (&"#".repeat(70_000), "device-file-unreadable"),
    ] {
        site.write("oven", text);
        devices.reload().unwrap();
        let faults = devices.faults();
        assert_eq!(faults.len(), 1, "{text:.40}");
        assert_eq!(faults[0].code, code, "{text:.40}: {}", faults[0].reason);
        assert!(faults[0].path.ends_with("oven.toml"));
        assert!(devices.admit(&called("oven")).is_ok(), "{text:.40}");
    }
    assert!(!changes.has_changed().unwrap(), "nothing changed");
    site.write("oven", "disabled = true");
    site.write("Bad Name", "");
    fs_err::create_dir(site.path().join("devices/folder.toml")).unwrap();
    devices.reload().unwrap();
    assert!(devices.admit(&called("oven")).is_err());
    assert!(changes.has_changed().unwrap());
    let codes: Vec<_> = devices.faults().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["device-name-invalid", "device-file-unreadable"]);
}

#[test]
fn a_revocation_that_could_not_be_read_for_want_of_files_counts_when_there_are_some() {
    let own = "a_revocation_that_could_not_be_read_for_want_of_files_counts_when_there_are_some";
    if !alone_with_few_files(&format!("devices::tests::{own}")) {
        return;
    }
    let site = Site::new(&[("oven", ""), ("press", "")]);
    let devices = site.open();
    site.write("oven", "disabled = true");
    // Enough for looking into the folder, not for a file in it.
    let files = open_files(1);
    devices.reload().unwrap();
    devices.find(&name("oven")).unwrap();
    assert_eq!(devices.faults()[0].code, "device-file-unreadable");
    drop(files);
    devices.reload().unwrap();
    assert_eq!(
        devices.find(&name("oven")).unwrap_err().code(),
        "device-disabled"
    );
    assert!(devices.faults().is_empty());
}

#[test]
fn a_folder_in_place_of_a_file_leaves_the_device_as_it_was() {
    let site = Site::new(&[("oven", "")]);
    let devices = site.open();
    let path = site.path().join("devices/oven.toml");
    let aside = site.path().join("aside");
    fs_err::rename(&path, &aside).unwrap();
    fs_err::create_dir(&path).unwrap();
    devices.reload().unwrap();
    devices.find(&name("oven")).unwrap();
    assert_eq!(devices.faults().len(), 1);
    fs_err::remove_dir(&path).unwrap();
    fs_err::rename(&aside, &path).unwrap();
    devices.reload().unwrap();
    assert!(devices.faults().is_empty());
    fs_err::remove_file(&path).unwrap();
    devices.reload().unwrap();
    assert_eq!(
        devices.find(&name("oven")).unwrap_err().code(),
        "unknown-device"
    );
}

#[test]
fn a_replaced_certificate_is_good_until_its_time_ends() {
    let site = Site::new(&[]);
    let now = Timestamp::now();
    let file = DeviceFile {
        fingerprints: vec![Fingerprint([1; 32])],
        retiring: vec![
            Retiring {
                fingerprint: Fingerprint([7; 32]),
                until: now + SignedDuration::from_hours(1),
            },
            Retiring {
                fingerprint: Fingerprint([9; 32]),
                until: now - SignedDuration::from_hours(1),
            },
        ],
        revoked: None::<Revoked>,
        ..DeviceFile::default()
    };
    file.create(site.path(), &name("oven")).unwrap();
    assert!(file.create(site.path(), &name("oven")).is_err(), "twice");
    let read = DeviceFile::load(site.path(), &name("oven")).unwrap();
    assert_eq!(read.as_ref(), Some(&file));
    let devices = site.open();
    let with = |byte| Identity {
        fingerprint: Fingerprint([byte; 32]),
        ..called("oven")
    };
    assert!(devices.admit(&with(1)).is_ok());
    assert!(devices.admit(&with(7)).is_ok());
    let refused = devices.admit(&with(9)).unwrap_err();
    assert_eq!(refused.code(), "certificate-not-registered");
}

#[test]
fn a_replaced_certificates_time_ends_also_while_the_file_has_a_fault() {
    let site = Site::new(&[]);
    let now = Timestamp::now();
    let file = DeviceFile {
        fingerprints: vec![Fingerprint([1; 32])],
        retiring: vec![Retiring {
            fingerprint: Fingerprint([7; 32]),
            until: now + SignedDuration::from_hours(1),
        }],
        ..DeviceFile::default()
    };
    file.create(site.path(), &name("oven")).unwrap();
    let folder = site.path().join("devices");
    let rules = Rules::default();
    let read = |before: &Table, hours| {
        let now = now + SignedDuration::from_hours(hours);
        Table::read(&folder, &rules, before, now).unwrap()
    };
    let admits = |table: &Table, byte| {
        let fingerprint = Fingerprint([byte; 32]);
        let shown = Identity {
            fingerprint,
            ..called("oven")
        };
        table.admit(&shown).is_ok()
    };
    let whole = read(&Table::default(), 0);
    site.write("oven", "a typo");
    let early = read(&whole, 0);
    assert!(admits(&early, 1) && admits(&early, 7));
    // Read for the first time then, and looked at again.
    for before in [&whole, &early] {
        let late = read(before, 2);
        assert!(admits(&late, 1) && !admits(&late, 7));
    }
    // It cannot be looked at.
    fs_err::remove_file(folder.join("oven.toml")).unwrap();
    fs_err::create_dir(folder.join("oven.toml")).unwrap();
    let late = read(&whole, 2);
    assert!(admits(&late, 1) && !admits(&late, 7));
}

#[tokio::test]
async fn files_are_followed_while_the_host_runs() {
    let site = Site::new(&[("oven", "")]);
    let devices = site.open();
    let supervisor = Supervisor::new(DEADLINE, std::sync::Arc::new(|_: &str, _: &_| {}));
    supervisor.start(devices.unit());
    let mut changes = devices.changes();
    let mut until = async |what: &str, wanted: &dyn Fn() -> bool| {
        let waited = timeout(DEADLINE, async {
            while !wanted() {
                changes.changed().await.unwrap();
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited for {what}"));
    };
    let admits = |text| devices.admit(&called(text)).is_ok();
    site.write("press", "");
    until("a new device", &|| admits("press")).await;
    site.write("oven", "disabled = true");
    until("a device to be shut out", &|| !admits("oven")).await;
    DeviceFile::remove(site.path(), &name("press")).unwrap();
    until("a device to be gone", &|| !admits("press")).await;
    let soon = DeviceFile {
        retiring: vec![Retiring {
            fingerprint: Fingerprint([7; 32]),
            until: Timestamp::now() + SignedDuration::from_secs(8),
        }],
        ..DeviceFile::default()
    };
    soon.create(site.path(), &name("pump")).unwrap();
    until("a certificate", &|| admits("pump")).await;
    until("its end", &|| !admits("pump")).await;
    supervisor.shut_down().await;
}
