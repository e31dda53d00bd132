//! The unit that sends log lines.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::line::{DEPLOYMENT, LOGS, Line, STATES};
use super::{Batch, Gatherer};
use crate::bus::{Bus, InboxLimits, Message};
use crate::cloud::channel::Channel;
use crate::cloud::config::LogsConfig;
use crate::error_chain::ErrorChain;
use crate::names::TopicFilter;
use crate::spec::Overflow;
use crate::supervisor::{UnitContext, UnitResult};

/// What waits to be gathered; nobody ever waits for it.
const INBOX: InboxLimits = InboxLimits {
    answers: false,
    messages_max: 2_048,
    bytes_max: 4 << 20,
    overflow: Overflow::DropOldest,
};
/// Messages taken at once.
const BATCH: usize = 64;
/// How lines leave: after all else.
const PRIORITY: u8 = 7;
/// Who listens on the bus.
const NAME: &str = "selvedge-cloud-logs";

/// Sends log lines.
#[derive(Clone, Debug)]
pub struct Service {
    pub channel: Arc<dyn Channel>,
    pub bus: Bus,
    pub config: LogsConfig,
}

impl Service {
    /// Until it is to stop; what is gathered then goes into the queue.
    pub async fn run(&self, context: UnitContext) -> UnitResult {
        let name = NAME.parse().expect("a constant that is a name");
        let party = self.bus.unlisted(name);
        let mut inbox = party.subscribe(&self.filters(), INBOX)?;
        let mut gatherer = Gatherer::new(&self.config, Instant::now());
        let mut connected = self.channel.connected();
        gatherer.connected(*connected.borrow_and_update());
        let mut messages: Vec<Arc<Message>> = Vec::with_capacity(BATCH);
        let mut lost = 0;
        context.ready();
        loop {
            let due = gatherer.due();
            let sleep = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = context.stop.cancelled() => break,
                () = inbox.receive(BATCH, &mut messages) => {}
                () = sleep => {}
                changed = connected.changed() => {
                    changed?;
                    gatherer.connected(*connected.borrow_and_update());
                }
            }
            let dropped = party.status().dropped_total;
            gatherer.lost(dropped.saturating_sub(lost), Instant::now());
            lost = dropped;
            for message in messages.drain(..) {
                let now = Instant::now();
                if let Some(line) = Line::of(&message) {
                    gatherer.add(&line, now);
                }
                if let Some(batch) = gatherer.take(now) {
                    self.send(&mut gatherer, batch).await;
                }
            }
            if let Some(batch) = gatherer.take(Instant::now()) {
                self.send(&mut gatherer, batch).await;
            }
        }
        while let Some(batch) = gatherer.take_all() {
            let payload = batch.payload.into();
            let topic = self.config.topic.clone();
            if self
                .channel
                .publish(topic, payload, PRIORITY)
                .await
                .is_err()
            {
                break;
            }
        }
        Ok(())
    }

    async fn send(&self, gatherer: &mut Gatherer, batch: Batch) {
        let (topic, payload) = (self.config.topic.clone(), batch.payload.clone());
        let sent = self.channel.publish(topic, payload.into(), PRIORITY).await;
        if let Err(error) = sent {
            gatherer.refused(&batch, Instant::now());
            let code = error.code();
            let error = ErrorChain(&error).to_string();
            warn!(code, error, "log lines dropped");
        }
    }

    fn filters(&self) -> Vec<TopicFilter> {
        let mut texts = Vec::new();
        if self.config.all_plugins {
            texts.push(format!("{LOGS}+"));
        } else {
            let plugins = self.config.plugins.iter();
            texts.extend(plugins.map(|plugin| format!("{LOGS}{plugin}")));
        }
        if self.config.host {
            texts.extend([format!("{STATES}#"), DEPLOYMENT.to_owned()]);
        }
        let filters = texts.iter().map(|text| text.parse());
        filters
            .map(|filter| filter.expect("names are levels of topics"))
            .collect()
    }
}
