//! Who reads at the far end, and sees what is missing, out of order or too old.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::mqtt::raw::{Client, Connect, Packet, Version};
use crate::mqtt::target::Target;
use crate::process::DEADLINE;

/// Messages on the way to it that it has not acknowledged.
pub(super) const IN_FLIGHT: usize = 50;
/// How often it looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(100);

/// A reader with a session that is kept.
pub(super) struct Reader {
    target: Target,
    connect: Connect,
    /// Of each topic, the number that comes next.
    next: BTreeMap<String, u64>,
    pub(super) duplicates: usize,
    /// By how many a number may come too late that came before. None: what was
    /// acknowledged to a broker shortly before it is killed comes again.
    behind_max: Option<usize>,
}

impl Reader {
    /// One whose session has begun; it does not read yet.
    pub(super) async fn subscribe(
        target: &Target,
        version: Version,
        behind_max: Option<usize>,
    ) -> Self {
        let connect = Connect::kept(version, "reader");
        let mut client = Client::connect(target, &connect).await;
        assert_eq!(client.subscribe("out/#", 1).await, 1);
        client.disconnect().await;
        Self {
            target: target.clone(),
            connect,
            next: BTreeMap::new(),
            duplicates: 0,
            behind_max,
        }
    }

    /// Reads, over any number of connections, until `done` with what comes next.
    pub(super) async fn read_until(&mut self, done: impl Fn(&BTreeMap<String, u64>) -> bool) {
        let mut progress = Instant::now();
        while !done(&self.next) {
            assert!(
                progress.elapsed() < DEADLINE,
                "missing after {:?}",
                self.next
            );
            let connected = match self.target.try_dial().await {
                Ok(stream) => Client::open(stream, &self.connect).await.ok(),
                Err(_) => None,
            };
            let Some(mut client) = connected else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            assert!(client.session_present, "the session was forgotten");
            while !done(&self.next) {
                match timeout(LOOK, client.next()).await {
                    Ok(Some(Packet::Publish(publish))) => {
                        let number = publish.text().parse().unwrap();
                        if self.take(&publish.topic, number) {
                            progress = Instant::now();
                        }
                        client.acknowledge(&publish).await;
                    }
                    Ok(Some(other)) => panic!("{other:?} came"),
                    Ok(None) => break,
                    Err(_) => assert!(
                        progress.elapsed() < DEADLINE,
                        "missing after {:?}",
                        self.next
                    ),
                }
            }
        }
    }

    /// Whether it is a number that was not there.
    fn take(&mut self, topic: &str, number: u64) -> bool {
        let next = self.next.entry(topic.to_owned()).or_default();
        assert!(number <= *next, "{number} of {topic} instead of {next}");
        if number == *next {
            *next += 1;
            return true;
        }
        self.duplicates += 1;
        let behind = usize::try_from(*next - number).unwrap();
        let is_old = self.behind_max.is_some_and(|most| behind > most);
        assert!(!is_old, "{number} of {topic} again, before {next}");
        false
    }
}
