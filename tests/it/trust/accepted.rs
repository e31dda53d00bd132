//! What publishers vouch for whom the site trusts runs, whoever's tools they use.

use super::peers::{ISSUER, Peers, argument};
use super::world::World;
use crate::process::{Process, selvedge};

/// Who releases from CI: the tag is part of the identity.
const WORKFLOW: &str = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/";

#[tokio::test]
async fn a_plugin_of_each_signer_runs_on_a_device_without_a_network() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let instance = peers.instance().await;
    instance
        .trusted_root(&world.path("instance.root.json"))
        .await;
    let at = |package: &str| format!("{}/{package}", registry.address);

    let signing = world.key_publisher("vendor", "vendor/*").await;
    let ci = (ISSUER, &*format!("{WORKFLOW}*"));
    world.identity_publisher("acme-ci", ci, "acme/*").await;

    // Ours, with a key and without one.
    let keyed = world.publish(&at("vendor/echo"), "1.0.0", &signing).await;
    let subject = format!("{WORKFLOW}v1.0.0");
    instance.token(&subject, &world.path("token")).await;
    let (url, keyless) = (&instance.url, "--identity-token-file token");
    let keyless = format!("{keyless} --fulcio-url {url} --rekor-url {url}");
    let keyless = world.publish(&at("acme/ours"), "1.0.0", &keyless).await;

    // npm's and PyPI's: a statement about the manifest, and the manifest itself.
    let mut foreign = Vec::new();
    for (package, kind) in [
        ("js-statement", "dsse"),
        ("js-bytes", "message"),
        ("py-statement", "dsse"),
        ("py-bytes", "message"),
    ] {
        let to = at(&format!("acme/{package}"));
        let reference = world.publish(&to, "1.0.0", "--unsigned").await;
        let artifact = to_sign(&world, &reference, kind).await;
        let bundle = argument(world.folder(), &format!("{package}.json"));
        let sign = [kind, "--instance", url, "--artifact", &artifact];
        let whose = ["--subject", &subject, "--issuer", ISSUER];
        let arguments = [&sign[..], &["--bundle", &bundle], &whose].concat();
        if package.starts_with("js") {
            peers.sign_js(&arguments).await;
        } else {
            peers.sign_py(&arguments).await;
        }
        let attach = format!("sign {reference} --bundle {bundle}");
        world.done(&attach).await;
        foreign.push(reference);
    }

    let mut references = vec![keyed, keyless];
    references.extend(foreign);
    for reference in &references {
        assert_eq!(world.pull(reference).await, *reference);
        let verdict = world.verdict(reference).await;
        assert_eq!(verdict["ok"], true, "{verdict:#}");
    }
    drop((registry, instance));
    let references: Vec<_> = references.iter().map(String::as_str).collect();
    world.deployment("line.toml", &references);
    let ended = world.runs_without_network("line.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stderr.matches("plugin verified").count(),
        references.len()
    );
}

#[tokio::test]
async fn what_is_signed_after_a_device_has_brought_it_runs() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let signing = world.key_publisher("vendor", "vendor/*").await;
    let to = format!("{}/vendor/echo", registry.address);
    let reference = world.publish(&to, "1.0.0", "--unsigned").await;
    world.deployment("line.toml", &[&reference]);
    let run = "run line.toml --host-config host.toml";
    let ended = world.cli(run).await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("is not signed"), "{ended:?}");

    world.done(&format!("sign {reference} {signing}")).await;
    let mut host = selvedge(&run.split(' ').collect::<Vec<_>>());
    let mut host = Process::start(host.current_dir(world.folder()));
    host.line("deployment started").await;
    host.signal("TERM").await;
    assert_eq!(host.end().await.code, Some(0));
}

