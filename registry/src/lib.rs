//! Where does an artifact come from?
//!
//! Here will be the client for OCI registries, the store on the device and a
//! small registry server. It moves bytes and decides nothing; whether they are
//! trusted is decided in `selvedge-signing`. There is nothing here yet:
//! components are files beside the deployment, or come with the host.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
