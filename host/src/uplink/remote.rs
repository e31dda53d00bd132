//! What comes from the target: who waits for it, and when it is acknowledged.
//!
//! Each message that came with QoS 1 has one ticket, shared by all who have it.
//! When the last of them lets go, the message may be acknowledged, or refused if one
//! of them could not answer for it; until then the target has it too. One of QoS 0
//! has its share of the room that there is for all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};

use crate::mqtt::UserProperties;
use crate::names::{Topic, TopicFilter};

/// A message from the target. Acknowledged there when it and all its clones are
/// dropped.
#[derive(Clone)]
pub struct Remote {
    pub topic: Topic,
    pub payload: Bytes,
    /// Whether it is a value that was kept there.
    pub retain: bool,
    pub content_type: Option<Arc<str>>,
    pub correlation: Option<Bytes>,
    pub user: UserProperties,
    pub(crate) ticket: Option<Arc<Ticket>>,
    /// What it takes of the room for messages of QoS 0.
    pub(crate) room: Option<Arc<OwnedSemaphorePermit>>,
}

/// Never the payload: it belongs in no log.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("topic", &self.topic)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Held by all who have a message; dropped, the message is done with.
#[derive(Debug)]
pub(crate) struct Ticket {
    fate: Arc<Fate>,
    told: Arc<Notify>,
}

/// What became of a message that came.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    done: AtomicBool,
    refused: AtomicBool,
}

impl Fate {
    /// Of one that nobody has.
    pub(crate) fn settled() -> Arc<Self> {
        Arc::new(Self {
            done: true.into(),
            refused: false.into(),
        })
    }

    /// Whether nobody has it any more.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Whether somebody who had it could not answer for it.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

impl Ticket {
    /// A ticket, and where it is seen that it is gone.
    pub(crate) fn new(told: &Arc<Notify>) -> (Arc<Self>, Arc<Fate>) {
        let fate = Arc::<Fate>::default();
        let ticket = Self {
            fate: Arc::clone(&fate),
            told: Arc::clone(told),
        };
        (Arc::new(ticket), fate)
    }

    /// Whoever has it cannot answer for the message: it must not be acknowledged.
    pub(crate) fn refuse(&self) {
        self.fate.refused.store(true, Ordering::Release);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.fate.done.store(true, Ordering::Release);
        self.told.notify_one();
    }
}

/// Messages on the filters of one [`subscribe`](super::Uplink::subscribe). Dropped,
/// the filters are subscribed no more.
#[derive(Debug)]
pub struct RemoteInbox {
    number: u64,
    waiting: mpsc::Receiver<Remote>,
    subscribed: watch::Receiver<bool>,
    all: Arc<Remotes>,
}

impl RemoteInbox {
    /// The next message, or whenever there is one.
    pub async fn receive(&mut self) -> Remote {
        match self.waiting.recv().await {
            Some(remote) => remote,
            // The uplink is gone, and the host ends.
            None => std::future::pending().await,
        }
    }

    /// Whether the target has confirmed the filters on the present connection.
    pub fn subscribed(&self) -> watch::Receiver<bool> {
        self.subscribed.clone()
    }
}

impl Drop for RemoteInbox {
    fn drop(&mut self) {
        let number = self.number;
        self.all.listeners.lock().retain(|own| own.number != number);
        self.all.changed.notify_one();
    }
}

/// Everyone who waits for messages from one target, beside the rules.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    last: AtomicU64,
    listeners: Mutex<Vec<Listener>>,
    /// Someone came or went.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    filters: Vec<TopicFilter>,
    inbox: mpsc::Sender<Remote>,
    subscribed: watch::Sender<bool>,
}

impl Remotes {
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        filters: Vec<TopicFilter>,
        waiting_max: usize,
    ) -> RemoteInbox {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let (inbox, waiting) = mpsc::channel(waiting_max.max(1));
        let (confirm, subscribed) = watch::channel(false);
        self.listeners.lock().push(Listener {
            number,
            filters,
            inbox,
            subscribed: confirm,
        });
        self.changed.notify_one();
        RemoteInbox {
            number,
            waiting,
            subscribed,
            all: Arc::clone(self),
        }
    }

    /// Every filter that somebody waits for.
    pub(crate) fn filters(&self) -> Vec<TopicFilter> {
        let listeners = self.listeners.lock();
        let filters = listeners.iter().flat_map(|own| &own.filters);
        filters.cloned().collect()
    }

    /// Where a message on `topic` is to go.
    pub(crate) fn listeners(&self, topic: &Topic) -> Vec<mpsc::Sender<Remote>> {
        let listeners = self.listeners.lock();
        let wants = |own: &&Listener| own.filters.iter().any(|filter| filter.matches(topic));
        let wanting = listeners.iter().filter(wants);
        wanting.map(|own| own.inbox.clone()).collect()
    }

    /// Tells everybody whether the target has confirmed what they wait for.
    pub(crate) fn confirm(&self, confirmed: impl Fn(&TopicFilter) -> bool) {
        for own in &*self.listeners.lock() {
            let all = own.filters.iter().all(&confirmed);
            own.subscribed.send_if_modified(|was| {
                let changes = *was != all;
                *was = all;
                changes
            });
        }
    }
}
