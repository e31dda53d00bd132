//! What 3.1.1 can say of a packet of 5.0.

use std::num::NonZeroU16;

use crate::mqtt::{
    Ack, ConnAck, Connect, Disconnect, Packet, PublishProperties, Reason, RetainHandling, Version,
};

/// `packet` as 3.1.1 has it; None: it has none.
pub(super) fn reduced(packet: &Packet) -> Option<Packet> {
    let bare = |ack: &Ack| Ack::new(ack.packet_id, Reason::SUCCESS);
    Some(match packet.clone() {
        Packet::Connect(connect) => reduced_connect(*connect),
        Packet::ConnAck(ack) => {
            let mut plain = ConnAck::new(Reason::of_return_code(ack.reason.return_code())?);
            plain.session_present = ack.session_present;
            Packet::ConnAck(Box::new(plain))
        }
        Packet::Publish(mut publish) => {
            publish.properties = PublishProperties::default();
            publish.topic.as_ref()?;
            Packet::Publish(publish)
        }
        Packet::PubAck(ack) => Packet::PubAck(bare(&ack)),
        Packet::PubRec(ack) => Packet::PubRec(bare(&ack)),
        Packet::PubRel(ack) => Packet::PubRel(bare(&ack)),
        Packet::PubComp(ack) => Packet::PubComp(bare(&ack)),
        Packet::Subscribe(mut subscribe) => {
            subscribe.subscription_id = None;
            subscribe.user.clear();
            for subscription in &mut subscribe.subscriptions {
                subscription.no_local = false;
                subscription.retain_as_published = false;
                subscription.retain_handling = RetainHandling::Send;
            }
            Packet::Subscribe(subscribe)
        }
        Packet::Unsubscribe(mut unsubscribe) => {
            unsubscribe.user.clear();
            Packet::Unsubscribe(unsubscribe)
        }
        Packet::SubAck(mut ack) => {
            (ack.reason_text, ack.user) = (None, Vec::new());
            for reason in &mut ack.reasons {
                *reason = Reason(reason.0.min(0x80));
            }
            Packet::SubAck(ack)
        }
        Packet::UnsubAck(mut ack) => {
            (ack.reason_text, ack.user, ack.reasons) = (None, Vec::new(), Vec::new());
            Packet::UnsubAck(ack)
        }
        Packet::Disconnect(_) => Packet::Disconnect(Disconnect::new(Reason::SUCCESS)),
        Packet::Auth(_) => return None,
        ping @ (Packet::PingReq | Packet::PingResp) => ping,
    })
}

fn reduced_connect(connect: Connect) -> Packet {
    let will = connect.will.map(|mut will| {
        will.delay_s = 0;
        will.properties = PublishProperties::default();
        will
    });
    Packet::Connect(Box::new(Connect {
        version: Version::V311,
        clean_start: connect.clean_start || connect.client_id.is_empty(),
        will,
        password: connect.password.filter(|_| connect.username.is_some()),
        session_expiry_s: 0,
        receive_max: NonZeroU16::MAX,
        packet_bytes_max: None,
        topic_alias_max: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
        user: Vec::new(),
        ..connect
    }))
}
