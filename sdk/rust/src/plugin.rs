//! What a plugin may be: the traits behind [`crate::export!`].

use crate::config::Config;
use crate::error::Error;
use crate::message::Message;

/// Made from its configuration. Without it a plugin is made by [`Default`].
pub trait Lifecycle: Sized {
    /// Makes the plugin ready.
    ///
    /// # Errors
    /// The text is shown to the operator as it is.
    fn init(config: &Config) -> Result<Self, String>;
}

/// Turns each message into at most one other. The shortest way to a plugin.
pub trait Filter {
    /// What `message` becomes: `None` if nothing.
    ///
    /// # Errors
    /// The message was not handled: see [`Error`].
    fn filter(&mut self, message: Message) -> Result<Option<Message>, Error>;
}

/// One message of a batch that was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch, from 0.
    pub index: u32,
    /// What is to become of it, and why.
    pub error: Error,
}

/// Is handed messages.
pub trait Subscriber {
    /// Handles one message.
    ///
    /// # Errors
    /// The message was not handled: see [`Error`].
    fn handle(&mut self, message: &Message) -> Result<(), Error>;

    /// Handles a batch, oldest first. Override it where a batch is cheaper
    /// than its messages one by one.
    ///
    /// # Errors
    /// Names the messages that were not handled; all others are acknowledged.
    fn handle_batch(&mut self, messages: &[Message]) -> Result<(), Vec<Failure>> {
        let failures: Vec<Failure> = (0..)
            .zip(messages)
            .filter_map(|(index, message)| {
                self.handle(message)
                    .err()
                    .map(|error| Failure { index, error })
            })
            .collect();
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }
}

/// Is called by the clock.
pub trait Ticker {
    /// Called once after `init`, then after the delay it returns, in
    /// milliseconds; `None` means never again.
    ///
    /// # Errors
    /// Counts as a failure of the plugin, with this text.
    fn tick(&mut self) -> Result<Option<u32>, String>;
}

/// Runs a loop of its own: waits on its sockets, the clock and the
/// [`crate::inbox`] with `wasi:io/poll`.
pub trait Service {
    /// Runs until there is nothing more to do or the inbox says to stop.
    ///
    /// # Errors
    /// Counts as a failure of the plugin, with this text.
    fn run(&mut self) -> Result<(), String>;
}

/// Hands its state to its successor.
///
/// The host asks the running version for its state between two batches and gives
/// it to the next one, after [`Lifecycle::init`]. If a deployment is rolled
/// back, it goes the other way. Without this trait the next version starts with
/// nothing; nor is a state kept over a restart, for which there is [`crate::kv`].
///
/// What a message led to and what has not been published yet belong to the
/// state: see [`crate::Outbox::waiting`]. Times of a monotonic clock do not, for
/// each instance has its own.
///
/// [`crate::state`] turns any serde type into bytes and back; the front page of
/// this crate has an example. Keep one state of each form in a test, so that no
/// later version forgets how to read it.
pub trait Stateful {
    /// The form that [`snapshot`](Self::snapshot) writes. Raise it when an older
    /// version could not read what this one writes: a state of a higher number
    /// is refused before [`restore`](Self::restore) sees it.
    const SCHEMA: u32;

    /// The state, at most 8 MiB. It must not change by this: if the successor
    /// refuses the state, this instance goes on.
    fn snapshot(&mut self) -> Vec<u8>;

    /// Takes over the state of a predecessor, in the form `schema`, which is
    /// [`SCHEMA`](Self::SCHEMA) or less.
    ///
    /// It may have been written under another configuration, and by a version
    /// that this one has reason not to trust: believe it no more than a message,
    /// keep what still makes sense, and keep within your own bounds.
    ///
    /// # Errors
    /// Refuses the state: the predecessor goes on. The text is shown to the
    /// operator.
    fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String>;
}

