//! Makes instances from components, and runs them within their limits.
//!
//! A component is read and admitted ([`Admitted`]) before anything else, becomes
//! native code once ([`precompiled`]), a [`Prepared`] plugin
//! once per specification, and an [`Instance`] each time it is started. Every
//! way into a guest yields each millisecond and ends at its deadline. What a
//! guest may call is decided in `capabilities`; which plugins there are is
//! decided in `deployment`.

mod admission;
mod authorizing;
pub mod component;
mod engine;
mod exports;
mod generation;
mod held_back;
mod hops;
mod instance;
mod local_port;
mod mailbox;
mod pace;
mod place;
mod precompiled;
mod prepared;
mod runner;
mod seat;
mod state;
mod tally;

pub use admission::Admitted;
pub use authorizing::{AskError, Question, Verdict};
pub use engine::{Ceilings, Engine, EngineError};
pub use exports::Exports;
pub use generation::{Generation, HandOver, Surroundings, TakeOverError};
pub use instance::{CallError, Instance, Trapped};
pub use local_port::LocalPort;
pub use precompiled::{CodeCache, CompileError};
pub use prepared::{PrepareError, Prepared};
pub use seat::{PortError, Seat};
pub use tally::Tally;
