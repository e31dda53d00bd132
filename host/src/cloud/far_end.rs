//! The far end of a channel, for tests: keeps what is sent and says what it is
//! told to say.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::channel::{Arrival, Arrivals, Channel, ChannelError, Waiting};
use crate::names::{Topic, TopicFilter};

/// What answers a question: topics and payloads.
pub(super) type Answers = Vec<(String, String)>;

type Script = Box<dyn FnMut(&str, &[u8]) -> Answers + Send>;

pub(super) struct FarEnd {
    connected: watch::Sender<bool>,
    listeners: Mutex<Vec<(Vec<TopicFilter>, mpsc::Sender<Arrival>)>>,
    script: Mutex<Script>,
}

impl std::fmt::Debug for FarEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FarEnd")
    }
}

impl FarEnd {
    pub(super) fn new(script: impl FnMut(&str, &[u8]) -> Answers + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            connected: watch::channel(true).0,
            listeners: Mutex::default(),
            script: Mutex::new(Box::new(script)),
        })
    }

    pub(super) fn connect(&self, connected: bool) {
        self.connected.send_replace(connected);
    }

    fn say(&self, answers: Answers) {
        for (topic, payload) in answers {
            let topic: Topic = topic.parse().unwrap();
            let payload = Bytes::from(payload);
            for (filters, listener) in self.listeners.lock().iter() {
                if filters.iter().any(|filter| filter.matches(&topic)) {
                    let (topic, payload) = (topic.clone(), payload.clone());
                    drop(listener.try_send(Arrival { topic, payload }));
                }
            }
        }
    }
}

impl Channel for FarEnd {
    fn publish(
        &self,
        topic: Topic,
        payload: Bytes,
        _: u8,
    ) -> Waiting<'_, Result<(), ChannelError>> {
        self.ask(topic, payload)
    }

    fn ask(&self, topic: Topic, payload: Bytes) -> Waiting<'_, Result<(), ChannelError>> {
        Box::pin(async move {
            if !*self.connected.borrow() {
                return Err(ChannelError::Away);
            }
            let answers = self.script.lock()(topic.as_str(), &payload);
            self.say(answers);
            Ok(())
        })
    }

    fn subscribe(&self, filters: Vec<TopicFilter>, waiting_max: usize) -> Box<dyn Arrivals> {
        let (listener, arrivals) = mpsc::channel(waiting_max);
        self.listeners.lock().push((filters, listener));
        Box::new(Heard(arrivals, self.connected.subscribe()))
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }
}

struct Heard(mpsc::Receiver<Arrival>, watch::Receiver<bool>);

impl Arrivals for Heard {
    fn receive(&mut self) -> Waiting<'_, Option<Arrival>> {
        Box::pin(self.0.recv())
    }

    fn subscribed(&self) -> watch::Receiver<bool> {
        self.1.clone()
    }
}
