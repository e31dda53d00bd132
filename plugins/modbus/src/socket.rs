//! TCP over `wasi:sockets`: name resolution, connecting, reading, writing.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::net::Stream;
use crate::reactor::ready;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection. Fields are dropped in this order: children before parents.
pub(crate) struct TcpStream {
    readable: Rc<Pollable>,
    writable: Rc<Pollable>,
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
}

/// Connects to `host:port`, trying each of the host's addresses.
pub(crate) async fn connect(address: &str) -> io::Result<TcpStream> {
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not host:port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match host.parse() {
        Ok(IpAddr::V4(ip)) => vec![IpAddress::Ipv4(ip.octets().into())],
        Ok(IpAddr::V6(ip)) => vec![IpAddress::Ipv6(ip.segments().into())],
        Err(_) => resolve(host).await?,
    };
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for ip in addresses {
        match connect_to(ip, port).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn resolve(host: &str) -> io::Result<Vec<IpAddress>> {
    let lookup = resolve_addresses(&instance_network(), host).map_err(to_io)?;
    let pollable = Rc::new(lookup.subscribe());
    let mut addresses = Vec::new();
    while addresses.len() < ADDRESSES_MAX {
        match lookup.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => break,
            Err(ErrorCode::WouldBlock) => ready(Rc::clone(&pollable)).await,
            Err(code) => return Err(to_io(code)),
        }
    }
    Ok(addresses)
}

async fn connect_to(ip: IpAddress, port: u16) -> io::Result<TcpStream> {
    let (family, address) = match ip {
        IpAddress::Ipv4(address) => (
            IpAddressFamily::Ipv4,
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        ),
        IpAddress::Ipv6(address) => (
            IpAddressFamily::Ipv6,
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info: 0,
                address,
                scope_id: 0,
            }),
        ),
    };
    let socket = create_tcp_socket(family).map_err(to_io)?;
    socket
        .start_connect(&instance_network(), address)
        .map_err(to_io)?;
    let connected = Rc::new(socket.subscribe());
    let (input, output) = loop {
        match socket.finish_connect() {
            Ok(streams) => break streams,
            Err(ErrorCode::WouldBlock) => ready(Rc::clone(&connected)).await,
            Err(code) => return Err(to_io(code)),
        }
    };
    Ok(TcpStream {
        readable: Rc::new(input.subscribe()),
        writable: Rc::new(output.subscribe()),
        input,
        output,
        _socket: socket,
    })
}

impl Stream for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            ready(Rc::clone(&self.readable)).await;
            let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
            match self.input.read(wanted) {
                // Ready, but nothing there yet: not the end of the stream.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    let taken = buffer.get_mut(..bytes.len());
                    let taken = taken.ok_or_else(|| io::Error::other("more than was asked for"))?;
                    taken.copy_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(io::Error::other(error.to_debug_string()));
                }
            }
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            ready(Rc::clone(&self.writable)).await;
            let room = self.output.check_write().map_err(stream_error)?;
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(rest.len().min(room));
            self.output.write(now).map_err(stream_error)?;
            rest = later;
        }
        self.output.flush().map_err(stream_error)
    }
}

fn stream_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

fn to_io(code: ErrorCode) -> io::Error {
    io::Error::other(code.message())
}
