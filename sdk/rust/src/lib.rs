//! Write Selvedge plugins in Rust.
//!
//! A plugin is a type that implements one or more of [`Filter`], [`Subscriber`],
//! [`Ticker`], [`Service`], [`Stateful`] and [`Lifecycle`], and one line that
//! says which: `export!(MyPlugin: Lifecycle, Subscriber)`. What is exported
//! decides what the host does with it; there are no flags.
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
pub mod nn;
mod outbox;
mod plugin;
pub mod senml;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub use wit_bindgen::rt as wit_bindgen_rt;

pub use config::{Config, ConfigError};
pub use error::{Error, PublishError, Refusal};
pub use message::{Message, inbox, publish, publish_all};
pub use outbox::Outbox;
pub use plugin::{Failure, Filter, Lifecycle, Service, Stateful, Subscriber, Ticker};

#[doc(hidden)]
pub use bindings::subscriber::exports::selvedge::bus::subscriber::Failure as __WitFailure;
#[doc(hidden)]
pub use export::glue::to_wit as __to_wit;
#[doc(hidden)]
pub use plugin::filter_batch as __filter_batch;
#[doc(hidden)]
pub use plugin::{restore as __restore, snapshot as __snapshot};
