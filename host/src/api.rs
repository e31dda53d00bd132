//! The management API: what the command line, consoles and other programs use.
//!
//! HTTP with JSON over a Unix socket, whose peers are known by their
//! credentials, and over TLS with client certificates if that is configured. It
//! decides who may do what; doing it is the business of the modules below.

pub mod wire;
