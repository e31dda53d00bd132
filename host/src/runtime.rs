//! Makes instances from components, and runs them within their limits.
//!
//! A component becomes native code once ([`precompiled`]), a [`Prepared`] plugin
//! once per specification, and an [`Instance`] each time it is started. Every
//! way into a guest yields each millisecond and ends at its deadline. What a
//! guest may call is decided in `capabilities`; which plugins there are is
//! decided in `deployment`.

mod engine;
mod exports;
mod generation;
mod instance;
mod local_port;
mod mailbox;
mod pace;
mod precompiled;
mod prepared;
mod runner;

pub use engine::{Ceilings, Engine, EngineError};
pub use exports::Exports;
pub use generation::{Generation, HandOver, Seat, Surroundings, TakeOverError, Tally};
pub use instance::{CallError, Instance, Trapped};
pub use local_port::{LocalPort, PortError};
pub use precompiled::{CodeCache, CompileError};
pub use prepared::{PrepareError, Prepared};
pub use runner::run;
