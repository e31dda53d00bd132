//! What is asked for, and what is told.

use reqwest::{Method, StatusCode};
use selvedge::api::openapi;
use selvedge::bus::InboxLimits;
use selvedge::spec::Overflow;
use serde_json::{Value as Json, json};
use tokio::process::Command;

use super::world::{Lines, Plugin, World, exchange, heard};

const ECHO: Plugin<'_> = Plugin {
    name: "echo",
    guest: "echo",
    mode: "",
    more: "grants = { publish = [\"echo/#\"], subscribe = [\"in/#\"] }",
};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_handed_in_watched_and_written_down() {
    let world = World::start().await;
    let mut audit = world.listen("$selvedge/audit");
    let status = world.json("/v1/status").await;
    assert_eq!(
        (&status["ready"], &status["plugins"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(status["reasons"][0]["reason"], "nothing was ever deployed");

    let report = world.deploy(&[ECHO]).await;
    let who = report["requested_by"].as_str().unwrap();
    assert!(who.starts_with("uid "), "{who}");

    let put = heard(&mut audit).await;
    assert_eq!(
        (&put["method"], &put["status"]),
        (&json!("PUT"), &json!(204))
    );
    let submitted = heard(&mut audit).await;
    assert_eq!(submitted["outcome"], "deployment 1", "{submitted}");
    assert_eq!(submitted["who"], report["requested_by"]);

    let events = Lines::new(world.get("/v1/deployments/1/events").await);
    let events = events.all().await;
    assert_eq!(events.first().unwrap()["event"], "phase");
    assert_eq!(events.last().unwrap(), &report);
    assert_eq!(world.json("/v1/deployments").await, json!([report]));
    assert_eq!(world.json("/v1/deployments?before=1").await, json!([]));
    let plugin = world.json("/v1/plugins/echo").await;
    assert_eq!(
        (&plugin["state"], &plugin["deployment"]),
        (&json!("running"), &json!(1))
    );
    assert_eq!(world.json("/v1/plugins").await, json!([plugin]));
    let parties = world.json("/v1/parties").await;
    let names: Vec<_> = parties["parties"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names
        .iter()
        .map(|party| party["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["selvedge", "echo", "operator"]);
    assert_eq!(world.json("/v1/models").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_models_is_told_with_why_the_rest_does_not() {
    let world = World::start().await;
    let backends = world.json("/v1/backends").await;
    let found: Vec<_> = backends.as_array().unwrap().iter().collect();
    let names: Vec<_> = found.iter().map(|found| &found["backend"]).collect();
    assert_eq!(names, ["tract", "onnxruntime", "openvino"]);
    assert_eq!(found[0]["unavailable"], Json::Null);
    assert_eq!(found[0]["providers"][0]["device"], "cpu");
    for missing in &found[1..] {
        let why = &missing["unavailable"];
        assert_eq!(why["code"], "not-configured");
        assert!(
            why["help"].as_str().unwrap().contains("backends pin"),
            "{why}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_are_stopped_started_and_brought_back() {
    let world = World::start().await;
    world.deploy(&[ECHO]).await;
    let text = world.get("/v1/deployments/1/document").await;
    assert!(text.text().await.unwrap().contains("[plugins.echo]"));
    let done = async |what: &str| -> Json {
        let path = format!("/v1/plugins/echo/{what}");
        let response = world.ask(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        response.json().await.unwrap()
    };
    let stopped = done("stop").await;
    let told = (&stopped["state"], &stopped["stopped_by_operator"]);
    assert_eq!(told, (&json!("stopped"), &json!(true)));
    // What an operator stopped is no fault.
    assert_eq!(world.json("/readyz").await["ok"], true);
    assert_eq!(done("start").await["stopped_by_operator"], false);
    done("restart").await;
    world
        .until("/v1/plugins/echo", |plugin| plugin["state"] == "running")
        .await;

    let second = Plugin {
        name: "second",
        ..ECHO
    };
    world.deploy(&[ECHO, second]).await;
    let back = world
        .ask(Method::POST, "/v1/rollback")
        .send()
        .await
        .unwrap();
    assert_eq!(back.status(), StatusCode::ACCEPTED);
    let back: Json = back.json().await.unwrap();
    let events = format!("/v1/deployments/{}/events", back["deployment"]);
    let events = Lines::new(world.get(&events).await).all().await;
    let report = events.last().unwrap();
    assert_eq!(report["phase"], "committed", "{report}");
    assert_eq!(
        report["reason"],
        json!({ "kind": "roll-back-to", "deployment": 1 })
    );
    assert_eq!(world.json("/v1/plugins").await.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_the_bus_as_the_operators() {
    let world = World::start().await;
    let mut heard_of = world.listen("in/#");
    let message = json!({ "topic": "in/a", "base64": "/w==", "retain": true });
    let publish = world.ask(Method::POST, "/v1/publish").json(&message);
    let published = publish.send().await.unwrap();
    assert_eq!(published.status(), StatusCode::NO_CONTENT);
    let mut batch = Vec::new();
    heard_of.receive(1, &mut batch).await;
    assert_eq!(&*batch[0].payload, [0xff]);
    let topics = world.json("/v1/topics?filter=in/%23").await;
    assert_eq!(
        (&topics[0]["topic"], &topics[0]["bytes"]),
        (&json!("in/a"), &json!(1))
    );
    assert_eq!(world.json("/v1/topics?filter=other").await, json!([]));
    let all = world.json("/v1/topics?limit=1").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    let parties = world.json("/v1/parties").await;
    assert_eq!(parties["parties"][1]["published_total"], 1);
}

/// The digest of `other`.
const OTHER_FILE: &str =
    "/v1/files/sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

/// A request that is not done: what it is, and the status and the code of why.
type Refused = (&'static str, &'static str, &'static str, u16, &'static str);

const REFUSED: &[Refused] = &[
    ("GET", "/", "", 404, "no-such-path"),
    ("GET", "/v1", "", 404, "no-such-path"),
    ("GET", "/v2/status", "", 404, "no-such-path"),
    ("POST", "/v1/status", "", 405, "method-not-allowed"),
    ("GET", "/v1/publish", "", 405, "method-not-allowed"),
    ("GET", "/v1/status?a=b", "", 400, "parameter-unknown"),
    (
        "GET",
        "/v1/logs?lines=1&lines=2",
        "",
        400,
        "parameter-unknown",
    ),
    ("GET", "/v1/logs?lines=x", "", 400, "parameter-invalid"),
    ("GET", "/v1/logs?follow=yes", "", 400, "parameter-invalid"),
    ("GET", "/v1/logs?plugin=UP", "", 400, "parameter-invalid"),
    ("GET", "/v1/tap", "", 400, "parameter-missing"),
    ("GET", "/v1/tap?filter=a%23", "", 400, "parameter-invalid"),
    (
        "GET",
        "/v1/tap?filter=$share/g/a",
        "",
        400,
        "parameter-invalid",
    ),
    ("GET", "/v1/deployments/7", "", 404, "no-such-deployment"),
    (
        "GET",
        "/v1/deployments/7/events",
        "",
        404,
        "no-such-deployment",
    ),
    ("GET", "/v1/deployments/x", "", 404, "no-such-path"),
    ("GET", "/v1/deployments/%ff", "", 404, "no-such-path"),
    ("GET", "/v1/plugins/none", "", 404, "no-such-plugin"),
    ("GET", "/v1/plugins/%2e%2e%2fetc", "", 404, "no-such-path"),
    ("POST", "/v1/plugins/none/stop", "", 404, "no-such-plugin"),
    (
        "POST",
        "/v1/plugins/none/swap",
        "{\"component\":\"\"}",
        400,
        "component-invalid",
    ),
    ("POST", "/v1/rollback", "", 409, "nothing-before"),
    ("POST", "/v1/rollback", "{\"too\":1}", 400, "body-invalid"),
    ("POST", "/v1/deployments", "{", 400, "body-invalid"),
    (
        "POST",
        "/v1/deployments",
        "{\"document\":\"x\",\"file\":\"f\"}",
        422,
        "document-refused",
    ),
    (
        "POST",
        "/v1/plans",
        "{\"document\":\"\",\"file\":\"f\"}",
        422,
        "document-refused",
    ),
    (
        "POST",
        "/v1/publish",
        "{\"topic\":\"a/+\"}",
        400,
        "message-invalid",
    ),
    (
        "POST",
        "/v1/publish",
        "{\"topic\":\"$selvedge/audit\"}",
        403,
        "publish-not-granted",
    ),
    ("PUT", OTHER_FILE, "not it", 400, "digest-mismatch"),
    ("PUT", "/v1/files/sha256:0", "", 404, "no-such-path"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_says_why() {
    let world = World::start().await;
    for &(method, path, body, status, code) in REFUSED {
        let method = method.parse().unwrap();
        let request = world.ask(method, path).body(body);
        let response = request.send().await.unwrap();
        let media_type = response.headers().get("content-type").unwrap();
        assert_eq!(media_type, "application/problem+json", "{path}");
        let allow = response.headers().get("allow").is_some();
        assert_eq!(allow, status == 405, "{path}");
        let found = response.status().as_u16();
        let problem: Json = response.json().await.unwrap();
        let told = (found, problem["status"].as_u64(), &problem["code"]);
        assert_eq!(
            told,
            (status, Some(status.into()), &json!(code)),
            "{path}: {problem}"
        );
    }
    let huge = world
        .ask(Method::POST, "/v1/publish")
        .body(vec![b' '; 5 << 20]);
    assert_eq!(huge.send().await.unwrap().status(), 413);
    let page = world
        .ask(Method::POST, "/v1/rollback")
        .header("origin", "https://evil.example");
    let page: Json = page.send().await.unwrap().json().await.unwrap();
    assert_eq!(page["code"], "cross-origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_lead_nowhere_else_however_they_are_written() {
    let world = World::start().await;
    for path in [
        "/v1/../v1/status",
        "//v1/status",
        "/v1/status/",
        "/v1/%73tatus%00",
        "/v1/plugins/..%2f..%2fetc%2fpasswd",
        "/healthz/../v1/status",
        "/V1/STATUS",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = exchange(world.raw().await, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_served_is_the_one_checked_in() {
    let world = World::start().await;
    assert_eq!(world.json("/v1/openapi.json").await, openapi::document());
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_understands_it() {
    let world = World::start().await;
    let socket = world.served.socket.to_str().unwrap();
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--fail",
        "--max-time",
        "20",
        "--unix-socket",
        socket,
    ]);
    let Ok(output) = curl.arg("http://host/v1/status").output().await else {
        // There is none here.
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let status: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_somebody_cannot_keep_is_not_told_to_be_settled() {
    let world = World::start().await;
    let limits = InboxLimits {
        messages_max: 4,
        bytes_max: 1 << 20,
        overflow: Overflow::Block,
        answers: true,
    };
    let host = world.app.bus().host_party();
    let mut inbox = host
        .subscribe(&["kept/#".parse().unwrap()], limits)
        .unwrap();
    let message = json!({"topic": "kept/a", "text": "1"});
    let publish = world.ask(Method::POST, "/v1/publish?settled=true");
    let refused = async {
        let mut batch = Vec::new();
        inbox.receive(1, &mut batch).await;
        batch[0].receipt.as_ref().unwrap().refuse();
    };
    let (answer, ()) = tokio::join!(publish.json(&message).send(), refused);
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let problem: Json = answer.json().await.unwrap();
    assert_eq!(problem["code"], "message-not-kept");
}
