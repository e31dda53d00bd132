//! A registry that is gone in the middle of a deployment: nothing of it is put
//! into service, and it goes through when the registry is back.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use selvedge::app::{App, Mode};
use selvedge::config::HostConfig;
use selvedge::deployment::document::source::Source;
use selvedge::deployment::plan::Asker;
use selvedge::deployment::report::Phase;

use super::flow::{NEIGHBOUR, UPDATED, under_load};
use crate::deployments::world::{Host, Line};
use crate::guests::guest;
use crate::process::{Process, selvedge};
use crate::trust::world::World;

/// Our own registry, which can be killed and comes back with what it had.
struct Registry {
    process: Process,
    way: Arc<Way>,
    address: SocketAddr,
}

/// What stands between the device and the registry.
struct Way {
    to: Mutex<String>,
    /// Whether all ends with the next request for a blob.
    ends_at_blob: AtomicBool,
    /// Bytes that may still come back.
    bytes_left: AtomicI64,
}

impl Registry {
    async fn start(world: &World) -> Self {
        world.write("push", "operator:secret\n");
        let (process, address) = Self::serve(world).await;
        let way = Arc::new(Way {
            to: Mutex::new(address),
            ends_at_blob: false.into(),
            bytes_left: i64::MAX.into(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listening = Arc::clone(&way);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let way = Arc::clone(&listening);
                std::thread::spawn(move || way.carry(near.unwrap()));
            }
        });
        world.login(&address.to_string(), "operator:secret");
        Self {
            process,
            way,
            address,
        }
    }

    async fn serve(world: &World) -> (Process, String) {
        let serve = ["registry", "serve", "served", "--listen", "127.0.0.1:0"];
        let mut command = selvedge(&serve);
        command.args(["--push-credentials-file", "push"]);
        let mut process = Process::start(command.current_dir(world.folder()));
        let line = process.line("listening on ").await;
        let (_, address) = line.split_once("listening on ").unwrap();
        (process, address.to_owned())
    }

    async fn kill(&mut self) {
        self.process.signal("KILL").await;
        self.process.end().await;
    }

    async fn back(&mut self, world: &World) {
        let (process, address) = Self::serve(world).await;
        *self.way.to.lock() = address;
        self.way.ends_at_blob.store(false, Ordering::Release);
        self.way.bytes_left.store(i64::MAX, Ordering::Release);
        self.process = process;
    }
}

