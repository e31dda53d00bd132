//! Publishes what it should not, once for each message that it gets, and tells
//! on `seen/<mode>` what the host answered.

use selvedge_plugin::bindings::imports::selvedge::bus::publisher::{self, Delivery};
use selvedge_plugin::{
    Config, Error, Lifecycle, Message, PublishError, Refusal, Subscriber, export, publish,
    publish_all,
};

/// The plugin.
#[derive(Debug)]
pub struct Publishes {
    mode: String,
}

impl Lifecycle for Publishes {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode })
    }
}

impl Subscriber for Publishes {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let topics: &[&str] = match self.mode.as_str() {
            "without-end" => loop {
                // Whatever the host says.
                publish(Message::new("flood/x", "flood")).ok();
            },
            "until-refused" => return self.until_refused(),
            "too-large" => {
                let large = Message::new("flood/x", vec![0; (256 << 10) + 1]);
                return self.saw(publish(large));
            }
            "too-many" => {
                let many: Vec<_> = (0..1025).map(|_| Message::new("flood/x", "")).collect();
                return self.saw(publish_all(&many));
            }
            "too-much" => {
                let much: Vec<_> = (0..80)
                    .map(|_| Message::new("flood/x", vec![0; 250 << 10]))
                    .collect();
                return self.saw(publish_all(&much));
            }
            "at-most-once" => {
                for number in 0..3 {
                    let message = Message::new("flood/x", number.to_string());
                    let sent = publisher::publish(&[message], Delivery::AtMostOnce);
                    self.saw(sent.map_err(PublishError::from))?;
                }
                return Ok(());
            }
            "malformed" => return self.malformed(),
            "half-granted" => {
                let messages = ["flood/a", "elsewhere", "flood/b"];
                let messages = messages.map(|topic| Message::new(topic, ""));
                return self.saw(publish_all(&messages));
            }
            "retained" => {
                for number in 0..20_000 {
                    publish(Message::new(format!("flood/{number}"), vec![0; 1 << 10]).retained())
                        .ok();
                }
                return self.saw(Ok(()));
            }
            "for-the-asker" => {
                let to = message.reply_to.clone().unwrap_or_default();
                return self.saw(publish(Message::new(to, "")));
            }
            "outside" => &["elsewhere", "in/x", "floods/x", "Flood/x", "seen2/x"],
            "system" => &[
                "$selvedge/state/plugin/neighbour",
                "$selvedge/log/neighbour",
                "$SYS/x",
            ],
            "invalid" => &["", "flood/#", "flood/+", "#", "flood/\0", "flood/\u{1}"],
            other => return Err(Error::reject(format!("no such mode: {other}"))),
        };
        for topic in topics {
            self.saw(publish(Message::new(*topic, "")))?;
        }
        Ok(())
    }
}

impl Publishes {
    /// Says how many messages it got rid of at one go.
    fn until_refused(&self) -> Result<(), Error> {
        let mut taken = 0;
        while publish(Message::new("flood/x", "flood")).is_ok() {
            taken += 1;
        }
        Ok(publish_patiently(self.seen(taken.to_string()))?)
    }

    fn malformed(&self) -> Result<(), Error> {
        let plain = || Message::new("flood/x", "");
        let mut correlation = plain();
        correlation.correlation = Some(vec![0; 129]);
        let mut properties = plain();
        properties.properties = vec![("a".to_owned(), "b".to_owned()); 33];
        let mut wide = plain();
        wide.properties = vec![("a".to_owned(), "b".repeat(4096))];
        let mut reply_to = plain();
        reply_to.reply_to = Some("flood/#".to_owned());
        let content_type = plain().with_content_type("x".repeat(129));
        for message in [correlation, properties, wide, reply_to, content_type] {
            self.saw(publish(message))?;
        }
        Ok(())
    }

    fn seen(&self, what: impl Into<Vec<u8>>) -> Message {
        Message::new(format!("seen/{}", self.mode), what)
    }

    fn saw(&self, outcome: Result<(), PublishError>) -> Result<(), Error> {
        let text = match outcome {
            Ok(()) => "accepted".to_owned(),
            Err(PublishError { index, reason }) => match reason {
                Refusal::InvalidTopic => format!("{index}: invalid-topic"),
                Refusal::NotGranted => format!("{index}: not-granted"),
                Refusal::TooLarge(max) => format!("{index}: too-large {max}"),
                Refusal::Malformed => format!("{index}: malformed"),
                Refusal::Busy(_) => format!("{index}: busy"),
                Refusal::TooManyHops => format!("{index}: too-many-hops"),
            },
        };
        Ok(publish_patiently(self.seen(text))?)
    }
}

/// Tries again for as long as the host is busy.
fn publish_patiently(message: Message) -> Result<(), PublishError> {
    loop {
        match publish(message.clone()) {
            Err(PublishError {
                reason: Refusal::Busy(ms),
                ..
            }) => std::thread::sleep(std::time::Duration::from_millis(ms.into())),
            outcome => return outcome,
        }
    }
}

export!(Publishes: Lifecycle, Subscriber);
