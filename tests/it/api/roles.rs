//! Who may do what on the Unix socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reqwest::{Method, StatusCode};
use selvedge::api::config::ApiConfig;
use selvedge::app::{App, Mode};
use selvedge::config::HostConfig;
use serde_json::Value as Json;
use tokio::process::Command;

use super::world::{World, heard, over};

/// Nobody: root takes this user's place where it may.
const NOBODY: u32 = 65_534;

/// What a stranger is answered: status and body. None if this test may not become
/// one, or has no `curl`.
async fn as_stranger(world: &World, method: &str, path: &str) -> Option<(u16, Json)> {
    let open = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(world.folder(), open).unwrap();
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--max-time",
        "20",
        "--write-out",
        "\n%{http_code}",
    ]);
    curl.args(["--request", method, "--unix-socket"]);
    curl.arg(&world.served.socket)
        .arg(format!("http://host{path}"));
    curl.uid(NOBODY).gid(NOBODY).current_dir("/");
    let output = curl.output().await.ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n')?;
    Some((status.parse().unwrap(), serde_json::from_str(body).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_may_ask_whether_the_host_is_well_and_nothing_else() {
    let world = World::start().await;
    let mut audit = world.listen("$selvedge/audit");
    let Some((status, health)) = as_stranger(&world, "GET", "/healthz").await else {
        return;
    };
    assert_eq!((status, &health["ok"]), (200, &true.into()));
    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
        ("GET", "/v1/tap?filter=%23"),
        ("POST", "/v1/rollback"),
    ] {
        let (status, problem) = as_stranger(&world, method, path).await.unwrap();
        assert_eq!(
            (status, &problem["code"]),
            (403, &"forbidden".into()),
            "{path}"
        );
        assert!(
            problem["help"].as_str().unwrap().contains("api"),
            "{problem}"
        );
    }
    let refused = heard(&mut audit).await;
    let who = refused["who"].as_str().unwrap();
    assert!(who.starts_with("uid 65534"), "{refused}");
    assert_eq!(
        (&refused["path"], &refused["code"]),
        (&"/v1/rollback".into(), &"forbidden".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_named_may_look_and_not_touch() {
    let named = |config: &mut HostConfig| {
        config.api.viewers = vec!["nobody".to_owned()];
    };
    let world = World::start_with(named).await;
    let Some((status, body)) = as_stranger(&world, "GET", "/v1/status").await else {
        return;
    };
    assert_eq!((status, &body["ready"]), (200, &true.into()));
    let (status, problem) = as_stranger(&world, "POST", "/v1/rollback").await.unwrap();
    let title = problem["title"].as_str().unwrap();
    assert_eq!((status, title), (403, "this needs the role `operator`"));
}

fn config(folder: &Path, data: &str) -> HostConfig {
    HostConfig {
        data_directory: folder.join(data),
        api: ApiConfig {
            socket: Some(folder.join("api.sock")),
            ..ApiConfig::default()
        },
        ..HostConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_taken_over_only_if_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let first = config(folder.path(), "first");
    let app = App::build(&first, Mode::Production).unwrap();
    let socket = app.serve(&first).unwrap().socket;
    let mode = fs_err::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);

    let second = config(folder.path(), "second");
    let other = App::build(&second, Mode::Production).unwrap();
    assert_eq!(
        other.serve(&second).unwrap_err().code(),
        "api-socket-in-use"
    );
    let ask = || {
        over(&socket)
            .request(Method::GET, "http://host/healthz")
            .send()
    };
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    app.shut_down().await;
    assert!(!socket.exists());

    // What a host that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    assert_eq!(other.serve(&second).unwrap().socket, socket);
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    other.shut_down().await;

    fs_err::write(&socket, "precious").unwrap();
    let third = config(folder.path(), "third");
    let app = App::build(&third, Mode::Production).unwrap();
    assert_eq!(
        app.serve(&third).unwrap_err().code(),
        "api-socket-not-a-socket"
    );
    assert_eq!(fs_err::read_to_string(&socket).unwrap(), "precious");
}
