//! The management API through real HTTP over its real sockets.

mod health;
mod hostile;
mod https;
mod metrics;
mod requests;
mod roles;
mod streams;
mod world;
