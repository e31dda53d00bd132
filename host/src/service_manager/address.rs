//! Where the service manager listens: a Unix datagram socket, in the file system
//! or, with an `@` before its name, in the abstract namespace.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

use tokio::net::UnixDatagram;

/// Why `NOTIFY_SOCKET` names nobody.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("`NOTIFY_SOCKET` is neither a path from the root nor an abstract name")]
    Kind,
    #[error("`NOTIFY_SOCKET` is no address of a Unix socket")]
    Unusable(#[from] io::Error),
}

/// The address of a Unix socket.
#[derive(Clone, Debug)]
pub(super) struct Address(SocketAddr);

impl Address {
    /// Reads the value of `NOTIFY_SOCKET`. The system bounds its length.
    pub(super) fn parse(value: &OsStr) -> Result<Self, AddressError> {
        match value.as_bytes() {
            [b'/', ..] => Ok(Self(SocketAddr::from_pathname(value)?)),
            [b'@', name @ ..] if !name.is_empty() => {
                Ok(Self(SocketAddr::from_abstract_name(name)?))
            }
            _ => Err(AddressError::Kind),
        }
    }

    /// A socket for one message. Only on the executor.
    pub(super) fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = StdDatagram::unbound()?;
        socket.connect_addr(&self.0)?;
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket)
    }
}
