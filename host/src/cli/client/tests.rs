use super::{Address, Client, HostError, Tls};
use crate::api::wire::Problem;

fn client(address: &Address) -> Client {
    Client::new(address, &Tls::default()).unwrap()
}

#[test]
fn what_is_asked_for_cannot_leave_its_place_in_the_path() {
    let client = client(&Address::Socket("/run/x.sock".into()));
    for (path, query, url) in [
        (
            &["plugins", "../../metrics"] as &[&str],
            &[] as &[(&str, &str)],
            "http://localhost/v1/plugins/..%2F..%2Fmetrics",
        ),
        (
            &["tap"],
            &[("filter", "a/#"), ("filter", "b&kept=true")],
            "http://localhost/v1/tap?filter=a%2F%23&filter=b%26kept%3Dtrue",
        ),
        (
            &["files", "sha256:00"],
            &[],
            "http://localhost/v1/files/sha256:00",
        ),
    ] {
        assert_eq!(client.url(path, query).as_str(), url);
    }
    assert_eq!(client.probe("readyz").as_str(), "http://localhost/readyz");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_from_one_that_may_not_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let missing = client(&Address::Socket(folder.path().join("none.sock")));
    let error = missing
        .get(missing.url(&["status"], &[]))
        .await
        .unwrap_err();
    assert!(matches!(error, HostError::Nobody { .. }), "{error:?}");
    assert!(error.may_pass());
    // A socket that nobody listens on any more.
    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let stale = client(&Address::Socket(stale));
    let error = stale.get(stale.url(&["status"], &[])).await.unwrap_err();
    assert!(matches!(error, HostError::Nobody { .. }), "{error:?}");
}

#[test]
fn who_is_refused_learns_who_they_are_to_the_host() {
    let refused = |status, help: Option<&str>| HostError::Refused {
        problem: Box::new(Problem {
            code: "forbidden".to_owned(),
            title: "this needs the role\n`operator`".to_owned(),
            status,
            faults: Vec::new(),
            help: help.map(str::to_owned),
        }),
        who: "uid 1000".to_owned(),
    };
    let error = refused(403, Some("name this user under `api`"));
    assert_eq!(
        error.to_string(),
        "this needs the role\\u{a}`operator` [forbidden]"
    );
    let expected = "the host knows you by uid 1000: name this user under `api`";
    assert_eq!(error.help().as_deref(), Some(expected));
    let expected = "the host knows you by uid 1000";
    assert_eq!(refused(403, None).help().as_deref(), Some(expected));
    assert_eq!(refused(404, None).help(), None);
}
