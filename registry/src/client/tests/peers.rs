//! The client against a registry of other people: Debian's `docker-registry`,
//! which knows no referrers, as `cargo xtask peers` sets it up.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use selvedge_artifact::{Packaged, Reference, media_type};
use tempfile::TempDir;

use super::{about, artifact, config, noise, patient_client, reference};
use crate::{ClientError, Layout, Silent};

const CONFIG: &str = "
version: 0.1
log: { formatter: json, accesslog: { disabled: true } }
storage: { delete: { enabled: true }, filesystem: { rootdirectory: ROOT } }
http: { addr: '127.0.0.1:0' }
";
const START_MAX: Duration = Duration::from_secs(30);
const BUNDLES: &[&str] = &[media_type::SIGSTORE_BUNDLE_PREFIX];

/// A registry with nothing in it.
struct DockerRegistry {
    child: Child,
    address: String,
    directory: TempDir,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_ok() && self.child.wait().is_ok();
    }
}

impl DockerRegistry {
    fn start() -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers");
        let peers = std::env::var_os("SELVEDGE_PEERS").map_or(here, PathBuf::from);
        let program = peers.join("bin/docker-registry");
        let missing = format!("there is no {}; run cargo xtask peers", program.display());
        assert!(program.exists(), "{missing}");

        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        let root = directory.path().join("registry");
        fs_err::write(&config, CONFIG.replace("ROOT", &root.to_string_lossy())).unwrap();
        let mut child = Command::new(program)
            .arg("serve")
            .arg(config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (said, address) = mpsc::sync_channel(1);
        let log = BufReader::new(child.stderr.take().unwrap());
        // Reads to the end, for a full pipe would stop the registry.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let address = rest.split(['"', ',']).next().unwrap_or_default();
                    let _told = said.try_send(address.to_owned()).is_ok();
                }
            }
        });
        let address = address
            .recv_timeout(START_MAX)
            .expect("it says where it listens");
        Self {
            child,
            address,
            directory,
        }
    }

    fn reference(&self, rest: &str) -> Reference {
        reference(&self.address, rest)
    }

    fn store(&self, name: &str) -> Layout {
        Layout::open(&self.directory.path().join(name)).unwrap()
    }
}

fn bundle(subject: &Packaged, content: Bytes) -> Packaged {
    about(
        Some(subject.descriptor()),
        media_type::SIGSTORE_BUNDLE,
        content,
    )
}

#[tokio::test]
async fn an_artifact_with_signatures_goes_there_and_back() {
    let registry = DockerRegistry::start();
    let client = patient_client(config());
    let there = registry.reference(":1.2.0");
    let plugin = artifact(noise(20 << 20));
    let pushed = client.push(&there, &plugin, &Silent).await.unwrap();
    let again = client.push(&there, &plugin, &Silent).await.unwrap();
    assert!(
        pushed.bytes > 20 << 20 && again.bytes < 10_000,
        "what is there is not sent"
    );
    let (one, two) = (bundle(&plugin, noise(900)), bundle(&plugin, noise(901)));
    client.attach(&there, &one, &Silent).await.unwrap();
    client.attach(&there, &two, &Silent).await.unwrap();

    let store = registry.store("store");
    let pulled = client.pull(&there, &store, BUNDLES, &Silent).await.unwrap();
    assert_eq!(pulled.manifest.digest, plugin.digest());
    assert_eq!(pulled.referrers.len(), 2);
    let layer = &plugin.blobs[1];
    assert_eq!(store.blob(&layer.0.digest, 32 << 20).unwrap(), layer.1);
    assert_eq!(
        store.referrers(&plugin.digest()).unwrap().manifests.len(),
        2
    );
    let versions = client.versions(&there).await.unwrap();
    assert_eq!(versions, ["1.2.0".parse().unwrap()]);

    let mirror: Reference = format!("{}/site/acme/thermostat:1.2.0", registry.address)
        .parse()
        .unwrap();
    client
        .push_from(&mirror, &store, &plugin.digest(), &Silent)
        .await
        .unwrap();
    let other = registry.store("other");
    let pulled = client
        .pull(&mirror, &other, BUNDLES, &Silent)
        .await
        .unwrap();
    assert_eq!(pulled.referrers.len(), 2);
}

#[tokio::test]
async fn two_who_sign_at_once_lose_no_signature() {
    let registry = DockerRegistry::start();
    let there = registry.reference(":1.2.0");
    let plugin = artifact(noise(100));
    let clients = [(); 2].map(|()| patient_client(config()));
    clients[0].push(&there, &plugin, &Silent).await.unwrap();
    for round in 0..5 {
        let [one, two] = [1000, 2000].map(|size| bundle(&plugin, noise(size + round)));
        let (first, second) = futures::join!(
            clients[0].attach(&there, &one, &Silent),
            clients[1].attach(&there, &two, &Silent),
        );
        first.unwrap();
        second.unwrap();
    }
    let listed = clients[0]
        .referrers(&there, &plugin.digest())
        .await
        .unwrap();
    assert_eq!(listed.manifests.len(), 10);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let registry = DockerRegistry::start();
    let client = patient_client(config());
    let error = client
        .manifest(&registry.reference(":9.9.9"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("MANIFEST_UNKNOWN"), "{error}");
    let error = client.tags(&registry.reference("")).await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
}
