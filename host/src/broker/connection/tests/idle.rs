//! What a connection costs while nothing happens.

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, directory};
use crate::broker::connection::Connection;
use crate::broker::session::Session;
use crate::mqtt::Version;

/// Bytes of a connection's task, and of its session: with what the bus, the runtime
/// and the listener keep, 4 KiB are to do.
const TASK_BYTES_MAX: usize = 1_536;
const SESSION_BYTES_MAX: usize = 512;

#[tokio::test]
async fn a_connection_is_small() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    fn size<F>(_: &impl FnOnce(Box<Connection<TcpStream>>, CancellationToken) -> F) -> usize {
        size_of::<F>()
    }
    let task = size(&super::super::serve::<TcpStream>);
    let connection = size_of::<Connection<TcpStream>>();
    assert!(
        task + connection <= TASK_BYTES_MAX,
        "{task} and {connection}"
    );
    let session = size_of::<Session>();
    assert!(session <= SESSION_BYTES_MAX, "{session}");
    broker.client("one", Version::V5).await.disconnect().await;
    broker.stop().await;
}