/// Says who may connect to the broker (`selvedge:plugin/authorizer`).
pub trait Authorizer {
    /// Whether `request` may connect, and as whom. Asked between batches, one
    /// question at a time; the device waits meanwhile.
    ///
    /// # Errors
    /// Refuses it. The text goes to the host's log, not to the device.
    fn authorize(&mut self, request: &AuthorizeRequest) -> Result<Permission, String>;
}

/// Who wants to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// The device that its certificate names; none if it showed none.
    pub device: Option<String>,
    /// The client identifier (MQTT 5.0 section 3.1.3.1).
    pub client_id: String,
    /// Of the CONNECT packet.
    pub username: Option<String>,
    /// Of the CONNECT packet.
    pub password: Option<Vec<u8>>,
    /// Where it connects from, `address:port`.
    pub address: String,
}

/// What it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The name it has on the bus; the certificate's, if there was one.
    pub device: String,
    /// Topic filters that it may publish to, at most 64; none: what the registry of
    /// devices says. A registered device gets no more than that.
    pub publish: Option<Vec<String>>,
    /// Topic filters that it may subscribe, likewise.
    pub subscribe: Option<Vec<String>>,
    /// Seconds after which its connection ends; none: when it likes.
    pub valid_s: Option<u32>,
}

/// The state of a plugin and its form.
#[doc(hidden)]
pub fn snapshot<P: Stateful>(plugin: &mut P) -> (u32, Vec<u8>) {
    (P::SCHEMA, plugin.snapshot())
}

/// Gives a state to a plugin, if its form is not from a version to come.
#[doc(hidden)]
pub fn restore<P: Stateful>(plugin: &mut P, schema: u32, state: &[u8]) -> Result<(), String> {
    if schema > P::SCHEMA {
        let known = P::SCHEMA;
        return Err(format!(
            "the state has form {schema}, and this version knows forms up to {known}"
        ));
    }
    plugin.restore(schema, state)
}

