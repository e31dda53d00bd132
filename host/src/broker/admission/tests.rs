use super::{assigned_client_id, client_id_fits, narrowed, own_username};
use crate::names::TopicFilter;

#[test]
fn a_client_id_is_the_devices_name_or_begins_with_it() {
    let device = "pump-7".parse().unwrap();
    for good in [
        "pump-7", "pump-7/a", "pump-7-b", "pump-7:c", "pump-7.d", "pump-7/",
    ] {
        assert!(client_id_fits(&device, good), "{good}");
    }
    let long = format!("pump-7/{}", "x".repeat(256));
    for bad in [
        "",
        "pump",
        "pump-70",
        "pump-7x",
        "Pump-7",
        " pump-7",
        "pump-7\u{e9}",
        "pump-7/\n",
        &long,
        "other/pump-7",
    ] {
        assert!(!client_id_fits(&device, bad), "{bad}");
    }
    let assigned = assigned_client_id(&device);
    assert!(client_id_fits(&device, &assigned), "{assigned}");
    assert_ne!(assigned, assigned_client_id(&device));
}

#[test]
fn what_aws_sdks_say_of_themselves_is_no_user() {
    for (given, own) in [
        ("anna", Some("anna")),
        ("anna?SDK=PythonV2&Version=1.2", Some("anna")),
        ("?SDK=PythonV2&Version=1.2", None),
        ("", None),
        ("what?", Some("what?")),
    ] {
        assert_eq!(own_username(given).as_deref(), own, "{given}");
    }
}

#[test]
fn an_authorizer_narrows_and_never_widens() {
    let filters = |texts: &[&str]| -> Vec<TopicFilter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let registered = filters(&["telemetry/#", "state/pump"]);
    let check = |permission: &[&str], expected: &[&str]| {
        let permission = filters(permission);
        let narrowed = narrowed(&registered, Some(&permission));
        assert_eq!(narrowed, filters(expected), "{permission:?}");
    };
    check(&["telemetry/a", "command/#"], &["telemetry/a"]);
    check(&["#"], &["state/pump", "telemetry/#"]);
    check(&["state/+"], &["state/pump"]);
    check(&[], &[]);
    assert_eq!(narrowed(&registered, None), registered);
}
