//! CONNACK, DISCONNECT and AUTH (sections 3.2, 3.14, 3.15).

use super::fields::{owned, shared};
use super::{Fields, Reader, push_user};
use crate::mqtt::property::Property;
use crate::mqtt::reason::allowed;
use crate::mqtt::{
    Auth, ConnAck, DecodeError, Disconnect, PacketType, Reason, Side, UserProperties, Version,
};

const SESSION_PRESENT: u8 = 0x01;

impl Reader<'_> {
    pub(super) fn conn_ack(&self, mut fields: Fields<'_>) -> Result<ConnAck, DecodeError> {
        let flags = fields.u8()?;
        let code = fields.u8()?;
        let reason = match self.version {
            Version::V5 => self.reason(PacketType::ConnAck, code, &fields)?,
            Version::V311 => {
                Reason::of_return_code(code).ok_or(fields.malformed("a reserved return code"))?
            }
        };
        let mut ack = ConnAck::new(reason);
        ack.session_present = flags & SESSION_PRESENT != 0;
        if flags & !SESSION_PRESENT != 0 {
            return Err(fields.malformed("reserved flags"));
        }
        if ack.session_present && reason != Reason::SUCCESS {
            return Err(fields.protocol("a session that was refused is present"));
        }
        if self.version == Version::V5 {
            self.conn_ack_properties(&mut fields, &mut ack)?;
        }
        fields.end()?;
        Ok(ack)
    }

    fn conn_ack_properties(
        &self,
        fields: &mut Fields<'_>,
        ack: &mut ConnAck,
    ) -> Result<(), DecodeError> {
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match property {
                Property::SessionExpiry(seconds) => ack.session_expiry_s = Some(seconds),
                Property::ReceiveMax(max) => ack.receive_max = Some(max),
                Property::QosMax(qos) => ack.qos_max = Some(qos),
                Property::RetainAvailable(yes) => ack.retain_available = yes,
                Property::PacketBytesMax(max) => ack.packet_bytes_max = Some(max),
                Property::AssignedClientId(id) => ack.assigned_client_id = shared(id),
                Property::TopicAliasMax(max) => ack.topic_alias_max = max,
                Property::ReasonText(text) => ack.reason_text = shared(text),
                Property::User(name, value) => {
                    push_user(&mut ack.user, (name, value), self.limits, fields)?;
                }
                Property::WildcardsAvailable(yes) => ack.wildcards_available = yes,
                Property::SubscriptionIdsAvailable(yes) => ack.subscription_ids_available = yes,
                Property::SharedAvailable(yes) => ack.shared_available = yes,
                Property::KeepAlive(seconds) => ack.keep_alive_s = Some(seconds),
                Property::ResponseInformation(text) => ack.response_information = shared(text),
                Property::ServerReference(text) => ack.server_reference = shared(text),
                Property::AuthMethod(method) => ack.authentication_method = shared(method),
                Property::AuthData(data) => ack.authentication_data = owned(data),
                _ => return Err(properties.misplaced()),
            }
        }
        Ok(())
    }

    pub(super) fn disconnect(&self, mut fields: Fields<'_>) -> Result<Disconnect, DecodeError> {
        let mut disconnect = Disconnect::new(Reason::SUCCESS);
        if self.version == Version::V311 || fields.is_empty() {
            fields.end()?;
            return Ok(disconnect);
        }
        let code = fields.u8()?;
        disconnect.reason = self.reason(PacketType::Disconnect, code, &fields)?;
        if fields.is_empty() {
            return Ok(disconnect);
        }
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match (property, self.side) {
                (Property::SessionExpiry(seconds), Side::Server) => {
                    disconnect.session_expiry_s = Some(seconds);
                }
                (Property::ServerReference(text), Side::Client) => {
                    disconnect.server_reference = shared(text);
                }
                (Property::SessionExpiry(_) | Property::ServerReference(_), _) => {
                    return Err(fields.protocol("a property of the other end"));
                }
                (Property::ReasonText(text), _) => disconnect.reason_text = shared(text),
                (Property::User(name, value), _) => {
                    push_user(&mut disconnect.user, (name, value), self.limits, &fields)?;
                }
                _ => return Err(properties.misplaced()),
            }
        }
        fields.end()?;
        Ok(disconnect)
    }

    pub(super) fn auth(&self, mut fields: Fields<'_>) -> Result<Auth, DecodeError> {
        let mut auth = Auth {
            reason: Reason::SUCCESS,
            method: None,
            data: None,
            reason_text: None,
            user: UserProperties::new(),
        };
        if fields.is_empty() {
            self.reason(PacketType::Auth, auth.reason.0, &fields)?;
            return Ok(auth);
        }
        let code = fields.u8()?;
        auth.reason = self.reason(PacketType::Auth, code, &fields)?;
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match property {
                Property::AuthMethod(method) => auth.method = shared(method),
                Property::AuthData(data) => auth.data = owned(data),
                Property::ReasonText(text) => auth.reason_text = shared(text),
                Property::User(name, value) => {
                    push_user(&mut auth.user, (name, value), self.limits, &fields)?;
                }
                _ => return Err(properties.misplaced()),
            }
        }
        if auth.method.is_none() {
            return Err(fields.protocol("no authentication method"));
        }
        fields.end()?;
        Ok(auth)
    }

    /// A reason code that the other end may send in `packet`. A server may come to
    /// have more failures than are known here; they are failures all the same, and
    /// no grounds to leave it.
    pub(super) fn reason(
        &self,
        packet: PacketType,
        code: u8,
        fields: &Fields<'_>,
    ) -> Result<Reason, DecodeError> {
        let reason = Reason(code);
        let known = allowed(packet, self.side).contains(&code);
        if known || (self.side == Side::Client && reason.is_failure()) {
            return Ok(reason);
        }
        Err(fields.protocol("a reason code that it cannot have"))
    }
}
