//! Identifiers of QoS 2 messages, which are on the disk before PUBREC if the
//! session lasts.

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::warn;

use super::{Connection, Ended};
use crate::broker::store::StoreError;
use crate::mqtt::Reason;
use crate::names::Qos;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to write the identifiers of the first QoS 2 messages that are settled.
    pub(super) fn write_identifiers(&mut self) {
        let mut count = 0;
        for answer in &self.owed.answers {
            if answer.qos != Qos::ExactlyOnce || !answer.is_settled() || answer.is_refused() {
                break;
            }
            if !answer.reason.is_failure() {
                self.session.received.insert(answer.id);
            }
            count += 1;
        }
        if let Some(write) = self.write_record() {
            self.owed.writing = Some((count, write));
        }
    }

    pub(super) fn identifiers_written(
        &mut self,
        written: Result<(), StoreError>,
    ) -> Result<(), Ended> {
        let count = self.owed.writing.take().map_or(0, |(count, _)| count);
        let answers: Vec<_> = self.owed.answers.drain(..count).collect();
        if let Err(error) = written {
            // The device sends them again: better twice than never.
            for answer in &answers {
                self.session.received.release(answer.id);
            }
            let device = &self.session.device.name;
            warn!(%device, error = error.code(), "messages of a device not acknowledged");
            return Err(Ended::fault(Reason::IMPLEMENTATION_SPECIFIC, error.code()));
        }
        for answer in answers {
            self.answer(answer)?;
        }
        Ok(())
    }
}
