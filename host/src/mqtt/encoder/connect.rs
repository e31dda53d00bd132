//! CONNECT, CONNACK, DISCONNECT and AUTH (sections 3.1, 3.2, 3.14, 3.15).

use std::num::NonZeroU16;

use super::{Out, Property};
use crate::mqtt::{Auth, ConnAck, Connect, Disconnect, Reason, Version, Will};
use crate::names::Qos;

pub(super) fn connect(connect: &Connect, version: Version, out: &mut Out<'_>) {
    if connect.version != version {
        return out.invalid("it is of another version");
    }
    if version == Version::V311 && connect.password.is_some() && connect.username.is_none() {
        return out.invalid("a password without a user name");
    }
    if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return out.invalid("a lasting session without a client id");
    }
    out.field(b"MQTT");
    out.u8(match version {
        Version::V311 => 4,
        Version::V5 => 5,
    });
    out.u8(connect_flags(connect));
    out.u16(connect.keep_alive_s);
    if version == Version::V5 {
        out.properties(|out| connect_properties(connect, out));
    }
    out.field(connect.client_id.as_bytes());
    if let Some(will) = &connect.will {
        if version == Version::V5 {
            out.properties(|out| will_properties(will, out));
        }
        out.field(will.topic.as_str().as_bytes());
        out.field(&will.payload);
    }
    if let Some(username) = &connect.username {
        out.field(username.as_bytes());
    }
    if let Some(password) = &connect.password {
        out.field(password);
    }
}

fn connect_flags(connect: &Connect) -> u8 {
    let will = connect.will.as_ref().map_or(0, |will| {
        1 << 2 | will.qos.level() << 3 | u8::from(will.retain) << 5
    });
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.username.is_some()) << 7
}

fn connect_properties(connect: &Connect, out: &mut Out<'_>) {
    if connect.session_expiry_s != 0 {
        out.property(Property::SessionExpiry(connect.session_expiry_s));
    }
    if connect.receive_max != NonZeroU16::MAX {
        out.property(Property::ReceiveMax(connect.receive_max));
    }
    if let Some(max) = connect.packet_bytes_max {
        out.property(Property::PacketBytesMax(max));
    }
    if connect.topic_alias_max != 0 {
        out.property(Property::TopicAliasMax(connect.topic_alias_max));
    }
    if connect.request_response_information {
        out.property(Property::RequestResponseInformation(true));
    }
    if !connect.request_problem_information {
        out.property(Property::RequestProblemInformation(false));
    }
    if let Some(method) = &connect.authentication_method {
        out.property(Property::AuthMethod(method));
    }
    if let Some(data) = &connect.authentication_data {
        if connect.authentication_method.is_none() {
            out.invalid("authentication data without a method");
        }
        out.property(Property::AuthData(data));
    }
    out.user(&connect.user);
}

fn will_properties(will: &Will, out: &mut Out<'_>) {
    let properties = &will.properties;
    if will.delay_s != 0 {
        out.property(Property::WillDelay(will.delay_s));
    }
    if properties.utf8 {
        out.property(Property::PayloadFormat(true));
    }
    if let Some(seconds) = properties.expiry_s {
        out.property(Property::MessageExpiry(seconds));
    }
    if let Some(text) = &properties.content_type {
        out.property(Property::ContentType(text));
    }
    if let Some(topic) = &properties.response_topic {
        out.property(Property::ResponseTopic(topic.as_str()));
    }
    if let Some(data) = &properties.correlation {
        out.property(Property::Correlation(data));
    }
    out.user(&properties.user);
}

pub(super) fn conn_ack(ack: &ConnAck, version: Version, out: &mut Out<'_>) {
    if ack.session_present && ack.reason != Reason::SUCCESS {
        return out.invalid("a session that was refused is present");
    }
    out.u8(u8::from(ack.session_present));
    match version {
        Version::V311 => out.u8(ack.reason.return_code()),
        Version::V5 => {
            out.u8(ack.reason.0);
            out.properties(|out| {
                conn_ack_limits(ack, out);
                conn_ack_texts(ack, out);
            });
        }
    }
}