#[tokio::test]
async fn what_we_sign_others_verify() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let instance = peers.instance().await;
    instance
        .trusted_root(&world.path("instance.root.json"))
        .await;
    let subject = format!("{WORKFLOW}v2.0.0");
    instance.token(&subject, &world.path("token")).await;
    let url = &instance.url;
    let signing = format!("--identity-token-file token --fulcio-url {url} --rekor-url {url}");
    let to = format!("{}/acme/echo", registry.address);
    let reference = world.publish(&to, "2.0.0", &signing).await;

    let bundle = world.attached_bundle(&reference).await;
    world.write("bundle.json", bundle);
    let (bundle, root) = (
        argument(world.folder(), "bundle.json"),
        argument(world.folder(), "instance.root.json"),
    );
    let arguments = ["--bundle", &bundle, "--trusted-root", &root];
    let whose = ["--identity", &subject, "--issuer", ISSUER];
    let arguments = [&arguments[..], &whose].concat();
    assert_eq!(peers.verify_js(&arguments).await["ok"], true);
    assert_eq!(peers.verify_py(&arguments).await["ok"], true);
}

#[tokio::test]
async fn a_signature_is_found_behind_many_that_mean_nothing() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let vendor = world.key_publisher("vendor", "vendor/*").await;
    world.done("keygen mallory --no-password").await;
    let stranger = "--key mallory.key --timestamp-authority vendor.tsa.pem";
    let to = format!("{}/vendor/echo", registry.address);
    let reference = world.publish(&to, "1.0.0", stranger).await;
    for _ in 0..33 {
        world.done(&format!("sign {reference} {stranger}")).await;
    }
    assert_eq!(world.verdict(&reference).await["code"], "not-released");
    world.done(&format!("sign {reference} {vendor}")).await;
    let verdict = world.verdict(&reference).await;
    assert_eq!(verdict["ok"], true, "{verdict:#}");
}

#[tokio::test]
async fn another_client_reads_what_we_publish_and_we_run_what_it_pushes() {
    let Some(peers) = Peers::find() else { return };
    let world = World::new().await;
    let registry = peers.registry(world.folder()).await;
    let signing = world.key_publisher("vendor", "vendor/*").await;
    let to = format!("{}/vendor/echo", registry.address);
    let reference = world.publish(&to, "1.0.0", &signing).await;
    let tags = peers.oras(&["tags", &to]).await;
    let tags = tags["tags"].as_array().unwrap();
    assert!(tags.iter().any(|tag| tag == "1.0.0"), "{tags:?}");
    let (tagged, digest) = reference.split_once('@').unwrap();
    let seen = peers.oras(&["manifest", tagged]).await;
    assert_eq!(seen["digest"], digest);

    let component = world.read("echo.wasm");
    let digest = selvedge::names::Digest::of(&component);
    let config = serde_json::json!({
        "architecture": "wasm", "os": "wasip2", "layerDigests": [digest],
    });
    world.write("config.json", config.to_string());
    let tagged = format!("{}/vendor/pushed:1.1.0", registry.address);
    let file = |name: &str, kind: &str| format!("{}:{kind}", argument(world.folder(), name));
    let (wasm, config) = (
        file("echo.wasm", "application/wasm"),
        file("config.json", "application/vnd.wasm.config.v0+json"),
    );
    let annotations = [
        "--annotation",
        "dev.selvedge.package=vendor/pushed",
        "--annotation",
        "org.opencontainers.image.version=1.1.0",
    ];
    let push = ["push", &tagged, &wasm, "--config", &config];
    peers.oras(&[&push[..], &annotations].concat()).await;
    let pinned = world.pull(&tagged).await;
    world.done(&format!("sign {pinned} {signing}")).await;
    world.pull(&pinned).await;
    world.deployment("line.toml", &[&pinned, &reference]);
    world.pull(&reference).await;
    let ended = world.runs_without_network("line.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The file that a foreign signer signs: the manifest, or a statement about it.
async fn to_sign(world: &World, reference: &str, kind: &str) -> String {
    let manifest = world.manifest(reference).await;
    let (_, digest) = reference.rsplit_once("sha256:").unwrap();
    let name = format!("to-sign-{digest}-{kind}");
    match kind {
        "message" => world.write(&name, manifest),
        _ => {
            let statement = serde_json::json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{ "name": "plugin", "digest": { "sha256": digest } }],
                "predicateType": "https://sigstore.dev/cosign/sign/v1",
                "predicate": {},
            });
            world.write(&name, statement.to_string());
        }
    }
    argument(world.folder(), &name)
}
