//! Runs other people's code at the edge without trusting it.
//!
//! The modules are the layers of ARCHITECTURE.md, lowest first; a test keeps
//! them apart. The binary in `main.rs` is a thin shell around [`cli`].

#[cfg(panic = "abort")]
compile_error!("isolation relies on unwinding: build with panic = \"unwind\"");

/// A limit that is not zero, checked when this is compiled.
macro_rules! nonzero {
    ($type:ident, $value:expr) => {
        const { $type::new($value).unwrap() }
    };
}

pub mod error_chain;
pub mod names;
pub mod supervisor;

pub mod service_manager;

pub mod bus;
pub mod inference;
pub mod mqtt;
pub mod spec;
pub mod storage;
pub mod tls;

pub mod artifacts;
pub mod devices;
pub mod trust;

pub mod broker;
pub mod retention;
pub mod uplink;

pub mod capabilities;
pub mod capture;
pub mod runtime;

pub mod deployment;

pub mod api;
pub mod cloud;
pub mod discovery;
pub mod inference_api;

pub mod app;
pub mod config;

pub mod cli;
pub mod demo;
