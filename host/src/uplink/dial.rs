//! A connection to the target: TCP, and TLS with its files as they are now.
//!
//! The files are read at each connection. What cannot be used then leaves in force
//! what was read before: whoever replaces them does so one after the other.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};
use tracing::warn;

use super::Shared;
use super::config::{Profile, TlsVersionMin, UplinkConfig};
use super::link::LinkError;
use crate::error_chain::ErrorChain;

/// Bytes of one file of certificates, or of a password.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// How long one address is waited for before the next is tried beside it (RFC 8305
/// section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// What AWS IoT Core wants on port 443 to speak MQTT.
const AWS_ALPN: &str = "x-amzn-mqtt-ca";
const HTTPS: u16 = 443;

/// What is read and written.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The last files that could be used.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Option<Arc<ClientConfig>>>);

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// Its text names the path.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error("the certificates or the key cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(super) async fn dial(shared: &Shared, files: &Files) -> Result<Box<dyn Stream>, LinkError> {
    let (host, port) = shared.config.address().ok_or(LinkError::Address)?;
    let known = shared.hosts.get(host).copied();
    let tcp = match known {
        Some(address) => TcpStream::connect((address, port)).await,
        None => reach((host, port)).await,
    };
    let tcp = tcp.map_err(LinkError::Unreachable)?;
    tcp.set_nodelay(true).map_err(LinkError::Unreachable)?;
    if shared.config.plain {
        return Ok(Box::new(tcp));
    }
    let config = shared.config.clone();
    let read = tokio::task::spawn_blocking(move || configure(&config));
    let read = read.await.map_err(|_| LinkError::Stopped)?;
    let tls = files.current(&shared.name, read)?;
    let name = shared.config.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|_| LinkError::Address)?;
    let tls = TlsConnector::from(tls).connect(name, tcp).await;
    Ok(Box::new(tls.map_err(LinkError::Tls)?))
}

/// Connects to whichever address of a name answers.
async fn reach(name: (&str, u16)) -> io::Result<TcpStream> {
    let found: Vec<_> = lookup_host(name).await?.collect();
    first_of(&alternating(&found)).await
}

/// Some of the addresses, those of both families in turn: however many of one lead
/// nowhere, the other is tried.
fn alternating(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let preferred = found.first().is_some_and(SocketAddr::is_ipv6);
    let of = |preferred| found.iter().filter(move |own| own.is_ipv6() == preferred);
    let (mut first, mut second) = (of(preferred), of(!preferred));
    let pairs = std::iter::from_fn(|| match (first.next(), second.next()) {
        (None, None) => None,
        pair => Some(pair),
    });
    let all = pairs.flat_map(|(one, other)| one.into_iter().chain(other));
    all.take(ADDRESSES_MAX).copied().collect()
}

