//! What nobody may run, each refused by its own name: by `verify`, and by a
//! device that is asked to run it.

use serde_json::Value as Json;

use super::peers::{DockerRegistry, ISSUER, Instance, Peers, argument};
use super::world::World;
use crate::process::Ended;

/// Who releases.
const WORKFLOW: &str = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/v1";
/// The same, in a repository of someone else's.
const FORK: &str = "https://github.com/mallory/plugins/.github/workflows/release.yml@refs/tags/v1";

/// A registry, a sigstore instance, and a site that trusts `vendor` for
/// `vendor/*` and `acme-ci` for `acme/*`.
struct Plant {
    peers: Peers,
    world: World,
    registry: DockerRegistry,
    instance: Instance,
    /// The arguments to sign as the vendor.
    vendor: String,
}

impl Plant {
    async fn new() -> Option<Self> {
        let peers = Peers::find()?;
        let world = World::new().await;
        let registry = peers.registry(world.folder()).await;
        let instance = peers.instance().await;
        instance
            .trusted_root(&world.path("instance.root.json"))
            .await;
        let vendor = world.key_publisher("vendor", "vendor/*").await;
        world
            .identity_publisher("acme-ci", (ISSUER, WORKFLOW), "acme/*")
            .await;
        Some(Self {
            peers,
            world,
            registry,
            instance,
            vendor,
        })
    }

    fn at(&self, package: &str) -> String {
        format!("{}/{package}", self.registry.address)
    }

    /// The arguments to sign as `subject`.
    async fn identity(&self, subject: &str) -> String {
        self.instance
            .token(subject, &self.world.path("token"))
            .await;
        let url = &self.instance.url;
        format!("--identity-token-file token --fulcio-url {url} --rekor-url {url}")
    }

    /// Publishes without a signature and attaches a bundle made by npm's signer.
    async fn signed_by_js(&self, package: &str, whose: (&str, &str), more: &[&str]) -> String {
        let (issuer, subject) = whose;
        let world = &self.world;
        let reference = world
            .publish(&self.at(package), "1.0.0", "--unsigned")
            .await;
        world.write("manifest", world.manifest(&reference).await);
        let (artifact, bundle) = (
            argument(world.folder(), "manifest"),
            argument(world.folder(), "bundle.json"),
        );
        let sign = ["message", "--instance", &self.instance.url];
        let files = ["--artifact", &artifact, "--bundle", &bundle];
        let whose = ["--subject", subject, "--issuer", issuer];
        let arguments = [&sign[..], &files, &whose, more].concat();
        self.peers.sign_js(&arguments).await;
        reference
    }

    async fn attach(&self, reference: &str, bundle: &str) {
        self.world
            .done(&format!("sign {reference} --bundle {bundle}"))
            .await;
    }

    /// Verified and deployed: refused as `code`, and, if nobody released it, for
    /// `why` of the bundle.
    async fn refused(&self, reference: &str, code: &str, why: Option<&str>) {
        let world = &self.world;
        let verdict = world.verdict(reference).await;
        assert_eq!(verdict["ok"], false, "{reference}: {verdict:#}");
        assert_eq!(verdict["code"], code, "{reference}: {verdict:#}");
        if let Some(why) = why {
            let bundles = verdict["bundles"].as_array().unwrap();
            let found = bundles.iter().any(|bundle| bundle["code"] == why);
            assert!(found, "{reference}: no `{why}` in {verdict:#}");
        }
        let ended = self.deploy(reference).await;
        let reason = verdict["reason"].as_str().unwrap();
        assert!(
            ended.stderr.contains(reason),
            "{reference}: {ended:?}\n{reason}"
        );
        let named = format!("[{code}]");
        assert!(ended.stderr.contains(&named), "{reference}: {ended:?}");
    }

    /// What the vendor released, brought to the device.
    async fn released(&self) -> String {
        let to = self.at("vendor/echo");
        let published = self.world.publish(&to, "1.0.0", &self.vendor).await;
        self.world.pull(&published).await
    }

