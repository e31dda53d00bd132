//! A broker to be tried: where it is, how to reach it, and which client ids and
//! topics the trier may use there.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A broker.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// How TLS is spoken; the broker's certificate must name the address.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// What client ids begin with: the broker may bind them to who connects.
    pub(crate) client: String,
    /// What topics begin with: all below may be published and subscribed, and `#`
    /// be subscribed.
    pub(crate) root: String,
}

impl Target {
    /// A broker without TLS that lets everybody do everything.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            client: "trier-".to_owned(),
            root: "try".to_owned(),
        }
    }

    pub(crate) async fn dial(&self) -> Box<dyn Stream> {
        self.try_dial().await.unwrap()
    }

    /// A connection, unless it is refused.
    pub(crate) async fn try_dial(&self) -> std::io::Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let name = ServerName::from(self.address.ip());
        Ok(Box::new(connector.connect(name, tcp).await?))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        write!(f, "{protocol}://{}", self.address)
    }
}