impl Way {
    /// Carries one connection there and back, as far as that goes.
    fn carry(self: Arc<Self>, near: TcpStream) {
        let Ok(far) = TcpStream::connect(&*self.to.lock()) else {
            return;
        };
        let (near_back, far_back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let way = Arc::clone(&self);
        let back = std::thread::spawn(move || {
            way.copy(far_back, near_back, |bytes| {
                let left = way
                    .bytes_left
                    .fetch_sub(bytes.len() as i64, Ordering::AcqRel);
                left > bytes.len() as i64
            });
        });
        self.copy(near, far, |bytes| {
            let is_blob = bytes.windows(7).any(|window| window == b"/blobs/");
            if is_blob && self.ends_at_blob.load(Ordering::Acquire) {
                self.bytes_left.store(0, Ordering::Release);
            }
            self.bytes_left.load(Ordering::Acquire) > 0
        });
        back.join().unwrap();
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, goes: impl Fn(&[u8]) -> bool) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if !goes(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // The other one may have closed it already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }
}

/// A site with a registry, a publisher, and a device at work.
struct Site {
    world: World,
    registry: Registry,
    signing: String,
    host: Host,
}

impl Site {
    async fn start() -> Self {
        let world = World::new().await;
        let registry = Registry::start(&world).await;
        let signing = world.key_publisher("vendor", "vendor/*").await;
        let text = String::from_utf8(world.read("host.toml")).unwrap();
        let login = "[registry]\ndocker_config = \"docker\"\n";
        world.write("host.toml", format!("{text}{login}"));
        let source = Source::read(&world.path("host.toml")).unwrap();
        let mut config = HostConfig::check(&Arc::new(source)).unwrap().value;
        config.data_directory = world.path("data");
        let app = App::build(&config, Mode::Production).unwrap();
        let host = Host::of(app, world.folder());
        Self {
            world,
            registry,
            signing,
            host,
        }
    }

    /// Publishes a guest as a version of the package, with what its manifest says;
    /// its reference.
    async fn publish(&self, which: &str, version: &str, wants: &str) -> String {
        self.world.write("plugin.wasm", guest(which));
        let manifest = format!("name = \"counts\"\nversion = \"{version}\"\n{wants}");
        self.world.write("plugin.toml", manifest);
        let to = format!("{}/vendor/counts", self.registry.address);
        let signing = &self.signing;
        let publish = format!("publish plugin.wasm {to} --manifest plugin.toml {signing}");
        self.world.done(&publish).await
    }
}

fn line(updated: &str, neighbour: &str, label: &str, grants: &str) -> Line {
    let counts = |line: Line, name: &str, reference: &str, config: &str| {
        let line = line.counts(name, "REFERENCE", config);
        line.with_component("REFERENCE.wasm", reference)
    };
    let line = counts(
        Line::new(1),
        UPDATED,
        updated,
        &format!("label = \"{label}\""),
    );
    counts(line.and(grants), NEIGHBOUR, neighbour, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_gone_in_the_middle_changes_nothing() {
    let mut site = Site::start().await;
    let first = site.publish("update_counts", "1.0.0", "").await;
    let second = site.publish("update_counts_next", "2.0.0", "").await;
    site.host.resume().await;
    let kept = site.host.commit(&line(&first, &first, "v1", "")).await;
    let (host, registry, world) = (&site.host, &mut site.registry, &site.world);
    let next = line(&second, &first, "v2", "");
    let work = async {
        for gone in ["killed", "at the blob", "within the blob"] {
            match gone {
                "killed" => registry.kill().await,
                "at the blob" => registry.way.ends_at_blob.store(true, Ordering::Release),
                _ => registry.way.bytes_left.store(40_000, Ordering::Release),
            }
            let report = host.deploy(&next).await;
            assert_eq!(report.phase, Phase::Failed, "{gone}: {report:?}");
            let fault = &report.faults[0];
            assert_eq!(fault.code, "registry-unreachable", "{gone}: {report:?}");
            assert_eq!(fault.plugin.as_ref().unwrap().as_str(), UPDATED);
            assert_eq!(host.plugin(UPDATED).deployment, kept, "{gone}");
            host.assert_whole().await;
            registry.back(world).await;
        }
        let id = host.commit(&next).await;
        // And on its own, by its reference, back and forth.
        let p = || UPDATED.parse().unwrap();
        let deployments = host.deployments();
        let back = deployments.swap(p(), first.parse().unwrap(), "me".to_owned());
        // Its state is from the future for the one before.
        let back = host.ended(back.await.unwrap()).await;
        assert_eq!(back.phase, Phase::RolledBack, "{back:?}");
        assert_eq!(back.faults[0].code, "restore-refused");
        assert_eq!(host.plugin(UPDATED).deployment, id);
    };
    let ((), seen) = under_load(host, work).await;
    assert_eq!(seen.labels(), ["v1", "v2"]);
    seen.assert_counts_go_on(&[]);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_signed_manifest_wants_anew_must_be_granted() {
    let site = Site::start().await;
    let first = site.publish("update_counts", "1.0.0", "").await;
    let wants = "[[wants]]\npublish = \"alarm/#\"\nwhy = \"it raises alarms now\"\n";
    let second = site.publish("update_counts", "1.1.0", wants).await;
    let host = &site.host;
    host.resume().await;
    let kept = host.commit(&line(&first, &first, "v1", "")).await;
    let work = async {
        let greedy = line(&second, &first, "v2", "");
        let report = host.deploy(&greedy).await;
        assert_eq!(report.phase, Phase::Failed, "{report:?}");
        let fault = &report.faults[0];
        assert_eq!(fault.code, "rights-widened", "{report:?}");
        assert!(fault.message.contains("alarm/#"), "{fault:?}");
        let widens = &report.plan.unwrap().plugins[1].widens;
        let right = widens.iter().find(|right| right.by == Asker::Manifest);
        let right = right.unwrap_or_else(|| panic!("{widens:?}"));
        assert_eq!((&*right.what, right.granted), ("alarm/#", false));
        assert_eq!(right.why.as_deref(), Some("it raises alarms now"));
        assert_eq!(host.plugin(UPDATED).deployment, kept);
        let granted = greedy.publishing(UPDATED, "alarm/#");
        host.commit(&granted).await;
    };
    let ((), seen) = under_load(host, work).await;
    assert_eq!(seen.labels(), ["v1", "v2"]);
    seen.assert_counts_go_on(&[]);
    site.host.stop().await;
}
