//! What a connection costs while nothing happens.

use tokio::net::TcpStream;

use super::broker::{Broker, directory};
use crate::broker::connection::Serving;
use crate::broker::session::Session;
use crate::mqtt::Version;

/// Bytes of a connection, and of its session: with what the bus, the runtime and the
/// listener keep, 2 KiB are to do.
const CONNECTION_BYTES_MAX: usize = 304;
const SESSION_BYTES_MAX: usize = 184;

#[tokio::test]
async fn a_connection_is_small() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let connection = size_of::<Serving<TcpStream>>();
    assert!(connection <= CONNECTION_BYTES_MAX, "{connection}");
    let session = size_of::<Session>();
    assert!(session <= SESSION_BYTES_MAX, "{session}");
    broker.client("one", Version::V5).await.disconnect().await;
    broker.stop().await;
}