    /// A device without a network is asked to run it, and refuses.
    async fn deploy(&self, reference: &str) -> Ended {
        self.world.pull(reference).await;
        self.world.deployment("line.toml", &[reference]);
        let ended = self.world.refuses("line.toml").await;
        assert!(ended.stderr.contains("line.toml:4:"), "{ended:?}");
        assert!(!ended.stderr.contains("plugin verified"), "{ended:?}");
        ended
    }
}

#[tokio::test]
async fn what_no_trusted_publisher_released_is_refused() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let world = &plant.world;

    let unsigned = world
        .publish(&plant.at("vendor/unsigned"), "1.0.0", "--unsigned")
        .await;
    plant.refused(&unsigned, "unsigned", None).await;

    world.done("keygen mallory --no-password").await;
    world.done("keygen mallory --timestamp-authority").await;
    let stranger = "--key mallory.key --timestamp-authority vendor.tsa.pem";
    let wrong_key = world
        .publish(&plant.at("vendor/stranger"), "1.0.0", stranger)
        .await;
    plant
        .refused(&wrong_key, "not-released", Some("signature-invalid"))
        .await;

    let back_dated = "--key vendor.key --timestamp-authority mallory.tsa.pem";
    let wrong_time = world
        .publish(&plant.at("vendor/untimed"), "1.0.0", back_dated)
        .await;
    plant
        .refused(&wrong_time, "not-released", Some("timestamp-invalid"))
        .await;

    // Right identity, other package; and the other way round.
    let ci = plant.identity(WORKFLOW).await;
    let others = world
        .publish(&plant.at("vendor/others"), "1.0.0", &ci)
        .await;
    plant.refused(&others, "not-released", None).await;
    let vendor = &plant.vendor;
    let others = world
        .publish(&plant.at("acme/others"), "1.0.0", vendor)
        .await;
    plant.refused(&others, "not-released", None).await;
    let nobodys = world
        .publish(&plant.at("nobody/echo"), "1.0.0", vendor)
        .await;
    plant.refused(&nobodys, "package-not-granted", None).await;

    let fork = plant.identity(FORK).await;
    let fork = world.publish(&plant.at("acme/fork"), "1.0.0", &fork).await;
    plant
        .refused(&fork, "not-released", Some("identity-mismatch"))
        .await;
    let whose = ("https://token.mallory.example", WORKFLOW);
    let issuer = plant.signed_by_js("acme/issuer", whose, &[]).await;
    plant.attach(&issuer, "bundle.json").await;
    plant
        .refused(&issuer, "not-released", Some("issuer-mismatch"))
        .await;
}

#[tokio::test]
async fn signatures_that_prove_something_else_are_refused() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let world = &plant.world;
    let whose = (ISSUER, WORKFLOW);

    let unlogged = plant
        .signed_by_js("acme/unlogged", whose, &["--no-tlog"])
        .await;
    plant.attach(&unlogged, "bundle.json").await;
    plant
        .refused(&unlogged, "not-released", Some("log-entry-missing"))
        .await;

    let altered = plant
        .signed_by_js("acme/altered", whose, &["--no-tsa"])
        .await;
    let mut bundle: Json = serde_json::from_slice(&world.read("bundle.json")).unwrap();
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    let time: u64 = entry["integratedTime"].as_str().unwrap().parse().unwrap();
    entry["integratedTime"] = (time - 60).to_string().into();
    world.write("bundle.json", bundle.to_string());
    plant.attach(&altered, "bundle.json").await;
    plant
        .refused(&altered, "not-released", Some("log-evidence-invalid"))
        .await;

    // A bundle over another artifact of the same publisher.
    let first = plant.signed_by_js("acme/first", whose, &[]).await;
    plant.attach(&first, "bundle.json").await;
    assert_eq!(world.verdict(&first).await["ok"], true);
    let second = world
        .publish(&plant.at("acme/second"), "1.0.0", "--unsigned")
        .await;
    plant.attach(&second, "bundle.json").await;
    plant
        .refused(&second, "not-released", Some("artifact-mismatch"))
        .await;

    // The publisher says what is in it, and not that it is released.
    let vendor = &plant.vendor;
    let stated = world
        .publish(&plant.at("vendor/stated"), "1.0.0", "--unsigned")
        .await;
    world.write(
        "sbom.json",
        r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#,
    );
    world
        .done(&format!("sign {stated} --predicate sbom.json {vendor}"))
        .await;
    plant
        .refused(&stated, "not-released", Some("not-a-release"))
        .await;
}

