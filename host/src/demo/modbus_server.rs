//! A machine's controller: its registers over Modbus/TCP.
//!
//! Serves functions 1-6, 15, 16, 22, 23 and 43/14 as the Application Protocol
//! 1.1b3 and the TCP Implementation Guide 1.0b say. Connections and frames are
//! bounded; a frame that is not Modbus ends its connection, as there is no way
//! to find the next one. The model moves on here too, in real time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::running::{Armer, Running};

mod pdu;

/// Clients at once; one more is closed at once.
const CONNECTIONS_MAX: usize = 8;

/// Silence after which a client is given up, and the longest a reply may wait.
const IDLE_MAX: Duration = Duration::from_secs(60);
const WRITE_MAX: Duration = Duration::from_secs(5);

/// Bytes of a PDU (Application Protocol section 4.1).
const PDU_MAX: usize = 253;

/// Why a machine is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen for Modbus on loopback")]
    Listen(#[source] io::Error),
}

/// A machine, listening.
#[derive(Debug)]
pub struct ModbusServer {
    machine: Running,
    listener: TcpListener,
    address: SocketAddr,
}

impl ModbusServer {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn bind(machine: Machine) -> Result<Self, ServeError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(ServeError::Listen)?;
        let address = listener.local_addr().map_err(ServeError::Listen)?;
        Ok(Self {
            machine: Running::new(machine),
            listener,
            address,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the clock of its fault when called.
    pub fn armer(&self) -> Armer {
        self.machine.armer()
    }

    /// Moves the machine on and serves its registers, until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let Self {
            machine, listener, ..
        } = self;
        tokio::select! {
            () = machine.run() => {}
            () = accept(&machine, &listener) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn accept(machine: &Running, listener: &TcpListener) {
    let mut clients = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if clients.len() < CONNECTIONS_MAX => {
                    clients.push(serve_client(machine, client));
                }
                Ok(_) => tracing::debug!("simulated machine refused a client"),
                // Out of files, most likely: wait rather than spin.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(ended) = clients.next(), if !clients.is_empty() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "client of a simulated machine lost");
                }
            }
        }
    }
}

/// Answers one client's requests in order, until it goes.
async fn serve_client(machine: &Running, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut frame = [0_u8; PDU_MAX];
    loop {
        let mut header = [0_u8; 7];
        timeout(IDLE_MAX, client.read_exact(&mut header)).await??;
        let [tid_high, tid_low, 0, 0, high, low, unit] = header else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // The length counts the unit identifier.
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(request) = length.checked_sub(1).and_then(|n| frame.get_mut(..n)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        timeout(IDLE_MAX, client.read_exact(request)).await??;
        let Some(reply) = pdu::answer(machine.lock().now(), request) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let count = u16::try_from(reply.len() + 1).map_err(io::Error::other)?;
        let [high, low] = count.to_be_bytes();
        let mut answer = vec![tid_high, tid_low, 0, 0, high, low, unit];
        answer.extend_from_slice(&reply);
        timeout(WRITE_MAX, client.write_all(&answer)).await??;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    use super::{CONNECTIONS_MAX, ModbusServer};
    use crate::demo::{Kind, Machine};

    /// Runs `client` against a served pump.
    async fn with_pump<F: Future<Output = ()>>(client: impl FnOnce(std::net::SocketAddr) -> F) {
        let server = ModbusServer::bind(Machine::new(Kind::Pump, 1))
            .await
            .unwrap();
        let address = server.address();
        let stop = CancellationToken::new();
        let stopper = stop.clone();
        let drive = async {
            client(address).await;
            stopper.cancel();
        };
        tokio::join!(server.serve(stop), drive);
    }

    async fn ask(client: &mut TcpStream, request: &[u8]) -> Vec<u8> {
        let length = u8::try_from(request.len() + 1).unwrap();
        let mut frame = vec![0xab, 0xcd, 0, 0, 0, length, 9];
        frame.extend_from_slice(request);
        client.write_all(&frame).await.unwrap();
        let mut header = [0; 7];
        client.read_exact(&mut header).await.unwrap();
        assert_eq!(header[..4], [0xab, 0xcd, 0, 0]);
        assert_eq!(header[6], 9);
        let mut reply = vec![0; usize::from(header[5]) - 1];
        client.read_exact(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn a_written_speed_is_followed_by_the_pump() {
        with_pump(async |address| {
            let mut client = TcpStream::connect(address).await.unwrap();
            let speed = |reply: Vec<u8>| f32::from_be_bytes(reply[2..6].try_into().unwrap());
            let read = [4, 0, 0, 0, 2];
            let before = speed(ask(&mut client, &read).await);
            assert!(before > 2200.0, "{before}");
            let write = [6, 0, 0, 0x05, 0xdc];
            assert_eq!(ask(&mut client, &write).await, write);
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
            while speed(ask(&mut client, &read).await) > 1700.0 {
                assert!(tokio::time::Instant::now() < deadline);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn frames_that_are_not_modbus_end_the_connection() {
        with_pump(async |address| {
            let hostile: [&[u8]; 4] = [
                &[0, 1, 0, 7, 0, 2, 1, 3],
                &[0, 1, 0, 0, 0, 0, 1],
                &[0, 1, 0, 0, 0xff, 0xff, 1],
                &[0, 1, 0, 0, 0, 1, 1],
            ];
            for frame in hostile {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all(frame).await.unwrap();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await.unwrap_or_default();
                assert!(rest.is_empty());
            }
        })
        .await;
    }

    #[tokio::test]
    async fn one_client_too_many_is_closed_and_the_others_stay() {
        with_pump(async |address| {
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS_MAX {
                let mut client = TcpStream::connect(address).await.unwrap();
                ask(&mut client, &[1, 0, 0, 0, 1]).await;
                clients.push(client);
            }
            let mut extra = TcpStream::connect(address).await.unwrap();
            let read = extra.read(&mut [0; 1]).await;
            assert!(matches!(read, Ok(0) | Err(_)));
            assert_eq!(ask(&mut clients[0], &[1, 0, 0, 0, 1]).await, [1, 1, 0]);
        })
        .await;
    }
}
