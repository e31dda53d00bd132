//! `selvedge:bus`: the publisher and the inbox.
//!
//! Written by hand instead of generated: one wire type serves both directions
//! and shares its payload with the bus instead of copying it.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::PluginState;
use super::port::{Delivery, Disposition, Port, Refusal};
use crate::bus::Message;
use crate::names::Topic;

/// Messages in one `publish`, and in one batch.
pub const BATCH_MAX: usize = 1024;

/// `selvedge:bus/types.message`.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub struct WireMessage {
    topic: Arc<str>,
    payload: Bytes,
    #[component(name = "content-type")]
    content_type: Option<Arc<str>>,
    #[component(name = "published-at")]
    published_at: u64,
    retain: bool,
    #[component(name = "reply-to")]
    reply_to: Option<Arc<str>>,
    correlation: Option<Bytes>,
    properties: Vec<(Arc<str>, Arc<str>)>,
}

/// `selvedge:bus/publisher.delivery`.
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "only made by lifting")]
pub(super) enum WireDelivery {
    #[component(name = "at-most-once")]
    AtMostOnce,
    #[component(name = "at-least-once")]
    AtLeastOnce,
}

/// `selvedge:bus/publisher.refusal`.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(super) enum WireRefusal {
    #[component(name = "invalid-topic")]
    InvalidTopic,
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "too-large")]
    TooLarge(u32),
    #[component(name = "malformed")]
    Malformed,
    #[component(name = "busy")]
    Busy(u32),
    #[component(name = "too-many-hops")]
    TooManyHops,
}

/// `selvedge:bus/publisher.publish-error`.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct WirePublishError {
    index: u32,
    reason: WireRefusal,
}

/// `selvedge:bus/subscriber.disposition`.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub enum WireDisposition {
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "reject")]
    Reject(String),
}

/// `selvedge:bus/subscriber.failure`.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub struct WireFailure {
    index: u32,
    disposition: WireDisposition,
}

impl From<&Message> for WireMessage {
    fn from(message: &Message) -> Self {
        Self {
            topic: Arc::clone(message.topic.shared()),
            payload: message.payload.clone(),
            content_type: message.content_type.clone(),
            published_at: message.published_at,
            retain: message.retain,
            reply_to: message
                .reply_to
                .as_ref()
                .map(|topic| Arc::clone(topic.shared())),
            correlation: message.correlation.clone(),
            properties: message.properties.iter().cloned().collect(),
        }
    }
}

impl WireMessage {
    /// Parses the topics; bounds and grants are checked behind the port.
    fn into_message(self) -> Result<Message, WireRefusal> {
        let wire = self;
        let topic = Topic::try_from(wire.topic).map_err(|_| WireRefusal::InvalidTopic)?;
        let reply_to = wire.reply_to.map(Topic::try_from).transpose();
        let mut message = Message::new(topic, wire.payload);
        message.reply_to = reply_to.map_err(|_| WireRefusal::Malformed)?;
        message.content_type = wire.content_type;
        message.retain = wire.retain;
        message.correlation = wire.correlation;
        message.properties = wire.properties.into_iter().collect();
        Ok(message)
    }
}

impl From<Refusal> for WireRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotGranted => Self::NotGranted,
            Refusal::TooLarge(max) => Self::TooLarge(max),
            Refusal::Malformed => Self::Malformed,
            Refusal::Busy(ms) => Self::Busy(ms),
            Refusal::TooManyHops => Self::TooManyHops,
        }
    }
}

/// A batch's outcome, message by message, from what `handle` returned.
/// Failures that name no message of the batch are ignored.
pub fn dispositions(count: usize, outcome: Result<(), Vec<WireFailure>>) -> Vec<Disposition> {
    let mut dispositions = vec![Disposition::Done; count];
    for failure in outcome.err().unwrap_or_default() {
        if let Some(slot) = dispositions.get_mut(failure.index as usize) {
            *slot = match failure.disposition {
                WireDisposition::Retry(reason) => Disposition::Retry(reason),
                WireDisposition::Reject(reason) => Disposition::Reject(reason),
            };
        }
    }
    dispositions
}

/// Ready when a message waits or the instance is asked to stop.
struct InboxReady(Arc<dyn Port>);

#[wasmtime_wasi::async_trait]
impl Pollable for InboxReady {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    let mut publisher = linker.instance("selvedge:bus/publisher@0.1.0")?;
    publisher.func_wrap_async("publish", |store, (messages, delivery)| {
        Box::new(async move { Ok((publish(store, messages, delivery).await,)) })
    })?;

    let mut inbox = linker.instance("selvedge:bus/inbox@0.1.0")?;
    inbox.func_wrap(
        "receive",
        |mut store: StoreContextMut<'_, PluginState>, (max,): (u32,)| {
            Ok((receive(store.data_mut(), max),))
        },
    )?;
    inbox.func_wrap(
        "subscribe",
        |mut store: StoreContextMut<'_, PluginState>, (): ()| {
            let state = store.data_mut();
            let ready = state.table.push(InboxReady(Arc::clone(&state.port)))?;
            let pollable: Resource<DynPollable> = subscribe(&mut state.table, ready)?;
            Ok((pollable,))
        },
    )
}

async fn publish(
    mut store: StoreContextMut<'_, PluginState>,
    wires: Vec<WireMessage>,
    delivery: WireDelivery,
) -> Result<(), WirePublishError> {
    let refused = |index: usize, reason| WirePublishError {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        reason,
    };
    // Whatever stops a batch, those before it are accepted.
    let mut stopped = (wires.len() > BATCH_MAX).then(|| refused(BATCH_MAX, WireRefusal::Busy(1)));
    let mut messages = Vec::with_capacity(wires.len().min(BATCH_MAX));
    for (index, wire) in wires.into_iter().take(BATCH_MAX).enumerate() {
        match wire.into_message() {
            Ok(message) => messages.push(message),
            Err(reason) => {
                stopped = Some(refused(index, reason));
                break;
            }
        }
    }
    let delivery = match delivery {
        WireDelivery::AtMostOnce => Delivery::AtMostOnce,
        WireDelivery::AtLeastOnce => Delivery::AtLeastOnce,
    };
    let port = Arc::clone(&store.data_mut().port);
    let outcome = port.publish(messages, delivery).await;
    outcome.map_err(|error| refused(error.index, error.reason.into()))?;
    stopped.map_or(Ok(()), Err)
}

/// Taking more acknowledges what was taken before.
fn receive(state: &mut PluginState, max: u32) -> Result<Vec<WireMessage>, ()> {
    let taken = std::mem::take(&mut state.taken);
    if taken > 0 {
        state.port.settle(vec![Disposition::Done; taken]);
    }
    let max = usize::try_from(max)
        .unwrap_or(usize::MAX)
        .clamp(1, BATCH_MAX);
    // A service is in one call for as long as it lives.
    state
        .port
        .holds(u64::try_from(state.limiter.memory_bytes()).unwrap_or(u64::MAX));
    let messages = state.port.receive(max).map_err(|_| ())?;
    state.taken = messages.len();
    state.progress |= !messages.is_empty();
    Ok(messages
        .iter()
        .map(|message| WireMessage::from(&**message))
        .collect())
}
