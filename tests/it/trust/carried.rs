//! Artifacts carried to a site without a network, and a registry of its own.

use super::world::World;
use crate::process::{Process, selvedge};

/// Our own registry over a store, listening on loopback.
pub(super) struct Registry {
    pub(super) process: Process,
    pub(super) address: String,
}

impl Registry {
    pub(super) async fn start(world: &World, arguments: &[&str]) -> Self {
        let serve = ["registry", "serve", "served", "--listen", "127.0.0.1:0"];
        let mut command = selvedge(&[&serve[..], arguments].concat());
        let mut process = Process::start(command.current_dir(world.folder()));
        let line = process.line("listening on ").await;
        let (_, address) = line.split_once("listening on ").unwrap();
        let address = address.to_owned();
        Self { process, address }
    }
}

#[tokio::test]
async fn a_bundle_brings_artifacts_and_policy_to_a_site_without_a_network() {
    let world = World::new().await;
    world.write("push", "operator:secret\n");
    let registry = Registry::start(&world, &["--push-credentials-file", "push"]).await;
    world.login(&registry.address, "operator:secret");
    let signing = world.key_publisher("vendor", "vendor/*").await;
    let to = format!("{}/vendor/echo", registry.address);
    let reference = world.publish(&to, "1.0.0", &signing).await;
    world
        .done(&format!(
            "bundle export site.tar {reference} --trust-repository site/repository"
        ))
        .await;
    registry.process.signal("TERM").await;
    drop(registry);

    // The device knows where its policy is to be, and has none yet.
    fs_err::rename(world.path("site/repository"), world.path("operators")).unwrap();
    let imported = world
        .done("bundle import site.tar --host-config host.toml")
        .await;
    assert!(
        imported.contains(reference.split_once('@').unwrap().1),
        "{imported}"
    );
    assert!(
        !imported.contains("selvedge/trust-repository"),
        "{imported}"
    );
    world.deployment("line.toml", &[&reference]);
    let ended = world.runs_without_network("line.toml").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn who_carries_a_trust_repository_cannot_take_a_newer_one_back() {
    let world = World::new().await;
    let export = "--trust-repository site/repository";
    world.done(&format!("bundle export old.tar {export}")).await;
    let revoked = format!("sha256:{}", "0".repeat(64));
    world
        .done(&format!("policy revoke digest {revoked} --site site"))
        .await;
    world.done(&format!("bundle export new.tar {export}")).await;

    // As people write folders.
    let host = "data_directory = \"data\"\n[trust]\nroot = \"site/root.json\"\nrepository = \"carried/\"\n";
    world.write("carried.toml", host);
    let import = "--host-config carried.toml";
    for _ in 0..2 {
        world.done(&format!("bundle import new.tar {import}")).await;
    }
    let current = world.read("carried/metadata/timestamp.json");
    let ended = world.cli(&format!("bundle import old.tar {import}")).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("went back"), "{ended:?}");
    assert_eq!(world.read("carried/metadata/timestamp.json"), current);
    assert!(!world.path("carried/.new").exists());
}

#[tokio::test]
async fn our_registry_lets_nobody_push_who_may_not() {
    let world = World::new().await;
    let signing = world.key_publisher("vendor", "vendor/*").await;
    let registry = Registry::start(&world, &[]).await;
    let to = format!("{}/vendor/echo", registry.address);
    let ended = world
        .cli(&format!("publish echo.wasm {to} --version 1.0.0 {signing}"))
        .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    drop(registry);

    world.write("push", "operator:secret\n");
    let registry = Registry::start(&world, &["--push-credentials-file", "push"]).await;
    world.login(&registry.address, "operator:wrong");
    let to = format!("{}/vendor/echo", registry.address);
    let ended = world
        .cli(&format!("publish echo.wasm {to} --version 1.0.0 {signing}"))
        .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    world.login(&registry.address, "operator:secret");
    world.publish(&to, "1.0.0", &signing).await;
    world.publish(&to, "1.10.0", &signing).await;
    world.publish(&to, "1.9.0", &signing).await;
    let listed = world.done(&format!("pull {to} --list")).await;
    assert_eq!(listed, "1.10.0\n1.9.0\n1.0.0");
}

#[tokio::test]
async fn a_version_that_was_published_stays_what_it_is() {
    let world = World::new().await;
    world.write("push", "operator:secret\n");
    let registry = Registry::start(&world, &["--push-credentials-file", "push"]).await;
    world.login(&registry.address, "operator:secret");
    let to = format!("{}/vendor/echo", registry.address);
    let first = world.publish(&to, "1.0.0", "--unsigned").await;
    assert_eq!(world.publish(&to, "1.0.0", "--unsigned").await, first);
    // The same with a custom section more.
    let other = [&world.read("echo.wasm")[..], b"\0\x02\x01x"].concat();
    world.write("echo.wasm", other);
    let again = format!("publish echo.wasm {to} --version 1.0.0 --unsigned");
    let ended = world.cli(&again).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("was published before"), "{ended:?}");
    assert_eq!(world.pull(&format!("{to}:1.0.0")).await, first);
    let replaced = world.done(&format!("{again} --replace")).await;
    assert_eq!(world.pull(&format!("{to}:1.0.0")).await, replaced);
}

#[tokio::test]
async fn an_archive_that_leads_elsewhere_is_refused() {
    let world = World::new().await;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    let name = b"../../escaped";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    archive.append(&header, &b"evil"[..]).unwrap();
    world.write("evil.tar", archive.into_inner().unwrap());
    let ended = world
        .cli("bundle import evil.tar --store store/inner")
        .await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("../../escaped"), "{ended:?}");
    assert!(!world.path("escaped").exists());
}
