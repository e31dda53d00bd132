//! What the adapter needs of the world, so that it runs the same in the
//! sandbox and in native tests.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use selvedge_plugin::{Message, PublishError};

/// A byte stream to a device.
pub trait Stream {
    /// Reads some bytes, at least one; 0 means that the peer has closed.
    /// Nothing is lost when the future is dropped before it is ready.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;

    /// Writes all bytes.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>>;
}

/// Connections and time.
pub trait Net {
    /// What a connection gives.
    type Stream: Stream;

    /// Connects to `host:port`.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Time since some fixed moment.
    fn now(&self) -> Duration;

    /// Seconds since the Unix epoch.
    fn wall(&self) -> f64;
}

/// The host asks the plugin to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping;

/// The bus and the host's log.
pub trait Bus {
    /// Waits for messages and takes up to `max`; taking more acknowledges
    /// those before.
    fn receive(&self, max: u32) -> impl Future<Output = Result<Vec<Message>, Stopping>>;

    /// Publishes one message.
    ///
    /// # Errors
    /// The bus refuses it.
    fn publish(&self, message: Message) -> Result<(), PublishError>;

    /// Logs something unexpected.
    fn warn(&self, text: &str);

    /// Logs a fact of a device's life.
    fn info(&self, text: &str);
}

/// `future`'s output, or `None` once `duration` has passed.
pub async fn within<T>(
    net: &impl Net,
    duration: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(future), pin!(net.sleep(duration))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
