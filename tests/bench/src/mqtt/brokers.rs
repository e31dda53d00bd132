//! The brokers that are measured, each a process of its own: the host, and
//! mosquitto, with the same certificates.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Outcome;
use crate::demo::binary;
use crate::measure::resident_bytes;

/// How long a broker may take to listen.
const LISTENING_MAX: Duration = Duration::from_secs(20);
/// Bounds of the host that must not be what is measured.
const PLENTY: &str = "
connections_max = 20000
sessions_max = 20000
subscriptions_max = 64
queue_messages_max = 1000000
queue_bytes_max = 2147483648
publish_per_second_max = 10000000
publish_bytes_per_second_max = 10000000000
packet_bytes_max = 262144
inflight_max = 100
";

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}
pub(super) type Stream = Box<dyn Duplex>;

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Mosquitto,
}

/// A broker, running. Killed when dropped.
pub(super) struct Broker {
    child: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    connector: TlsConnector,
    directory: Option<tempfile::TempDir>,
}

/// How to get to it.
#[derive(Clone)]
pub(super) struct Dial {
    address: SocketAddr,
    connector: Option<TlsConnector>,
}

/// What a host is made with beyond its broker.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// More of its configuration.
    pub(super) config: String,
    /// What it runs, in development mode, and the component that is for.
    pub(super) deployment: Option<(String, PathBuf)>,
}

impl Dial {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn stream(&self) -> Outcome<Stream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.connector {
            None => Ok(Box::new(stream)),
            Some(connector) => {
                let name = ServerName::try_from("localhost")?;
                Ok(Box::new(connector.connect(name, stream).await?))
            }
        }
    }
}

impl Broker {
    pub(super) fn start(kind: Kind) -> Outcome<Self> {
        match kind {
            Kind::Host => Self::host(&Host::default()),
            Kind::Mosquitto => Self::begin(folder()?, "mosquitto", mosquitto),
        }
    }

    pub(super) fn host(extra: &Host) -> Outcome<Self> {
        Self::host_again(folder()?, extra)
    }

    /// With the data of another that has ended.
    pub(super) fn host_again(directory: tempfile::TempDir, extra: &Host) -> Outcome<Self> {
        Self::begin(directory, "the host", |folder, plain, tls| {
            host(folder, (plain, tls), extra)
        })
    }

    /// Ends it at once, and returns what it left.
    pub(super) fn end(mut self) -> Outcome<tempfile::TempDir> {
        drop(self.child.kill());
        drop(self.child.wait());
        Ok(self.directory.take().ok_or("its data is gone")?)
    }