/// The first connection that stands. Each address that does not answer at once costs
/// a moment, and one that never does no more than that.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut untried = addresses.iter();
    let mut tried = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        tried.extend(untried.next().map(TcpStream::connect));
        let more = untried.len() > 0;
        tokio::select! {
            done = tried.next() => match done {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

impl Files {
    /// What was read, or else what was read before.
    fn current(
        &self,
        uplink: &crate::names::PartyName,
        read: Result<ClientConfig, FilesError>,
    ) -> Result<Arc<ClientConfig>, LinkError> {
        let mut last = self.0.lock();
        match (read, &*last) {
            (Ok(config), _) => {
                let config = Arc::new(config);
                *last = Some(Arc::clone(&config));
                Ok(config)
            }
            (Err(error), Some(last)) => {
                let error = ErrorChain(&error).to_string();
                warn!(%uplink, error, "certificates not read again: the old ones serve");
                Ok(Arc::clone(last))
            }
            (Err(error), None) => Err(LinkError::Files(error)),
        }
    }
}

fn configure(config: &UplinkConfig) -> Result<ClientConfig, FilesError> {
    let ca = config.ca.as_deref().map(read).transpose()?;
    let pair = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let build = || -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&ca.unwrap_or_default()) {
            roots.add(root?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match config.tls_version_min {
            TlsVersionMin::V12 => &[&version::TLS13, &version::TLS12],
            TlsVersionMin::V13 => &[&version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut tls = match pair {
            Some((chain, key)) => {
                let chain =
                    CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = alpn(config);
        Ok(tls)
    };
    build().map_err(FilesError::Unusable)
}

fn alpn(config: &UplinkConfig) -> Vec<Vec<u8>> {
    let port = config.address().map(|(_, port)| port);
    let aws = config.profile == Profile::AwsIotCore && port == Some(HTTPS);
    if config.alpn.is_empty() && aws {
        return vec![AWS_ALPN.as_bytes().to_vec()];
    }
    let names = config.alpn.iter();
    names.map(|name| name.as_bytes().to_vec()).collect()
}

/// The password, without the end of its line.
pub(super) fn password(config: &UplinkConfig) -> Result<Option<Vec<u8>>, FilesError> {
    let Some(path) = &config.password_file else {
        return Ok(None);
    };
    let mut password = read(path)?;
    for end in [b'\n', b'\r'] {
        if password.last() == Some(&end) {
            password.pop();
        }
    }
    Ok(Some(password))
}

fn read(path: &Path) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("{} has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(std::io::Error::other(text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::{ADDRESSES_MAX, alpn, alternating, first_of};
    use crate::uplink::config::UplinkConfig;

    #[test]
    fn port_443_of_aws_is_asked_for_mqtt_by_its_name() {
        let alpn = |text: &str| {
            let config: UplinkConfig = toml::from_str(text).unwrap();
            alpn(&config)
        };
        let aws = "profile = \"aws-iot-core\"\nendpoint = ";
        assert_eq!(
            alpn(&format!("{aws}\"e:443\"")),
            [b"x-amzn-mqtt-ca".to_vec()]
        );
        assert!(alpn(&format!("{aws}\"e\"")).is_empty());
        assert!(alpn("endpoint = \"e:443\"").is_empty());
        let own = format!("{aws}\"e:443\"\nalpn = [\"mqtt\"]");
        assert_eq!(alpn(&own), [b"mqtt".to_vec()]);
    }

    const DEADLINE: Duration = Duration::from_secs(60);

    /// A listener that lets nobody more in, and those who fill its line.
    async fn black_hole() -> (SocketAddr, Vec<TcpStream>, tokio::net::TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut line = Vec::new();
        // What is not let in within this time is not let in at all.
        let silence = Duration::from_secs(2);
        while let Ok(stream) = timeout(silence, TcpStream::connect(address)).await {
            line.push(stream.unwrap());
            assert!(line.len() < 100, "the line has no end");
        }
        (address, line, listener)
    }

    #[tokio::test]
    async fn an_address_that_never_answers_does_not_keep_the_next_from_being_tried() {
        let (nowhere, _line, _listener) = black_hole().await;
        let refused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = refused.local_addr().unwrap();
        drop(refused);
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = there.local_addr().unwrap();
        let all = [nowhere, refusing, nowhere, address];
        let connected = timeout(DEADLINE, first_of(&all)).await;
        let connected = connected.expect("it is tried").unwrap();
        assert_eq!(connected.peer_addr().unwrap(), address);
        let error = timeout(DEADLINE, first_of(&[refusing])).await.unwrap();
        assert_eq!(
            error.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        assert!(first_of(&[]).await.is_err());
    }

    #[test]
    fn however_many_addresses_a_name_has_both_families_are_tried() {
        let of = |text: &str, port| SocketAddr::new(text.parse().unwrap(), port);
        let mut found: Vec<_> = (0..100).map(|port| of("::1", port)).collect();
        found.push(of("127.0.0.1", 1));
        let tried = alternating(&found);
        assert_eq!(tried.len(), ADDRESSES_MAX);
        assert_eq!(tried[..3], [found[0], found[100], found[1]]);
        assert!(alternating(&[]).is_empty());
    }
}
