//! What a device publishes, and what it is answered when.
//!
//! Answers go out in the order of the messages, each when all who owe the message
//! have done with it. A message for which somebody has no room waits, and nothing
//! more is read until it is through. For a session that lasts, the identifier of a
//! QoS 2 message is on the disk before PUBREC, and off it before PUBCOMP.

mod identifiers;
mod overdue;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

use self::identifiers::Identifiers;
use super::{Connection, Ended};
use crate::broker::inflight::Arrival;
use crate::broker::rare_queue::RareQueue;
use crate::broker::session::Session;
use crate::broker::store::StoreError;
use crate::broker::translate::{self, Head};
use crate::bus::{PublishError, Reach, Receipt, Settled};
use crate::mqtt::{Ack, Packet, PacketId, Publish, Reason, Version};
use crate::names::{Qos, Topic};

/// QoS 2 messages of a 3.1.1 device that are not released; MQTT 5.0 has a window.
const UNRELEASED_MAX: usize = 1_024;

type Published = Pin<Box<dyn Future<Output = Result<Reach, PublishError>> + Send>>;
type Written = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// What a device is still to be answered.
#[derive(Default)]
pub(super) struct Owed {
    answers: RareQueue<Answer>,
    /// A message that is not through, and what it will be answered.
    waiting: Option<Box<Waiting>>,
    identifiers: Option<Box<Identifiers>>,
}

/// A message that somebody has no room for yet.
struct Waiting {
    topic: Topic,
    since: Instant,
    published: Published,
    done: Option<Result<Reach, PublishError>>,
    answer: Option<Answer>,
}

/// One answer.
struct Answer {
    id: PacketId,
    qos: Qos,
    reason: Reason,
    /// None: it may go out.
    settled: Option<Settled>,
    /// Where it was published, to be told if nobody settles it.
    topic: Option<Topic>,
    since: Instant,
}

impl Answer {
    fn is_settled(&self) -> bool {
        self.settled.as_ref().is_none_or(Settled::is_settled)
    }

    /// Whether somebody could not answer for the message.
    fn is_refused(&self) -> bool {
        self.settled.as_ref().is_some_and(Settled::is_refused)
    }

    /// Whether its message, once settled, is not to be taken in again.
    fn is_taken_in(&self) -> bool {
        self.qos == Qos::ExactlyOnce && !self.reason.is_failure() && !self.is_refused()
    }

    fn packet(&self) -> Packet {
        let ack = ack(self.id, self.reason);
        match self.qos {
            Qos::ExactlyOnce => Packet::PubRec(ack),
            _ => Packet::PubAck(ack),
        }
    }
}

pub(super) fn ack(packet_id: PacketId, reason: Reason) -> Ack {
    Ack {
        packet_id,
        reason,
        reason_text: None,
        user: Vec::new(),
    }
}

impl Owed {
    /// Whether nothing more may be read.
    pub(super) fn blocks(&self) -> bool {
        self.waiting.is_some()
    }

    /// Messages not answered.
    pub(super) fn len(&self) -> usize {
        self.answers.len() + usize::from(self.waiting.is_some())
    }

