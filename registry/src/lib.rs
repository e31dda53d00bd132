//! Where does an artifact come from?
//!
//! A client for OCI registries, the store on the device and a small registry
//! server. It moves bytes, bounded and checked against their digests, and
//! decides nothing; whether they are trusted is decided in `selvedge-signing`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod archive;
mod client;
mod credentials;
mod layout;
mod progress;
mod server;

pub use archive::{ArchiveError, Imported};
pub use client::{Client, ClientConfig, ClientError, Pulled, Pushed, Said};
pub use credentials::{CredentialError, Credentials};
pub use layout::{BlobWriter, Collected, Layout, LayoutError, StoredTag};
pub use progress::{Progress, Silent};
pub use server::{Access, ServeError, Server, ServerConfig};