#[tokio::test]
async fn what_is_renamed_or_no_component_is_refused() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let world = &plant.world;
    let published = plant.released().await;
    let (_, digest) = published.split_once('@').unwrap();

    let renamed = format!("{}:1.0.0@{digest}", plant.at("vendor/other"));
    let verdict = world.verdict(&renamed).await;
    assert_eq!(verdict["code"], "package-mismatch", "{verdict:#}");
    let newer = format!("{}:1.0.1@{digest}", plant.at("vendor/echo"));
    let verdict = world.verdict(&newer).await;
    assert_eq!(verdict["code"], "version-mismatch", "{verdict:#}");
    for reference in [&renamed, &newer] {
        world.deployment("line.toml", &[reference]);
        world.refuses("line.toml").await;
    }

    // Another client pushes native code, and the vendor signs it unseen.
    for (package, bytes, code) in [
        ("native", &b"\x7fELF\x02\x01\x01"[..], "native-code"),
        ("module", b"\0asm\x01\0\0\0", "core-module"),
        ("text", b"(component)", "not-a-component"),
    ] {
        let tagged = format!("{}:1.0.0", plant.at(&format!("vendor/{package}")));
        push_with_oras(&plant, &tagged, package, bytes).await;
        let pinned = world.pull(&tagged).await;
        world.done(&format!("sign {pinned} {}", plant.vendor)).await;
        plant.refused(&pinned, code, None).await;
        world.write("native.wasm", bytes);
        let to = plant.at("vendor/refused");
        let ended = world
            .cli(&format!(
                "publish native.wasm {to} --version 1.0.0 --unsigned"
            ))
            .await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
    }
}

async fn push_with_oras(plant: &Plant, tagged: &str, package: &str, bytes: &[u8]) {
    let world = &plant.world;
    world.write("layer.wasm", bytes);
    let digest = selvedge::names::Digest::of(bytes);
    let config = serde_json::json!({
        "architecture": "wasm", "os": "wasip2", "layerDigests": [digest],
    });
    world.write("config.json", config.to_string());
    let file = |name: &str, kind: &str| format!("{}:{kind}", argument(world.folder(), name));
    let (layer, config) = (
        file("layer.wasm", "application/wasm"),
        file("config.json", "application/vnd.wasm.config.v0+json"),
    );
    let name = format!("dev.selvedge.package=vendor/{package}");
    let version = "org.opencontainers.image.version=1.0.0";
    let push = ["push", tagged, &layer, "--config", &config];
    let annotations = ["--annotation", &name, "--annotation", version];
    plant.peers.oras(&[&push[..], &annotations].concat()).await;
}

#[tokio::test]
async fn a_root_that_devices_cannot_use_is_not_published() {
    let world = World::new().await;
    world.key_publisher("vendor", "vendor/*").await;
    let timestamp = "site/repository/metadata/timestamp.json";
    let before = world.read(timestamp);
    world.done("keygen other --no-password").await;
    let add = "policy add publisher other --key other.pub --root other.pub --site site";
    let ended = world.cli(add).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("trusted root"), "{ended:?}");
    assert_eq!(world.read(timestamp), before);
}

#[tokio::test]
async fn nothing_is_signed_that_only_a_registry_can_tell() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let (to, vendor) = (plant.at("vendor/echo"), &plant.vendor);
    let published = plant.world.publish(&to, "1.0.0", "--unsigned").await;
    let (tagged, _) = published.split_once('@').unwrap();
    let ended = plant.world.cli(&format!("sign {tagged} {vendor}")).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    plant.refused(&published, "unsigned", None).await;
}

