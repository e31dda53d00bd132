//! Whole connections, over a pipe, with the real codec, bus and store.

mod basics;
mod broker;
mod client;
