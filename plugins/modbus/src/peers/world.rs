//! The engine's world in these tests: Tokio's sockets and timers, and a bus
//! that the test holds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use selvedge_plugin::senml::{self, Quality, Record};
use selvedge_plugin::{Message, PublishError, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::net::{Bus, Net, Stopping, Stream};

/// Longer than anything here takes; only a failing test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

struct Sockets {
    start: Instant,
}

impl Net for Sockets {
    type Stream = tokio::net::TcpStream;

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        tokio::net::TcpStream::connect(address).await
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> f64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap().as_secs_f64()
    }
}

impl Stream for tokio::net::TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buffer).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(self, bytes).await
    }
}

/// The bus, from the other side.
#[derive(Default)]
pub(super) struct TestBus {
    inbox: RefCell<VecDeque<Message>>,
    published: RefCell<VecDeque<Message>>,
    pub(super) log: RefCell<Vec<String>>,
    pub(super) busy: Cell<bool>,
    stopping: Cell<bool>,
    sent: Notify,
    arrived: Notify,
}

impl Bus for TestBus {
    async fn receive(&self, max: u32) -> Result<Vec<Message>, Stopping> {
        loop {
            if self.stopping.get() {
                return Err(Stopping);
            }
            let messages = self.take(max as usize);
            if !messages.is_empty() {
                return Ok(messages);
            }
            self.sent.notified().await;
        }
    }

    fn publish(&self, message: Message) -> Result<(), PublishError> {
        self.arrived.notify_one();
        if self.busy.get() {
            return Err(PublishError {
                index: 0,
                reason: Refusal::Busy(5),
            });
        }
        self.published.borrow_mut().push_back(message);
        Ok(())
    }

    fn warn(&self, text: &str) {
        self.log.borrow_mut().push(text.to_owned());
        self.arrived.notify_one();
    }

    fn info(&self, text: &str) {
        self.warn(text);
    }
}

impl TestBus {
    /// The next message on `topic`; others before it are dropped.
    pub(super) async fn next(&self, topic: &str) -> Message {
        let next = async {
            loop {
                while let Some(message) = self.pop() {
                    if message.topic == topic {
                        return message;
                    }
                }
                self.arrived.notified().await;
            }
        };
        let next = tokio::time::timeout(DEADLINE, next).await;
        next.unwrap_or_else(|_| panic!("nothing on {topic}; the log: {:?}", self.log.borrow()))
    }

    fn take(&self, max: usize) -> Vec<Message> {
        let mut inbox = self.inbox.borrow_mut();
        let count = inbox.len().min(max);
        inbox.drain(..count).collect()
    }

    fn pop(&self) -> Option<Message> {
        self.published.borrow_mut().pop_front()
    }

    /// The next pack of `device` in site `s`.
    pub(super) async fn pack(&self, device: &str) -> Vec<Record> {
        let message = self.next(&format!("telemetry/s/{device}")).await;
        assert_eq!(message.content_type.as_deref(), Some(senml::CONTENT_TYPE));
        senml::read(&message).unwrap()
    }

    /// Waits until a line of the log contains `part`.
    pub(super) async fn logged(&self, part: &str) {
        let logged = async {
            while !self.log.borrow().iter().any(|line| line.contains(part)) {
                self.arrived.notified().await;
            }
        };
        let logged = tokio::time::timeout(DEADLINE, logged).await;
        assert!(logged.is_ok(), "no `{part}` in {:?}", self.log.borrow());
    }

    /// Asks the engine to stop.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
        self.sent.notify_one();
    }

    pub(super) fn send(&self, message: Message) {
        self.inbox.borrow_mut().push_back(message);
        self.sent.notify_one();
    }

    /// Sends a command to `name` of device `d` and waits for the answer.
    pub(super) async fn command(&self, name: &str, payload: &str) -> serde_json::Value {
        let mut message = Message::new(format!("command/s/d/{name}"), payload);
        message.reply_to = Some("reply/here".to_owned());
        message.correlation = Some(b"42".to_vec());
        self.send(message);
        let reply = self.next("reply/here").await;
        assert_eq!(reply.correlation.as_deref(), Some(&b"42"[..]));
        serde_json::from_slice(&reply.payload).unwrap()
    }
}

/// Runs the engine with this configuration while `script` runs, then stops it.
pub(super) fn with_engine(config: serde_json::Value, script: impl AsyncFnOnce(&TestBus)) {
    let config: crate::config::Config = serde_json::from_value(config).unwrap();
    let age = Duration::from_millis(config.command_age_ms_max.into());
    let devices = config.devices().unwrap();
    let net = Sockets {
        start: Instant::now(),
    };
    let bus = TestBus::default();
    let scripted = async {
        script(&bus).await;
        bus.stop();
    };
    let both = async {
        tokio::join!(crate::engine::run(&net, &bus, devices, age), scripted);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE * 3, both).await });
    assert!(ended.is_ok(), "the engine did not stop");
}

/// Whether the reading is good; panics if a good one has another value than
/// its address: nothing a peer does may make a wrong value.
pub(super) fn is_good(record: &Record, expected: f64) -> bool {
    match &record.quality {
        Quality::Bad(why) => {
            assert!(!why.is_empty());
            false
        }
        _ => {
            assert_eq!(record.number(), Some(expected), "{record:?}");
            true
        }
    }
}
