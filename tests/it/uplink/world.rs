//! One uplink in this process, and a party on its bus.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use selvedge::bus::{Bus, BusLimits, Grant, Inbox, InboxLimits, Message, Party, Receipt};
use selvedge::spec::Overflow;
use selvedge::storage::Storage;
use selvedge::supervisor::Supervisor;
use selvedge::uplink::config::UplinkConfig;
use selvedge::uplink::{Uplink, UplinkStatus, Uplinks};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::process::DEADLINE;

/// What listens to what arrives here.
const LISTENER: InboxLimits = InboxLimits {
    messages_max: 100_000,
    bytes_max: 64 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

/// Times short enough for a test.
pub(super) const QUICK: &str = "reconnect_ms_min = 1, reconnect_ms_max = 20";

/// A bus, and what is between it and a far end.
pub(super) struct World {
    pub(super) bus: Bus,
    pub(super) uplink: Uplink,
    pub(super) publisher: Party,
    supervisor: Supervisor,
    folder: TempDir,
}

/// The configuration of an uplink to `address`, without TLS.
pub(super) fn config(address: SocketAddr, more: &str) -> UplinkConfig {
    let mut text = format!("endpoint = \"{address}\"\nplain = true\nclient_id = \"gw\"\n{more}");
    if !more.contains("times") {
        let times = format!("times = {{ {QUICK} }}\n");
        text = times + &text;
    }
    toml::from_str(&text).unwrap()
}

/// Everything outward.
pub(super) const ALL: &str = "[[rules]]\nfilter = \"out/#\"\n";

impl World {
    pub(super) fn start(config: UplinkConfig) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    pub(super) fn start_in(folder: TempDir, config: UplinkConfig) -> Self {
        let storage = Storage::open(folder.path()).unwrap();
        let bus = Bus::new(BusLimits::default());
        let name: selvedge::names::PartyName = "cloud".parse().unwrap();
        let config = BTreeMap::from([(name.clone(), config)]);
        let hosts = Arc::new(BTreeMap::new());
        let (uplinks, units) = Uplinks::build(&config, &hosts, &bus, &storage).unwrap();
        let supervisor = Supervisor::new(Duration::from_secs(5), Arc::new(|_, _| ()));
        for unit in units.into_all() {
            supervisor.start(unit);
        }
        let grant = Grant {
            publish: vec!["#".parse().unwrap()],
            subscribe: vec!["#".parse().unwrap(), "$selvedge/#".parse().unwrap()],
        };
        let publisher = bus.attach("test".parse().unwrap(), grant).unwrap();
        Self {
            uplink: uplinks.get(&name).unwrap(),
            publisher,
            bus,
            supervisor,
            folder,
        }
    }

    /// Ends it as the host does; what is on the disk stays.
    pub(super) async fn stop(self) -> TempDir {
        self.bus.close();
        self.supervisor.shut_down().await;
        self.folder
    }

    /// Publishes, and waits until it is on the disk.
    pub(super) async fn publish(&self, topic: &str, payload: impl Into<String>) {
        let message = Message::new(topic.parse().unwrap(), payload.into());
        self.publish_this(message).await;
    }

    pub(super) async fn publish_this(&self, mut message: Message) {
        let (receipt, settled) = Receipt::new();
        message.receipt = Some(receipt);
        self.publisher.publish_waiting(message).await.unwrap();
        timeout(DEADLINE, settled)
            .await
            .expect("it was not settled");
    }

    /// Publishes many at once, and waits until all are on the disk.
    pub(super) async fn publish_all(&self, topic: impl Fn(usize) -> String, count: usize) {
        let mut waiting = Vec::with_capacity(count);
        for number in 0..count {
            let mut message = Message::new(topic(number).parse().unwrap(), number.to_string());
            let (receipt, settled) = Receipt::new();
            message.receipt = Some(receipt);
            self.publisher.publish_waiting(message).await.unwrap();
            waiting.push(settled);
        }
        for settled in waiting {
            timeout(DEADLINE, settled)
                .await
                .expect("it was not settled");
        }
    }

    pub(super) fn listen(&self, filter: &str) -> Inbox {
        let filters = [filter.parse().unwrap()];
        self.publisher.subscribe(&filters, LISTENER).unwrap()
    }

    /// Waits until the status is as wished.
    pub(super) async fn until(&self, wished: impl Fn(&UplinkStatus) -> bool) -> UplinkStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.uplink.status();
            if wished(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing waits for the far end.
    pub(super) async fn drained(&self) -> UplinkStatus {
        self.until(|status| status.queue_messages == 0).await
    }
}

/// The next message.
pub(super) async fn next(inbox: &mut Inbox) -> Arc<Message> {
    let mut batch = Vec::new();
    let received = timeout(DEADLINE, inbox.receive(1, &mut batch)).await;
    received.expect("nothing came");
    batch.remove(0)
}
