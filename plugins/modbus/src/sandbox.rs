//! The engine's world in the sandbox: sockets, clocks, inbox and bus.

use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use selvedge_plugin::{Message, PublishError, inbox, log};
use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::Pollable;

use crate::net::{Bus, Net, Stopping};
use crate::reactor::ready;
use crate::socket::{self, TcpStream};

/// Sockets and clocks of the sandbox.
pub(crate) struct Sandbox;

impl Net for Sandbox {
    type Stream = TcpStream;

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        socket::connect(address).await
    }

    async fn sleep(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        ready(Rc::new(monotonic_clock::subscribe_duration(nanoseconds))).await;
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    fn wall(&self) -> f64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64()
    }
}

/// The host's bus.
pub(crate) struct HostBus {
    waiting: Rc<Pollable>,
}

impl HostBus {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Rc::new(inbox::subscribe()),
        }
    }
}

impl Bus for HostBus {
    async fn receive(&self, max: u32) -> Result<Vec<Message>, Stopping> {
        loop {
            let messages = inbox::receive(max).map_err(|inbox::Stopping| Stopping)?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            ready(Rc::clone(&self.waiting)).await;
        }
    }

    fn publish(&self, message: Message) -> Result<(), PublishError> {
        selvedge_plugin::publish(message)
    }

    fn warn(&self, text: &str) {
        log::warn(text);
    }

    fn info(&self, text: &str) {
        log::info(text);
    }
}