#[tokio::test]
async fn what_was_altered_on_the_device_is_refused() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let world = &plant.world;
    let published = plant.released().await;
    world.deployment("line.toml", &[&published]);
    world.runs_without_network("line.toml").await;

    let manifest: Json = serde_json::from_slice(&world.manifest(&published).await).unwrap();
    let (_, digest) = published.split_once('@').unwrap();
    let parts = [
        digest,
        manifest["config"]["digest"].as_str().unwrap(),
        manifest["layers"][0]["digest"].as_str().unwrap(),
    ];
    for part in parts {
        let (_, hex) = part.split_once(':').unwrap();
        let path = format!("data/artifacts/blobs/sha256/{hex}");
        let whole = world.read(&path);
        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        world.write(&path, altered);
        let ended = world.refuses("line.toml").await;
        for part in [hex, "[artifact-corrupt]"] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
        world.write(&path, whole);
    }
    let ended = world.runs_without_network("line.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn what_was_revoked_or_is_too_old_is_refused() {
    let Some(plant) = Plant::new().await else {
        return;
    };
    let world = &plant.world;
    let (to, vendor) = (plant.at("vendor/echo"), &plant.vendor);
    let old = world.publish(&to, "1.0.0", vendor).await;
    let new = world.publish(&to, "2.0.0", vendor).await;
    for reference in [&old, &new] {
        world.pull(reference).await;
    }

    // Once the device had the new one, only the operator's word lets the old in.
    world.deployment("line.toml", &[&new]);
    world.runs_without_network("line.toml").await;
    world.deployment("line.toml", &[&old]);
    let ended = world.refuses("line.toml").await;
    assert!(ended.stderr.contains("2.0.0"), "{ended:?}");
    world
        .done("policy add downgrade vendor/echo 1.0.0 --site site")
        .await;
    world.runs_without_network("line.toml").await;

    let to = plant.at("vendor/floor");
    let low = world.publish(&to, "1.0.0", vendor).await;
    world.pull(&low).await;
    world
        .done("policy add floor vendor/floor 1.5.0 --site site")
        .await;
    plant.refused_stored(&low, "version-below-floor").await;
    // What runs goes on, and nothing goes back behind it.
    let to = plant.at("vendor/raised");
    let before = world.publish(&to, "1.0.0", vendor).await;
    let after = world.publish(&to, "2.0.0", vendor).await;
    for reference in [&before, &after] {
        world.pull(reference).await;
        world.deployment("line.toml", &[reference]);
        world.runs_without_network("line.toml").await;
    }
    world
        .done("policy add floor vendor/raised 1.5.0 --site site")
        .await;
    world.runs_without_network("line.toml").await;
    plant.refused_stored(&before, "version-below-floor").await;

    // A copy of the repository as it was before the revocation changes nothing.
    copy(world, "site/repository", "before");
    let (_, digest) = new.split_once('@').unwrap();
    world
        .done(&format!("policy revoke digest {digest} --site site"))
        .await;
    plant.refused_stored(&new, "digest-revoked").await;
    fs_err::rename(world.path("site/repository"), world.path("after")).unwrap();
    fs_err::rename(world.path("before"), world.path("site/repository")).unwrap();
    world.deployment("line.toml", &[&new]);
    let ended = world.refuses("line.toml").await;
    for part in ["trust repository not believed", "revoked"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

impl Plant {
    /// As [`Plant::refused`], for what is on the device already.
    async fn refused_stored(&self, reference: &str, code: &str) {
        let verdict = self.world.verdict(reference).await;
        assert_eq!(verdict["code"], code, "{verdict:#}");
        self.world.deployment("line.toml", &[reference]);
        let ended = self.world.refuses("line.toml").await;
        let reason = verdict["reason"].as_str().unwrap();
        assert!(ended.stderr.contains(reason), "{ended:?}");
    }
}

/// Copies a folder of the test.
fn copy(world: &World, from: &str, to: &str) {
    let mut folders = vec![(world.path(from), world.path(to))];
    while let Some((from, to)) = folders.pop() {
        fs_err::create_dir_all(&to).unwrap();
        for entry in fs_err::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push((entry.path(), target));
            } else {
                fs_err::copy(entry.path(), target).unwrap();
            }
        }
    }
}
