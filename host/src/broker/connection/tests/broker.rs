//! A broker without a listener: everything behind it is real.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use crate::broker::clients::{Clients, Entrance};
use crate::broker::config::{BrokerConfig, BrokerLimits, SessionConfig};
use crate::broker::connection::{self, Stage};
use crate::broker::metrics::Counters;
use crate::broker::quota::Quotas;
use crate::broker::refusals::Refusals;
use crate::broker::sessions::{Opening, Sessions};
use crate::broker::shared::{Peer, Shared};
use crate::bus::{Bus, BusLimits, Grant, Inbox, InboxLimits, Party};
use crate::devices::{Devices, Quota, Rules};
use crate::mqtt::{Connect, Reason, Version};
use crate::names::TopicFilter;
use crate::spec::Overflow;
use crate::storage::Storage;
use crate::supervisor::TaskGroup;

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

pub(super) struct Broker {
    pub(super) bus: Bus,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    entrance: Entrance,
    directory: PathBuf,
    tasks: TaskGroup,
}

/// What may be different.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) quota: Quota,
    pub(super) limits: BrokerLimits,
    pub(super) sessions: SessionConfig,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            quota: Quota {
                connections_max: nonzero!(NonZeroU32, 100),
                sessions_max: nonzero!(NonZeroU32, 100),
                ..Quota::default()
            },
            limits: BrokerLimits::default(),
            sessions: SessionConfig::default(),
        }
    }
}

pub(super) fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Devices may use `a/#` with everybody, and say things about themselves.
fn write_devices(data: &Path) {
    let folder = data.join("devices");
    fs_err::create_dir_all(&folder).unwrap();
    for name in ["one", "two", "three"] {
        write_device(data, name);
    }
}

fn write_device(data: &Path, name: &str) {
    let text = format!(
        "publish = [\"a/#\", \"only/{name}/#\"]\n\
         subscribe = [\"a/#\", \"$share/g/a/#\", \"only/{name}/#\"]\n"
    );
    fs_err::write(data.join(format!("devices/{name}.toml")), text).unwrap();
}

impl Broker {
    pub(super) fn start(directory: &Path) -> Self {
        Self::start_with(directory, Setup::default())
    }

    pub(super) fn start_with(directory: &Path, setup: Setup) -> Self {
        let bus = Bus::new(BusLimits::default());
        let storage = Storage::open(directory).unwrap();
        let config = BrokerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Default::default(),
            plain: None,
            authorizer: None,
            classes: Default::default(),
            quota: setup.quota.clone(),
            limits: setup.limits,
            sessions: setup.sessions,
        };
        write_devices(directory);
        let rules = Rules {
            classes: Default::default(),
            quota: setup.quota,
        };
        let devices = Devices::open(directory, rules).unwrap();
        let counters = Arc::<Counters>::default();
        let sessions = Sessions::open(Opening {
            bus: bus.clone(),
            storage: &storage,
            config: &config,
            devices: &devices,
            counters: Arc::clone(&counters),
        });
        let shared = Arc::new(Shared {
            config,
            sessions: sessions.unwrap(),
            quotas: Quotas::default(),
            authorizer: None,
            authorizing: Semaphore::new(1),
            devices,
            refusals: Refusals::default(),
            counters,
        });
        let tasks = TaskGroup::new(10_000);
        let stop = CancellationToken::new();
        let (sessions, stopped) = (shared.sessions.clone(), stop.clone());
        tasks
            .start(async move { sessions.run(stopped).await })
            .unwrap();
        Self {
            bus,
            shared,
            stop,
            directory: directory.to_owned(),
            entrance: Arc::new(Clients::new(1_000, 1_000)).open(),
            tasks,
        }
    }

    /// A new connection of `device`.
    pub(super) fn dial(&self, device_name: &str, version: Version) -> Client {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        self.serve(device_name, far);
        Client::new(near, version)
    }

    pub(super) fn peer(&self, device: &str) -> Peer {
        let address = "127.0.0.1:1883".parse().unwrap();
        let ticket = self.entrance.enter(address).unwrap();
        Peer {
            stands_for: Some(device.parse().unwrap()),
            identity: None,
            address,
            connect_by: Instant::now() + Duration::from_secs(10),
            ticket,
        }
    }

    fn serve(&self, device: &str, stream: DuplexStream) {
        let peer = self.peer(device);
        let coming_in = connection::accept(stream, peer, Arc::clone(&self.shared));
        self.tasks.start(Stage::new(coming_in)).unwrap();
    }

    /// A device that is connected by its name, with a session that ends with it.
    pub(super) async fn client(&self, device: &str, version: Version) -> Client {
        self.connect(device, super::client::connect(device, version))
            .await
            .0
    }

    /// A connected device, and whether its session was there.
    pub(super) async fn connect(&self, device: &str, connect: Connect) -> (Client, bool) {
        let mut client = self.dial(device, connect.version);
        let ack = client.connect(connect).await;
        assert!(!ack.reason.is_failure(), "{}", ack.reason);
        (client, ack.session_present)
    }

    pub(super) fn add_device(&self, name: &str) {
        write_device(&self.directory, name);
        self.shared.devices.reload().unwrap();
    }

    /// Gives a device other rights, or removes it, and says so as the broker does.
    pub(super) fn change_device(&self, name: &str, text: Option<&str>) {
        let path = self.directory.join(format!("devices/{name}.toml"));
        let reason = match text {
            Some(text) => {
                fs_err::write(path, text).unwrap();
                Reason::ADMINISTRATIVE_ACTION
            }
            None => {
                fs_err::remove_file(path).unwrap();
                Reason::NOT_AUTHORIZED
            }
        };
        self.shared.devices.reload().unwrap();
        let sessions = &self.shared.sessions;
        sessions.disconnect_device(&name.parse().unwrap(), reason);
    }

    /// Someone else on the bus, who may do anything.
    pub(super) fn party(&self, name: &str) -> Party {
        let grant = Grant {
            publish: filters(&["#"]),
            subscribe: filters(&["#"]),
        };
        self.bus.attach(name.parse().unwrap(), grant).unwrap()
    }

    /// As a plugin subscribes: publishers wait for it.
    pub(super) fn answering(party: &Party, messages_max: u32) -> Inbox {
        let limits = InboxLimits {
            messages_max,
            bytes_max: 1 << 20,
            overflow: Overflow::Block,
            answers: true,
        };
        party.subscribe(&filters(&["a/#"]), limits).unwrap()
    }

    /// Tells all who are connected that they are to end.
    pub(super) fn tell_to_end(&self) {
        self.entrance.close();
    }

    /// Waits until `seen` holds.
    pub(super) async fn until(&self, seen: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !seen(self) {
            assert!(Instant::now() < deadline, "it never came");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Everything ends as when a host stops.
    pub(super) async fn stop(self) {
        self.bus.close();
        // Who is connected first, as the host does it.
        self.entrance.close();
        self.stop.cancel();
        assert_eq!(self.tasks.end(Duration::from_secs(20)).await, 0);
    }

    /// Everything ends at once, as by `kill -9`: nobody gets to write anything.
    pub(super) async fn kill(self) {
        self.bus.close();
        self.tasks.end(Duration::ZERO).await;
        self.shared.sessions.kill().await;
    }
}

pub(super) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}
