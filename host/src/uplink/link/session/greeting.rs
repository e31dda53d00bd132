//! The greeting: who we are, and what the target lets us do.
//!
//! It ends with the target's answer. Nothing else may come before it, and what it
//! bounds, messages in flight, sizes, time without a word, is kept to from then on.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{PACKET_BYTES_MAX, Session, UNSETTLED_MAX};
use crate::mqtt::{Connect, Packet, Peer};
use crate::names::Qos;
use crate::uplink::dial::password;
use crate::uplink::link::LinkError;

impl Session<'_> {
    /// Sends CONNECT, and takes the answer or fails with it.
    pub(super) async fn greet(&mut self, keep_alive_s: u16) -> Result<(), LinkError> {
        let config = self.shared.config.clone();
        let password = tokio::task::spawn_blocking(move || password(&config)).await;
        let password = password.map_err(|_| LinkError::Stopped)??;
        let config = &self.shared.config;
        self.put(&Packet::Connect(Box::new(Connect {
            version: self.version,
            clean_start: false,
            keep_alive_s,
            client_id: self.shared.identity.client_id.as_str().into(),
            will: None,
            username: config.username.as_deref().map(Into::into),
            password: password.map(Bytes::from),
            session_expiry_s: config.session_expiry_s.get(),
            receive_max: nonzero!(NonZeroU16, UNSETTLED_MAX),
            packet_bytes_max: Some(nonzero!(NonZeroU32, PACKET_BYTES_MAX)),
            topic_alias_max: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user: Vec::new(),
        })))?;
        while !self.output.is_empty() {
            let written = self.writer.write_buf(&mut self.output).await;
            written.map_err(LinkError::Io)?;
        }
        self.writer.flush().await.map_err(LinkError::Io)?;
        loop {
            if let Some(packet) = self.decode()? {
                return self.greeted(packet);
            }
            if self.is_full() {
                return Err(LinkError::Protocol("the first packet is not CONNACK"));
            }
            self.read().await?;
        }
    }

    fn greeted(&mut self, packet: Packet) -> Result<(), LinkError> {
        let ack = match packet {
            Packet::ConnAck(ack) => ack,
            Packet::Disconnect(told) => return Err(LinkError::Disconnected(told.reason)),
            _ => return Err(LinkError::Protocol("the first packet is not CONNACK")),
        };
        if ack.reason.is_failure() {
            return Err(LinkError::Refused(ack.reason));
        }
        if ack.qos_max == Some(Qos::AtMostOnce) {
            return Err(LinkError::QosUnsupported);
        }
        let told = ack.receive_max.map_or(u16::MAX, NonZeroU16::get);
        self.window = self.window.min(told.into());
        self.retain_available = ack.retain_available;
        self.session_present = ack.session_present;
        self.peer = Peer::new(self.version, ack.packet_bytes_max);
        if let Some(seconds) = ack.keep_alive_s {
            self.keep_alive = Duration::from_secs(seconds.into());
        }
        Ok(())
    }
}