fn conn_ack_limits(ack: &ConnAck, out: &mut Out<'_>) {
    if let Some(seconds) = ack.session_expiry_s {
        out.property(Property::SessionExpiry(seconds));
    }
    if let Some(max) = ack.receive_max {
        out.property(Property::ReceiveMax(max));
    }
    if let Some(qos @ (Qos::AtMostOnce | Qos::AtLeastOnce)) = ack.qos_max {
        out.property(Property::QosMax(qos));
    }
    if let Some(max) = ack.packet_bytes_max {
        out.property(Property::PacketBytesMax(max));
    }
    if ack.topic_alias_max != 0 {
        out.property(Property::TopicAliasMax(ack.topic_alias_max));
    }
    if let Some(seconds) = ack.keep_alive_s {
        out.property(Property::KeepAlive(seconds));
    }
    // What is not said is available.
    if !ack.retain_available {
        out.property(Property::RetainAvailable(false));
    }
    if !ack.wildcards_available {
        out.property(Property::WildcardsAvailable(false));
    }
    if !ack.subscription_ids_available {
        out.property(Property::SubscriptionIdsAvailable(false));
    }
    if !ack.shared_available {
        out.property(Property::SharedAvailable(false));
    }
}

fn conn_ack_texts(ack: &ConnAck, out: &mut Out<'_>) {
    if let Some(id) = &ack.assigned_client_id {
        out.property(Property::AssignedClientId(id));
    }
    out.diagnostics(ack.reason_text.as_ref(), &ack.user);
    if let Some(text) = &ack.response_information {
        out.property(Property::ResponseInformation(text));
    }
    if let Some(text) = &ack.server_reference {
        out.property(Property::ServerReference(text));
    }
    if let Some(method) = &ack.authentication_method {
        out.property(Property::AuthMethod(method));
    }
    if let Some(data) = &ack.authentication_data {
        out.property(Property::AuthData(data));
    }
}

pub(super) fn disconnect(disconnect: &Disconnect, version: Version, out: &mut Out<'_>) {
    if version == Version::V311 {
        return;
    }
    let properties = |out: &mut Out<'_>| {
        if let Some(seconds) = disconnect.session_expiry_s {
            out.property(Property::SessionExpiry(seconds));
        }
        out.diagnostics(disconnect.reason_text.as_ref(), &disconnect.user);
        if let Some(text) = &disconnect.server_reference {
            out.property(Property::ServerReference(text));
        }
    };
    let bare = out.has_none(properties);
    if !bare || disconnect.reason != Reason::SUCCESS {
        out.u8(disconnect.reason.0);
    }
    if !bare {
        out.properties(properties);
    }
}

pub(super) fn auth(auth: &Auth, version: Version, out: &mut Out<'_>) {
    if version == Version::V311 {
        return out.invalid("3.1.1 has none");
    }
    let Some(method) = &auth.method else {
        let empty = auth.data.is_none() && auth.reason_text.is_none() && auth.user.is_empty();
        if !empty || auth.reason != Reason::SUCCESS {
            out.invalid("no authentication method");
        }
        return;
    };
    out.u8(auth.reason.0);
    out.properties(|out| {
        out.property(Property::AuthMethod(method));
        if let Some(data) = &auth.data {
            out.property(Property::AuthData(data));
        }
        out.diagnostics(auth.reason_text.as_ref(), &auth.user);
    });
}

impl ConnAck {
    /// With nothing but a reason: all is available, and no limit is set.
    pub fn new(reason: Reason) -> Self {
        Self {
            session_present: false,
            reason,
            session_expiry_s: None,
            receive_max: None,
            qos_max: None,
            retain_available: true,
            packet_bytes_max: None,
            assigned_client_id: None,
            topic_alias_max: 0,
            reason_text: None,
            user: Vec::new(),
            wildcards_available: true,
            subscription_ids_available: true,
            shared_available: true,
            keep_alive_s: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

impl Disconnect {
    /// With nothing but a reason.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            session_expiry_s: None,
            reason_text: None,
            user: Vec::new(),
            server_reference: None,
        }
    }
}
