//! MQTT 3.1.1 and 5.0 on the wire: packets, read within bounds and written.
//!
//! One codec for both ends, the broker's and the uplinks'. What a packet alone
//! shows to be wrong is refused here; what depends on a session is not this
//! module's business, nor is any connection. Nothing is reserved for what a peer
//! merely announces.

mod packet;
mod reason;

pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Publish, PublishProperties,
    RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe, UserProperties, Version, Will,
};
pub use reason::Reason;
