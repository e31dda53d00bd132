//! Messages: those that are kept, those that pass, and one's own.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use futures::stream;
use tokio::time::timeout;

use crate::api::lines;
use crate::api::refusal::Refusal;
use crate::api::request::{Asked, json, nothing};
use crate::api::wire::message::time;
use crate::api::wire::{KeptTopic, Tapped, WireMessage};
use crate::bus::{Inbox, InboxLimits, Message, Party, Receipt};
use crate::names::TopicFilter;
use crate::spec::Overflow;

/// Topics in one answer, unless asked for fewer.
const TOPICS: usize = 1_000;
const TOPICS_MAX: usize = 10_000;
/// Filters of one tap.
const FILTERS_MAX: usize = 16;
/// Messages taken to a tap at once.
const BATCH: usize = 64;
/// What waits for the reader of a tap.
const TAP: InboxLimits = InboxLimits {
    messages_max: 1_024,
    bytes_max: 4 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};
/// Bytes of a message to be published, as JSON.
const MESSAGE_BYTES_MAX: u64 = 4 << 20;
/// How long publishing waits for subscribers that make publishers wait.
const ROOM_MAX: Duration = Duration::from_secs(5);
/// How long it waits until all who answer for the message are done with it.
const SETTLED_MAX: Duration = Duration::from_secs(15);

/// What a reader of filters is told if they are none.
const FILTER: &str = "a topic filter without a share group";

pub(in crate::api) async fn topics(asked: Asked) -> Result<Response, Refusal> {
    let filter: Option<TopicFilter> = asked.query.value("filter", FILTER)?;
    let limit = asked.query.count("limit", TOPICS, TOPICS_MAX)?;
    let all = ["#", "$selvedge/#"].map(|all| all.parse());
    let all = all.into_iter().flatten().collect();
    let filters: Vec<TopicFilter> = filter.map_or(all, |filter| vec![filter]);
    let kept = asked.api.bus.kept(&filters, limit);
    let topic = |message: &Arc<Message>| KeptTopic {
        topic: message.topic.to_string(),
        bytes: message.payload.len() as u64,
        published_at: time(message.published_at),
    };
    let topics: Vec<_> = kept.iter().map(topic).collect();
    json(StatusCode::OK, &topics)
}

/// One who listens in.
struct Tap {
    party: Party,
    inbox: Inbox,
    /// Whether kept values are shown.
    kept: bool,
    missed: u64,
    taken: Vec<Arc<Message>>,
}

pub(in crate::api) async fn tap(asked: Asked) -> Result<Response, Refusal> {
    let filters = filters(&asked)?;
    let kept = asked.query.switch("kept")?;
    let permit = lines::permit(&asked)?;
    let name = "tap".parse().expect("a constant that is a name");
    let party = asked.api.bus.unlisted(name);
    let tap = Tap {
        inbox: party.subscribe(&filters, TAP)?,
        party,
        kept,
        missed: 0,
        taken: Vec::with_capacity(BATCH),
    };
    let source = stream::unfold(tap, |mut tap| async move {
        let batch = tap.next().await;
        Some((batch, tap))
    });
    Ok(lines::answer(&asked, permit, source))
}

impl Tap {
    async fn next(&mut self) -> Vec<Tapped> {
        let mut batch = Vec::new();
        while batch.is_empty() {
            self.inbox.receive(BATCH, &mut self.taken).await;
            let missed = self.party.status().dropped_total;
            if missed > self.missed {
                let messages = missed - self.missed;
                self.missed = missed;
                batch.push(Tapped::Missed { messages });
            }
            let shown = self.taken.drain(..);
            let shown = shown.filter(|message| self.kept || !message.retain);
            batch.extend(shown.map(|message| Tapped::Message(WireMessage::from(&*message))));
        }
        batch
    }
}

fn filters(asked: &Asked) -> Result<Vec<TopicFilter>, Refusal> {
    let invalid = || Refusal::Value {
        name: "filter",
        expected: FILTER,
    };
    let filters = asked.query.all("filter").map(|text| {
        let filter: TopicFilter = text.parse().map_err(|_| invalid())?;
        // It would take messages away from others.
        filter
            .group()
            .is_none()
            .then_some(filter)
            .ok_or_else(invalid)
    });
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    match filters.len() {
        0 => Err(Refusal::Missing("filter")),
        1..=FILTERS_MAX => Ok(filters),
        _ => Err(Refusal::Value {
            name: "filter",
            expected: "given 16 times at most",
        }),
    }
}

pub(in crate::api) async fn publish(mut asked: Asked) -> Result<Response, Refusal> {
    let wire: WireMessage = asked.body.json(MESSAGE_BYTES_MAX).await?;
    let mut message = Message::try_from(wire)?;
    let settles = asked.query.switch("settled")?;
    let (receipt, mut settled) = Receipt::new();
    message.receipt = settles.then_some(receipt);
    let Ok(operator) = &asked.api.operator else {
        return Err(Refusal::NoOperator);
    };
    let outcome = crate::api::request::Outcome(message.topic.to_string());
    let published = timeout(ROOM_MAX, operator.publish_waiting(message)).await;
    published.map_err(|_| Refusal::NoRoom)??;
    if settles {
        timeout(SETTLED_MAX, &mut settled)
            .await
            .map_err(|_| Refusal::NotSettled)?;
        if settled.is_refused() {
            return Err(Refusal::NotKept);
        }
    }
    let mut response = nothing();
    response.extensions_mut().insert(outcome);
    Ok(response)
}
