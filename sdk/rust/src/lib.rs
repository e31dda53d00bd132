//! Write Selvedge plugins in Rust.
//!
//! A plugin is a type that implements one or more of [`Filter`], [`Subscriber`],
//! [`Ticker`], [`Service`], [`Stateful`] and [`Lifecycle`], and one line that
//! says which: `export!(MyPlugin: Lifecycle, Subscriber)`. What is exported
//! decides what the host does with it; there are no flags.
//!
//! A plugin that remembers something keeps it over an update, and over one that
//! was rolled back, by being [`Stateful`]:
//!
//! ```
//! use selvedge_plugin::{Error, Message, Stateful, Subscriber, export, publish, state};
//!
//! /// Numbers what passes.
//! #[derive(Default)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! impl Subscriber for Counter {
//!     fn handle(&mut self, _: &Message) -> Result<(), Error> {
//!         self.count += 1;
//!         Ok(publish(Message::new("counted", self.count.to_string()))?)
//!     }
//! }
//!
//! impl Stateful for Counter {
//!     /// Form 1 was a count of 32 bits, in four bytes.
//!     const SCHEMA: u32 = 2;
//!
//!     fn snapshot(&mut self) -> Vec<u8> {
//!         state::to_bytes(&self.count)
//!     }
//!
//!     fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
//!         self.count = match schema {
//!             1 => u32::from_le_bytes(state.try_into().map_err(|_| "not four bytes")?).into(),
//!             _ => state::from_bytes(state)?,
//!         };
//!         Ok(())
//!     }
//! }
//!
//! export!(Counter: Subscriber, Stateful);
//!
//! // The successor goes on where its predecessor was.
//! let (mut old, mut new) = (Counter { count: 41 }, Counter::default());
//! new.restore(Counter::SCHEMA, &old.snapshot()).unwrap();
//! assert_eq!(new.count, 41);
//! new.restore(1, &[7, 0, 0, 0]).unwrap();
//! assert_eq!(new.count, 7);
//! assert!(new.restore(2, b"hostile").is_err());
//! ```
//!
//! Everything here also compiles natively, so that a plugin's logic is tested
//! with a plain `cargo test`; calls to the host exist only in a component.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// The generated bindings name this crate by its public name.
extern crate self as selvedge_plugin;

mod config;
mod error;
mod export;
pub mod kv;
pub mod log;
mod message;
pub mod models;
pub mod nn;
mod outbox;
mod plugin;
pub mod senml;
pub mod state;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub use wit_bindgen::rt as wit_bindgen_rt;

pub use config::{Config, ConfigError};
pub use error::{Error, PublishError, Refusal};
pub use message::{Message, inbox, publish, publish_all};
pub use outbox::Outbox;
pub use plugin::{
    AuthorizeRequest, Authorizer, Failure, Filter, Lifecycle, Permission, Service, Stateful,
    Subscriber, Ticker,
};

#[doc(hidden)]
pub use bindings::subscriber::exports::selvedge::bus::subscriber::Failure as __WitFailure;
#[doc(hidden)]
pub use export::glue::to_wit as __to_wit;
#[doc(hidden)]
pub use plugin::filter_batch as __filter_batch;
#[doc(hidden)]
pub use plugin::{restore as __restore, snapshot as __snapshot};
