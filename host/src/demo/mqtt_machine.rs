//! A machine with an MQTT client of its own: it tells the gateway what it measures,
//! and takes commands from it.
//!
//! It says what the Modbus plugin says of the other machines: the same readings on
//! the same kind of topic, as often. It is as strange to the gateway as any device:
//! only its certificate and its topics let it in. A lost connection is made anew;
//! what was not acknowledged then is past.

mod command;
mod session;
mod telemetry;

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use self::session::Session;
use super::device::Device;
use super::machine::Machine;
use super::running::{Armer, Running};
use crate::error_chain::ErrorChain;
use crate::mqtt::{EncodeError, Reason, ReceiveError};
use crate::names::Topic;

/// How long a connection may take until it is at work, and to end.
const CONNECT_MAX: Duration = Duration::from_secs(5);
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// How long it waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(500);

/// Why a connection is not there any more.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("it takes too long to connect")]
    ConnectTimeout,
    #[error("the gateway refuses: {0}")]
    Refused(Reason),
    #[error("the gateway ended the connection: {0}")]
    Ended(Reason),
    #[error("the gateway does not acknowledge what it is sent")]
    Unacknowledged,
    #[error("the gateway sent what does not belong here")]
    Unexpected,
    #[error("nothing comes from the gateway")]
    Receive(#[from] ReceiveError),
    #[error("a packet cannot be written")]
    Encode(#[from] EncodeError),
    #[error("a text is no topic")]
    Topic(#[from] <Topic as FromStr>::Err),
}

/// Where the gateway is, and how the machine is known there.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub address: SocketAddr,
    /// The authority it trusts, its certificate and its key.
    pub tls: Arc<ClientConfig>,
}

/// A machine that is a client. Clones are the same.
#[derive(Debug, Clone)]
pub struct MqttMachine {
    device: Device,
    machine: Running,
}

impl MqttMachine {
    pub fn new(device: Device, machine: Machine) -> Self {
        let machine = Running::new(machine);
        Self { device, machine }
    }

    pub fn device(&self) -> Device {
        self.device
    }

    /// Starts the clock of its fault when called.
    pub fn armer(&self) -> Armer {
        self.machine.armer()
    }

    /// Moves the machine on and keeps a connection to its gateway, until `stop`.
    pub async fn serve(&self, gateway: &Gateway, stop: CancellationToken) {
        tokio::select! {
            () = self.machine.run() => {}
            () = self.keep_connected(gateway, &stop) => {}
        }
    }

    async fn keep_connected(&self, gateway: &Gateway, stop: &CancellationToken) {
        loop {
            match self.connection(gateway, stop).await {
                Ok(()) => return,
                Err(error) => {
                    let error = ErrorChain(&error).to_string();
                    tracing::debug!(error, "simulated machine not connected");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(RECONNECT) => {}
            }
        }
    }

    /// Connects and works until `stop`, or until something fails.
    async fn connection(
        &self,
        gateway: &Gateway,
        stop: &CancellationToken,
    ) -> Result<(), SessionError> {
        let opening = async {
            let stream = dial(gateway).await.map_err(SessionError::Unreachable)?;
            Session::open(stream, self.device, &self.machine).await
        };
        let mut session = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = timeout(CONNECT_MAX, opening) => {
                opened.map_err(|_| SessionError::ConnectTimeout)??
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            ended = session.run() => return ended,
        }
        // Whoever does not listen any more need not be told.
        drop(timeout(CLOSE_MAX, session.close()).await);
        Ok(())
    }
}

async fn dial(gateway: &Gateway) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(gateway.address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::from(gateway.address.ip());
    let tls = TlsConnector::from(Arc::clone(&gateway.tls));
    tls.connect(name, tcp).await
}

#[cfg(test)]
mod tests;