/// Runs a batch through a filter and publishes what comes out in one call.
#[doc(hidden)]
pub fn filter_batch(
    filter: &mut impl Filter,
    messages: Vec<Message>,
    publish_all: impl FnOnce(&[Message]) -> Result<(), crate::PublishError>,
) -> Result<(), Vec<Failure>> {
    let (mut outputs, mut sources, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (index, message) in (0..).zip(messages) {
        match filter.filter(message) {
            Ok(None) => {}
            Ok(Some(output)) => {
                outputs.push(output);
                sources.push(index);
            }
            Err(error) => failures.push(Failure { index, error }),
        }
    }
    if let Err(refused) = publish_all(&outputs) {
        // Those before the refused one are out; the refused one is at fault;
        // those after it have done nothing wrong and deserve another try.
        let first = refused.index as usize;
        for (place, &index) in sources.iter().enumerate().skip(first) {
            let error = if place == first {
                refused.clone().into()
            } else {
                Error::retry("a message before it in the batch was refused")
            };
            failures.push(Failure { index, error });
        }
        failures.sort_by_key(|failure| failure.index);
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PublishError, Refusal};

    /// Does as the payload says: `drop`, `retry`, `reject`, or goes on.
    struct Obeys;

    impl Filter for Obeys {
        fn filter(&mut self, message: Message) -> Result<Option<Message>, Error> {
            match message.text() {
                Some("drop") => Ok(None),
                Some("retry") => Err(Error::retry("later")),
                Some("reject") => Err(Error::reject("never")),
                _ => Ok(Some(message.with_topic("out"))),
            }
        }
    }

    impl Subscriber for Obeys {
        fn handle(&mut self, message: &Message) -> Result<(), Error> {
            self.filter(message.clone()).map(|_| ())
        }
    }

    fn messages(payloads: &[&str]) -> Vec<Message> {
        let message = |payload: &&str| Message::new("in", *payload);
        payloads.iter().map(message).collect()
    }

    fn named(outcome: Result<(), Vec<Failure>>) -> Vec<(u32, Error)> {
        let failures = outcome.err().unwrap_or_default();
        let parts = |failure: Failure| (failure.index, failure.error);
        failures.into_iter().map(parts).collect()
    }

    /// Runs a batch on a bus that refuses its output at `refused`; returns the
    /// payloads accepted and the failures.
    fn run(payloads: &[&str], refused: Option<(u32, Refusal)>) -> (Vec<String>, Vec<(u32, Error)>) {
        let mut accepted = Vec::new();
        let outcome = filter_batch(&mut Obeys, messages(payloads), |outputs| {
            assert!(outputs.iter().all(|output| output.topic == "out"));
            let end = refused.map_or(outputs.len(), |(index, _)| index as usize);
            accepted.extend(outputs[..end].iter().map(|m| m.text().unwrap().to_owned()));
            match refused {
                Some((index, reason)) => Err(PublishError { index, reason }),
                None => Ok(()),
            }
        });
        (accepted, named(outcome))
    }

    #[test]
    fn what_comes_out_is_published_in_order_and_failures_are_named() {
        let (accepted, failures) = run(&["a", "drop", "retry", "b", "reject"], None);
        assert_eq!(accepted, ["a", "b"]);
        let expected = [(2, Error::retry("later")), (4, Error::reject("never"))];
        assert_eq!(failures, expected);
        assert_eq!(run(&["a"], None), (vec!["a".to_owned()], vec![]));
    }

    #[test]
    fn a_refused_output_fails_its_message_and_those_behind_it_are_tried_again() {
        let reason = Refusal::NotGranted;
        let (accepted, failures) = run(&["a", "drop", "b", "retry", "c"], Some((1, reason)));
        assert_eq!(accepted, ["a"]);
        let not_granted = PublishError { index: 1, reason };
        let expected = [
            (2, Error::reject(not_granted)),
            (3, Error::retry("later")),
            (
                4,
                Error::retry("a message before it in the batch was refused"),
            ),
        ];
        assert_eq!(failures, expected);
    }

    #[test]
    fn a_busy_bus_is_tried_again() {
        let (_, failures) = run(&["drop", "a"], Some((0, Refusal::Busy(7))));
        let expected = Error::retry("cannot publish now: busy for 7 ms");
        assert_eq!(failures, [(1, expected)]);
    }

    /// Keeps the states that it was given, and knows two forms.
    #[derive(Default)]
    struct Keeps(Vec<(u32, Vec<u8>)>);

    impl Stateful for Keeps {
        const SCHEMA: u32 = 2;

        fn snapshot(&mut self) -> Vec<u8> {
            b"mine".to_vec()
        }

        fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
            self.0.push((schema, state.to_vec()));
            if state == b"odd" {
                return Err("it is odd".to_owned());
            }
            Ok(())
        }
    }

    #[test]
    fn a_state_is_handed_over_with_its_form() {
        let mut plugin = Keeps::default();
        assert_eq!(snapshot(&mut plugin), (2, b"mine".to_vec()));
        for schema in 0..=2 {
            assert_eq!(restore(&mut plugin, schema, &[7]), Ok(()));
        }
        assert_eq!(plugin.0, [(0, vec![7]), (1, vec![7]), (2, vec![7])]);
        let refused = restore(&mut plugin, 2, b"odd");
        assert_eq!(refused, Err("it is odd".to_owned()));
    }

    #[test]
    fn a_form_from_the_future_is_refused_before_it_is_read() {
        for schema in [3, u32::MAX] {
            let mut plugin = Keeps::default();
            let refused = restore(&mut plugin, schema, b"anything").unwrap_err();
            let expected =
                format!("the state has form {schema}, and this version knows forms up to 2");
            assert_eq!(refused, expected);
            assert_eq!(plugin.0, []);
        }
    }

    #[test]
    fn a_subscriber_names_the_messages_it_did_not_handle() {
        let batch = messages(&["a", "reject", "b", "retry"]);
        let expected = [(1, Error::reject("never")), (3, Error::retry("later"))];
        assert_eq!(named(Obeys.handle_batch(&batch)), expected);
        assert_eq!(Obeys.handle_batch(&messages(&["a"])), Ok(()));
    }
}
