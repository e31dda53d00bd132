//! The client devices of this site, and the authority that gives them their
//! certificates.
//!
//! A device is a file in the data directory: its name, what it may publish and
//! subscribe, what it may cost. Whoever has no file is nobody. Files are read
//! again when they change; one that cannot be read leaves the device as it was.

mod admission;
mod authority;
mod class;
mod device;
mod disk;
mod file;
mod follow;
mod registry;
mod table;

pub use admission::NotAdmitted;
pub use authority::machine::{addresses, host_name};
pub use authority::{
    Authority, AuthorityError, AuthorityFiles, Issued, KeyType, NewAuthority, Record, Request,
    RequestKey,
};
pub use class::{ClassConfig, Rules};
pub use device::{Device, Quota};
pub use file::{DeviceFile, FileError, Retiring, Revoked};
pub use registry::{Devices, DevicesError, Fault, Registered, Standing};

#[cfg(test)]
mod tests;
