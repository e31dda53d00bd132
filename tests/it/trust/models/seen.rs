//! What operators are told of models: which version serves, who brought it, and when
//! plugins have it no more.

use std::path::Path;

use reqwest::Client as Http;
use serde_json::Value as Json;

use super::beside::{load, unload};
use super::{Lab, artifact, commit, line};

async fn get(socket: &Path, path: &str) -> String {
    let builder = Http::builder().unix_socket(socket.to_owned());
    let client = builder.tls_certs_only([]).build().unwrap();
    let answer = client.get(format!("http://host{path}")).send().await;
    answer.unwrap().text().await.unwrap()
}

async fn json(socket: &Path, path: &str) -> Json {
    serde_json::from_str(&get(socket, path).await).unwrap()
}

/// The lines of a text that begin so, word by word.
fn words<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let mut lines = text.lines().filter(|line| line.starts_with(begin));
    let line = lines.next().unwrap_or_else(|| panic!("no {begin}: {text}"));
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_not_ready_while_a_plugin_at_work_has_a_revoked_model() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.2.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let (host, _client) = lab.serving().await;
    commit(&host, line(1, &plugin, &artifact(&model))).await;
    let health = "health --host api.sock --json";
    let ready = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    assert_eq!(ready(&lab.world.done(health).await)["ok"], true);

    let (_, digest) = model.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let ended = lab.world.cli(health).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = ready(&ended.stdout);
    let reasons = told["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{told}");
    assert_eq!(reasons[0]["what"], "model/granted");
    let why = reasons[0]["reason"].as_str().unwrap();
    assert!(
        why.starts_with("out of service: ") && why.contains("revoked"),
        "{why}"
    );
    let socket = lab.world.path("api.sock");
    assert_eq!(json(&socket, "/healthz").await["ok"], true);
    let page = get(&socket, "/metrics").await;
    assert_eq!(
        words(&page, "selvedge_host_ready "),
        ["selvedge_host_ready", "0"]
    );
    // The host and its plugin are well: nobody starts them anew for that.
    assert_eq!(host.plugins(), ["i running"]);

    // Nobody has it any more who is to work.
    host.deployments()
        .stop_plugin(&"i".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(ready(&lab.world.done(health).await)["ok"], true);
    host.deployments()
        .start_plugin(&"i".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(lab.world.cli(health).await.code, Some(1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_of_native_programs_are_seen_beside_those_of_the_deployment() {
    let lab = Lab::new().await;
    for (name, version) in [("press", "1.2.0"), ("own", "0.3.1")] {
        lab.model(name, "press", version);
    }
    let plugin = lab.plugin().await;
    let [model, own] = [
        lab.publish("press", &lab.lab).await,
        lab.publish("own", &lab.lab).await,
    ];
    let (host, mut client) = lab.serving().await;
    commit(&host, line(1, &plugin, &artifact(&model))).await;
    lab.bring(&own).await;
    load(&mut client, "another", &own).await.unwrap();

    let socket = lab.world.path("api.sock");
    let told = json(&socket, "/v1/models").await;
    let of = |model: &Json, key: &str| model[key].as_str().unwrap().to_owned();
    let told: Vec<_> = told.as_array().unwrap().iter().collect();
    let each = told
        .iter()
        .map(|it| ["model", "version", "loaded_by"].map(|key| of(it, key)));
    let expected = [
        ["another", "0.3.1", "inference-api"],
        ["granted", "1.2.0", "deployment"],
    ];
    assert_eq!(each.collect::<Vec<_>>(), expected);
    assert_eq!(told[0]["granted_to"], serde_json::json!([]));
    assert_eq!(told[1]["granted_to"], serde_json::json!(["i"]));
    assert_eq!(told[0]["origin"]["publisher"], "lab");

    let page = get(&socket, "/metrics").await;
    for (model, by) in [("another", "inference-api"), ("granted", "deployment")] {
        let computed = "backend=\"tract\",provider=\"cpu\",device=\"cpu\"";
        let sample = format!(
            "selvedge_model_runs_total{{model=\"{model}\",{computed},loaded_by=\"{by}\"}} "
        );
        assert!(page.contains(&sample), "no {sample} in {page}");
    }

    // People see the publisher's version, and the digest that tells what it is.
    let shown = lab.world.done("status --host api.sock").await;
    let digest = of(told[0], "digest");
    assert_eq!(
        words(&shown, "another ")[1..4],
        ["0.3.1", &digest[..19], "inference-api"]
    );
    assert_eq!(
        words(&shown, "granted ")[1..4],
        ["1.2.0", &digest[..19], "deployment"]
    );

    // One of theirs that is revoked keeps no plugin from its work.
    let (_, revoked) = own.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {revoked} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let told = json(&socket, "/v1/models").await;
    assert!(of(&told[0], "withdrawn").contains("revoked"), "{told}");
    assert_eq!(json(&socket, "/readyz").await["ok"], true);

    unload(&mut client, "another").await.unwrap();
    let page = get(&socket, "/metrics").await;
    assert!(
        !page.contains("model=\"another\""),
        "what is gone is not counted: {page}"
    );
    host.stop().await;
}