    fn begin(
        directory: tempfile::TempDir,
        what: &str,
        start: impl FnOnce(&Path, SocketAddr, SocketAddr) -> Outcome<Child>,
    ) -> Outcome<Self> {
        let folder = directory.path();
        let connector = connector(folder)?;
        let (plain, tls) = (free()?, free()?);
        let log = folder.join("log");
        let child = start(folder, plain, tls)?;
        let begun = Instant::now();
        let broker = Self {
            child,
            plain,
            tls,
            connector,
            directory: Some(directory),
        };
        for address in [plain, tls] {
            while std::net::TcpStream::connect(address).is_err() {
                if begun.elapsed() > LISTENING_MAX {
                    let log = fs_err::read_to_string(log)?;
                    return Err(format!("{what} does not listen on {address}: {log}").into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(broker)
    }

    pub(super) fn plain(&self) -> Dial {
        Dial {
            address: self.plain,
            connector: None,
        }
    }

    pub(super) fn tls(&self) -> Dial {
        Dial {
            address: self.tls,
            connector: Some(self.connector.clone()),
        }
    }

    pub(super) fn resident(&self) -> Outcome<f64> {
        resident_bytes(&self.child.id().to_string())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Certificates, and a place for all else.
fn folder() -> Outcome<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    certificates(directory.path())?;
    Ok(directory)
}

/// A port that was free a moment ago.
pub(super) fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn host(folder: &Path, (plain, tls): (SocketAddr, SocketAddr), extra: &Host) -> Outcome<Child> {
    let data = folder.join("data");
    fs_err::create_dir_all(data.join("devices"))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs_err::set_permissions(&data, mode)?;
    let device = format!("publish = [\"bench/#\"]\nsubscribe = [\"bench/#\"]\n[quota]{PLENTY}");
    fs_err::write(data.join("devices/bench.toml"), device)?;
    let config = format!(
        "data_directory = \"data\"\n[bus]\nsubscriptions_max = 100000\nparty_subscriptions_max = 20000\n\
         [broker]\nlisten = \"{tls}\"\n\
         plain = {{ listen = \"{plain}\", device = \"bench\" }}\n\
         [broker.tls]\ncertificate = \"server.crt\"\nkey = \"server.key\"\nclient_ca = \"ca.crt\"\n\
         [broker.limits]\nconnections_max = 20000\nconnections_per_address_max = 20000\n{}",
        extra.config
    );
    let file = folder.join("host.toml");
    fs_err::write(&file, config)?;
    let mut command = Command::new(binary()?);
    match &extra.deployment {
        Some((deployment, component)) => {
            let name = component.file_name().ok_or("a component without a name")?;
            fs_err::copy(component, folder.join(name))?;
            let file = folder.join("deployment.toml");
            fs_err::write(&file, deployment)?;
            command.arg("dev").arg(file);
        }
        None => {
            command.arg("run");
        }
    }
    command.arg("--host-config").arg(&file);
    logged(command, folder)
}

fn mosquitto(folder: &Path, plain: SocketAddr, tls: SocketAddr) -> Outcome<Child> {
    let text = format!(
        "per_listener_settings true\npersistence false\nuser root\nlog_dest stderr\nlog_type error\n\
         max_inflight_messages 100\nmax_queued_messages 0\nset_tcp_nodelay true\n\
         listener {} 127.0.0.1\nallow_anonymous true\n\
         listener {} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n\
         cafile {folder}/ca.crt\ncertfile {folder}/server.crt\nkeyfile {folder}/server.key\n",
        plain.port(),
        tls.port(),
        folder = folder.display()
    );
    let file = folder.join("mosquitto.conf");
    fs_err::write(&file, text)?;
    let mut command = Command::new(peer("mosquitto")?);
    command.arg("-c").arg(&file);
    logged(command, folder)
}

/// A program of `cargo xtask peers`.
pub(super) fn peer(name: &str) -> Outcome<PathBuf> {
    let target = std::env::current_exe()?;
    let target = target.ancestors().nth(2).ok_or("no target folder")?;
    let path = target.join("peers/bin").join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not there: `cargo xtask peers`", path.display()).into())
}

fn logged(mut command: Command, folder: &Path) -> Outcome<Child> {
    let log = fs_err::File::create(folder.join("log"))?.into_parts().0;
    let output = log.try_clone()?;
    let child = command.stdin(Stdio::null()).stdout(output).stderr(log);
    Ok(child.spawn()?)
}

/// One authority, one server and one device.
fn certificates(folder: &Path) -> Outcome<()> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "bench authority");
    let key = KeyPair::generate()?;
    fs_err::write(folder.join("ca.crt"), ca.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(ca, key);
    for (name, common, alternative) in [
        ("server", "localhost", vec!["localhost".to_owned()]),
        ("device", "bench", Vec::new()),
    ] {
        let mut params = CertificateParams::new(alternative)?;
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        fs_err::write(folder.join(format!("{name}.crt")), certificate.pem())?;
        fs_err::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

fn connector(folder: &Path) -> Outcome<TlsConnector> {
    let read = |name: &str| fs_err::read(folder.join(name));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.crt")?)?)?;
    let chain = vec![CertificateDer::from_pem_slice(&read("device.crt")?)?];
    let key = PrivateKeyDer::from_pem_slice(&read("device.key")?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    // Each handshake in full: that is what is counted.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
