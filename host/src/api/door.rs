//! Where callers come in: a Unix socket, or a port with TLS.
//!
//! It finds out who someone is before anything they say is read, within a time
//! and for so many at once, and gives them a place or sends them away. Who has
//! no certificate does not come in.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::ServeError;
use super::access::{Users, certified};
use super::config::HttpsConfig;
use super::connection::{Bytes, Connection, Patience, Peer};
use super::places::Places;
use crate::tls::{Identity, Server};

/// Callers of whom it is not yet known who they are.
const ENTERING_MAX: usize = 32;
/// Before the next attempt, when the system lets nobody in.
const PAUSE: Duration = Duration::from_millis(100);
/// How long who is sent away may take to read why.
const FAREWELL_MAX: Duration = Duration::from_millis(250);

/// What who finds no place is told.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nconnection: close\r\nretry-after: 1\r\n\
    content-length: 87\r\n\r\n\
    {\"code\":\"too-many-connections\",\"title\":\"there are too many connections\",\"status\":503}\r\n";

/// Where callers come in.
pub(super) struct Door {
    way: Way,
    entry: Arc<Entry>,
    entering: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
}

/// How they come in.
pub(super) enum Way {
    Unix(UnixListener, Arc<Users>),
    Https(TcpListener, Arc<Guard>),
}

/// Who is let in over the network.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) tls: Server,
    pub(super) config: HttpsConfig,
}

/// What everyone who comes in gets.
struct Entry {
    places: Places,
    patience: Patience,
    stopping: CancellationToken,
    cut: CancellationToken,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    /// A door that is open until `stopping`, and through which everyone is out
    /// after `cut`.
    pub(super) fn new(
        way: Way,
        patience: Patience,
        stopping: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        Self {
            way,
            entry: Arc::new(Entry {
                places: Places::default(),
                patience,
                stopping,
                cut,
            }),
            entering: FuturesUnordered::new(),
        }
    }
}

impl Way {
    async fn accept(
        &self,
        entry: &Arc<Entry>,
    ) -> io::Result<BoxFuture<'static, Option<Connection>>> {
        let entry = Arc::clone(entry);
        Ok(match self {
            Self::Unix(listener, users) => {
                let (stream, _) = listener.accept().await?;
                Box::pin(entry.local(stream, Arc::clone(users)))
            }
            Self::Https(listener, guard) => {
                let (stream, from) = listener.accept().await?;
                Box::pin(entry.remote(stream, from, Arc::clone(guard)))
            }
        })
    }
}

impl Entry {
    async fn local(self: Arc<Self>, stream: UnixStream, users: Arc<Users>) -> Option<Connection> {
        let credentials = stream.peer_cred().ok()?;
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let caller = spawn_blocking(move || users.caller(uid, gid)).await.ok()?;
        let (stopping, cut) = (self.stopping.clone(), self.cut.child_token());
        let peer = Peer::new(caller, stopping, cut);
        self.seat(Box::new(stream), peer).await
    }

    async fn remote(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        guard: Arc<Guard>,
    ) -> Option<Connection> {
        let tls = Arc::clone(&guard);
        let look = move || {
            tls.tls.look();
            tls.tls.terms().config()
        };
        let tls = spawn_blocking(look).await.ok()?;
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let stream = match timeout(self.patience.entry, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(client = %from, error = %error, "connection refused");
                return None;
            }
            Err(_) => {
                debug!(client = %from, "connection refused: its handshake took too long");
                return None;
            }
        };
        let (_, session) = stream.get_ref();
        let identity = Identity::of(session.peer_certificates()?.first()?);
        let Some(name) = identity.as_ref().and_then(Identity::name) else {
            debug!(client = %from, "connection refused: its certificate has no name");
            return None;
        };
        let caller = certified(&guard.config, name.to_owned());
        let (stopping, cut) = (self.stopping.clone(), self.cut.child_token());
        let peer = Peer::new(caller, stopping, cut);
        self.seat(Box::new(stream), peer).await
    }

    async fn seat(&self, mut stream: Box<dyn Bytes>, peer: Peer) -> Option<Connection> {
        if let Some(place) = self.places.take(&peer).await {
            return Some(Connection::new(stream, peer, self.patience, place));
        }
        let farewell = async {
            stream.write_all(NO_PLACE).await?;
            stream.shutdown().await
        };
        // Read or not, the connection ends here.
        drop(timeout(FAREWELL_MAX, farewell).await);
        None
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        loop {
            let has_room = self.entering.len() < ENTERING_MAX;
            tokio::select! {
                Some(entered) = self.entering.next(), if !self.entering.is_empty() => {
                    if let Some(connection) = entered {
                        return (connection, ());
                    }
                }
                accepted = self.way.accept(&self.entry), if has_room => match accepted {
                    Ok(entering) => self.entering.push(entering),
                    Err(error) => {
                        warn!(error = %error, "connection not accepted");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().peer().clone()
    }
}

/// A Unix socket's name in the file system. Dropped, it is removed, if it is
/// still this one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens at `path`. A socket that nobody listens on is replaced; anything else
/// that is there stays.
///
/// Who may connect is decided by the directory and by `mode`, and who may do anything
/// by credentials.
pub(crate) fn listen(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), ServeError> {
    let fault = |source| ServeError::Socket {
        path: path.to_owned(),
        source,
    };
    if let Ok(found) = fs_err::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(ServeError::NotASocket {
                path: path.to_owned(),
            });
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs_err::remove_file(path).map_err(fault)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => {
                return Err(ServeError::InUse {
                    path: path.to_owned(),
                });
            }
        }
    }
    let listener = UnixListener::bind(path).map_err(fault)?;
    let permissions = std::fs::Permissions::from_mode(mode);
    fs_err::set_permissions(path, permissions).map_err(fault)?;
    let metadata = fs_err::symlink_metadata(path).map_err(fault)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (metadata.dev(), metadata.ino()),
    };
    Ok((listener, file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs_err::symlink_metadata(&self.path);
        let own = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if found.is_ok_and(own)
            && let Err(error) = fs_err::remove_file(&self.path)
        {
            warn!(error = %error, "socket not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NO_PLACE;

    #[test]
    fn what_who_is_sent_away_reads_is_whole() {
        let text = std::str::from_utf8(NO_PLACE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: crate::api::wire::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, 503);
    }
}