    /// True: something moved.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some(waiting) = &mut self.waiting
            && waiting.done.is_none()
            && let Poll::Ready(done) = waiting.published.as_mut().poll(context)
        {
            waiting.done = Some(done);
            moved = true;
        }
        let identifiers = self.identifiers.as_mut();
        moved |= identifiers.is_some_and(|own| own.poll(context));
        let waits = self.writing().is_some();
        let first = self.answers.front_mut();
        // One that is settled and still there waits for what is being written.
        if let Some(settled) = first.and_then(|first| first.settled.as_mut())
            && !(waits && settled.is_settled())
        {
            moved |= Pin::new(settled).poll(context).is_ready();
        }
        moved
    }

    /// What is left of it when the connection ends: the device, of which so many
    /// messages may be known, will send these again, and they must not come twice.
    pub(super) fn leave(mut self, session: &mut Session, unreleased_max: usize) {
        if session.lasting.is_none() {
            return;
        }
        for answer in self.answers.drain() {
            if let (Qos::ExactlyOnce, Some(settled)) = (answer.qos, answer.settled)
                && !answer.reason.is_failure()
                && session.received.look(answer.id, true) == Arrival::New
            {
                session.leave_unsettled(answer.id, answer.reason, settled);
            }
        }
        session.bound_unsettled(unreleased_max);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn publish(&mut self, publish: Publish) -> Result<(), Ended> {
        self.shared.counters.received_total.add(1);
        self.spend(publish.payload.len() as u64);
        let alias = publish.properties.topic_alias;
        let resolved = match (publish.topic, alias) {
            (Some(topic), None) => Ok(topic),
            (topic, alias) => {
                let known = self.incoming.get_or_insert_default();
                known.resolve(topic, alias)
            }
        };
        let Ok(topic) = resolved else {
            return Err(Ended::fault(Reason::TOPIC_ALIAS_INVALID, "topic-alias"));
        };
        let (qos, id) = (publish.qos, publish.packet_id);
        if let Some(id) = id {
            // What is known already is under way already.
            if qos == Qos::ExactlyOnce && self.is_known(id, publish.dup)? {
                return Ok(());
            }
            self.admit(qos)?;
        }
        if topic.is_system() {
            return self.refuse_publish(qos, id, Reason::TOPIC_NAME_INVALID, "topic-reserved");
        }
        let head = Head {
            topic: topic.clone(),
            qos,
            retain: publish.retain,
        };
        let origin = self.session.origin;
        let mut message = translate::message(head, publish.payload, publish.properties, origin);
        let answer = id.map(|id| {
            let (receipt, settled) = Receipt::new();
            message.receipt = Some(receipt);
            Answer {
                id,
                qos,
                reason: Reason::SUCCESS,
                settled: Some(settled),
                topic: Some(topic.clone()),
                since: Instant::now(),
            }
        });
        let party = self.session.party.clone();
        let mut published: Published =
            Box::pin(async move { party.publish_waiting(message).await });
        let mut context = Context::from_waker(Waker::noop());
        match published.as_mut().poll(&mut context) {
            Poll::Ready(done) => self.published(done, answer),
            Poll::Pending => {
                self.owed.waiting = Some(Box::new(Waiting {
                    topic,
                    since: Instant::now(),
                    published,
                    done: None,
                    answer,
                }));
                Ok(())
            }
        }
    }

    /// Counts a message, or what costs as much, against the device's rate.
    pub(super) fn spend(&mut self, bytes: u64) {
        if let Some(wait) = self.place.spend(bytes) {
            self.read_from = Some(Instant::now() + wait);
        }
    }

    /// QoS 2 messages of the device that may be known and not released.
    pub(super) fn unreleased_max(&self) -> usize {
        let receive_max = self.receive_max.into();
        match self.wire.version() {
            Version::V5 => receive_max,
            Version::V311 => UNRELEASED_MAX.max(receive_max),
        }
    }

    /// Whether the device may have one more message under way.
    fn admit(&self, qos: Qos) -> Result<(), Ended> {
        let unreleased = self.session.received.len() + self.owed.releasing();
        let over = match self.wire.version() {
            Version::V5 => self.owed.unknown() + unreleased >= self.receive_max.into(),
            Version::V311 => qos == Qos::ExactlyOnce && unreleased >= UNRELEASED_MAX,
        };
        if over {
            let code = "receive-maximum-exceeded";
            return Err(Ended::fault(Reason::RECEIVE_MAX_EXCEEDED, code));
        }
        Ok(())
    }

    /// A message went through or was refused.
    fn published(
        &mut self,
        done: Result<Reach, PublishError>,
        answer: Option<Answer>,
    ) -> Result<(), Ended> {
        let reason = match done {
            Ok(Reach::Some) => Reason::SUCCESS,
            Ok(Reach::Nobody) => Reason::NO_MATCHING_SUBSCRIBERS,
            Err(error) => {
                let reason = reason(&error);
                if reason == Reason::NOT_AUTHORIZED {
                    self.shared.counters.not_granted_total.add(1);
                }
                let (qos, id) = answered(answer.as_ref());
                return self.refuse_publish(qos, id, reason, error.code());
            }
        };
        match answer {
            Some(answer) => self.owe(Answer { reason, ..answer }),
            None => Ok(()),
        }
    }

    /// Answers that a message was not taken.
    pub(super) fn refuse_publish(
        &mut self,
        qos: Qos,
        id: Option<PacketId>,
        reason: Reason,
        code: &'static str,
    ) -> Result<(), Ended> {
        let device = &self.session.device.name;
        debug!(%device, code, "message of a device refused");
        let Some(id) = id else {
            return Ok(());
        };
        if self.wire.version() == Version::V311 {
            return Err(Ended::fault(reason, code));
        }
        self.owe(Answer {
            id,
            qos,
            reason,
            settled: None,
            topic: None,
            since: Instant::now(),
        })
    }

    fn owe(&mut self, answer: Answer) -> Result<(), Ended> {
        let lasts = answer.qos == Qos::ExactlyOnce && self.session.lasting.is_some();
        if self.owed.answers.is_empty() && answer.is_settled() && !lasts {
            return self.answer(answer);
        }
        self.owed.answers.push_back(answer);
        Ok(())
    }

    fn answer(&mut self, mut answer: Answer) -> Result<(), Ended> {
        if answer.is_refused() {
            let code = "message-not-kept";
            if self.wire.version() == Version::V311 {
                // It sends the message again when it is back.
                return Err(Ended::fault(Reason::IMPLEMENTATION_SPECIFIC, code));
            }
            answer.reason = Reason::IMPLEMENTATION_SPECIFIC;
        }
        if answer.is_taken_in() {
            self.session.received.insert(answer.id);
        }
        self.send(&answer.packet())
    }

    /// Answers what is settled, in order.
    pub(super) fn pay(&mut self) -> Result<(), Ended> {
        if let Some(waiting) = self.owed.waiting.take_if(|waiting| waiting.done.is_some()) {
            let Waiting { done, answer, .. } = *waiting;
            if let Some(done) = done {
                self.published(done, answer)?;
            }
        }
        self.identifiers_written()?;
        while let Some(first) = self.owed.answers.front()
            && first.is_settled()
            && !(self.session.lasting.is_some() && first.is_taken_in())
        {
            if let Some(first) = self.owed.answers.pop_front() {
                self.answer(first)?;
            }
        }
        self.write_identifiers();
        if !self.unfinished {
            self.owed.answers.shrink();
            self.owed.identifiers.take_if(|own| own.is_empty());
        }
        Ok(())
    }

    /// Writes what the session is now; None: it does not last.
    pub(super) fn write_record(&mut self) -> Option<Written> {
        let record = self.session.record(None)?;
        let lasting = self.session.lasting.as_mut()?;
        // Even if it fails: what may be there is to be removed at the end.
        lasting.recorded = true;
        let store = lasting.store.clone();
        Some(Box::pin(async move {
            store.set(vec![(record.key(), Some(record.encode()))]).await
        }))
    }
}

/// What a message that is to be answered so came as.
fn answered(answer: Option<&Answer>) -> (Qos, Option<PacketId>) {
    answer.map_or((Qos::AtMostOnce, None), |answer| {
        (answer.qos, Some(answer.id))
    })
}

/// What to tell a device whose message was not taken.
fn reason(error: &PublishError) -> Reason {
    match error {
        PublishError::NotGranted { .. } => Reason::NOT_AUTHORIZED,
        PublishError::TooLarge { .. } | PublishError::Busy { .. } => Reason::QUOTA_EXCEEDED,
        PublishError::Malformed { .. } | PublishError::TooManyHops { .. } => {
            Reason::IMPLEMENTATION_SPECIFIC
        }
    }
}
