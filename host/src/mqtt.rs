//! MQTT 3.1.1 and 5.0 on the wire: packets, read within bounds and written.
//!
//! One codec for both ends, the broker's and the uplinks'. What a packet alone
//! shows to be wrong is refused here; what depends on a session is not this
//! module's business, nor is any connection. Nothing is reserved for what a peer
//! merely announces.

mod buffers;
mod decoder;
mod encoder;
mod error;
mod framed;
mod packet;
mod packet_type;
mod property;
mod reason;

pub use decoder::{Decoder, PacketLimits};
pub use encoder::{
    EncodedPublish, Peer, PublishHead, encode, encode_publish, encode_publish_head, encoded_len,
};
pub use error::{DecodeError, EncodeError, PublishFlaw};
pub use framed::{Framed, Moved, ReceiveError};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Publish, PublishProperties,
    RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe, UserProperties, Version, Will,
};
pub use packet_type::{PacketType, Side};
pub use reason::Reason;

#[cfg(test)]
mod tests;
