use super::{AccountFiles, ApiConfig, Caller, Role, Users, certified};
use crate::api::config::HttpsConfig;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\n\
    anna:x:1000:1000::/home/anna:/bin/sh\n\
    ben:x:1001:1001::/home/ben:/bin/sh\n\
    broken line\n\
    :x:1002:1::/:\n\
    carl:x:not a number:1::/:\n";
const GROUP: &str = "root:x:0:\nanna:x:1000:\nline:x:50:anna,dora\nwatch:x:51:ben\nbad:x::anna\n";

fn caller(config: &ApiConfig, uid: u32, gid: u32) -> Caller {
    let folder = tempfile::tempdir().unwrap();
    let files = AccountFiles {
        passwd: folder.path().join("passwd"),
        group: folder.path().join("group"),
    };
    fs_err::write(&files.passwd, PASSWD).unwrap();
    fs_err::write(&files.group, GROUP).unwrap();
    let users = Users {
        own_uid: 900,
        config: config.clone(),
        files,
    };
    users.caller(uid, gid)
}

#[test]
fn root_and_the_hosts_own_user_are_operators_and_nobody_else_is_anything() {
    let config = ApiConfig::default();
    assert_eq!(caller(&config, 0, 0).role, Role::Operator);
    assert_eq!(caller(&config, 900, 900).role, Role::Operator);
    for uid in [1, 899, 901, 1000, 1002, u32::MAX] {
        assert_eq!(caller(&config, uid, uid).role, Role::Anyone, "{uid}");
    }
}

#[test]
fn users_and_groups_that_are_named_get_their_role() {
    let by_name = ApiConfig {
        operators: vec!["anna".into()],
        viewers: vec!["ben".into(), "anna".into()],
        ..ApiConfig::default()
    };
    assert_eq!(
        caller(&by_name, 1000, 1000),
        Caller {
            who: "uid 1000 (anna)".into(),
            role: Role::Operator
        }
    );
    assert_eq!(caller(&by_name, 1001, 1001).role, Role::Viewer);
    assert_eq!(caller(&by_name, 1002, 1000).who, "uid 1002");
    let by_group = ApiConfig {
        operator_groups: vec!["line".into()],
        viewer_groups: vec!["watch".into()],
        ..ApiConfig::default()
    };
    // A supplementary group, a primary group, and neither.
    assert_eq!(caller(&by_group, 1000, 1000).role, Role::Operator);
    assert_eq!(caller(&by_group, 1005, 51).role, Role::Viewer);
    assert_eq!(caller(&by_group, 1001, 1001).role, Role::Viewer);
    assert_eq!(caller(&by_group, 1005, 1005).role, Role::Anyone);
}

#[test]
fn accounts_that_cannot_be_read_give_nobody_a_right() {
    let users = Users {
        own_uid: 900,
        config: ApiConfig {
            operators: vec!["anna".into(), String::new()],
            ..ApiConfig::default()
        },
        files: AccountFiles {
            passwd: "/nonexistent/passwd".into(),
            group: "/nonexistent/group".into(),
        },
    };
    assert_eq!(users.caller(1000, 1000).role, Role::Anyone);
    assert_eq!(users.caller(0, 0).role, Role::Operator);
}

#[test]
fn certificates_count_by_their_exact_identity() {
    let config = HttpsConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: "c".into(),
        key: "k".into(),
        client_ca: "a".into(),
        crl: None,
        viewers: vec!["console.example".into()],
        operators: vec!["urn:line:anna".into()],
    };
    let role = |identity: &str| certified(&config, identity.to_owned()).role;
    assert_eq!(role("urn:line:anna"), Role::Operator);
    assert_eq!(role("console.example"), Role::Viewer);
    for other in ["urn:line:ann", "URN:line:anna", "x.console.example", ""] {
        assert_eq!(role(other), Role::Anyone, "{other}");
    }
}
