//! One connection, from its first MQTT byte to its end.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::shared::{Peer, Shared};

/// Serves one client until it or its connection ends, or `stop`: then it is told
/// that the server shuts down, which takes no longer than a second.
pub(super) async fn serve<S>(
    _stream: S,
    _peer: Peer,
    _shared: Arc<Shared>,
    _stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
}
