//! One TLS handshake: within its time, in its turn, and why it failed.
//!
//! The first message of the other side is awaited without a turn. A turn lasts
//! until the handshake is done, and no longer than an honest one takes: who stalls
//! goes on without it, so that those who stall hold nobody up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{CertificateError, Error};
use tokio_rustls::server::TlsStream;

use super::Guard;
use crate::broker::clients::Certificates;
use crate::broker::shared::Peer;
use crate::error_chain::ErrorChain;
use crate::tls::{Identity, Server, Terms};

/// A turn, as long as an honest handshake over a slow network takes or less.
const TURN: Duration = Duration::from_millis(250);

/// A handshake that was done.
pub(super) struct Shaken {
    /// Large, and moved again.
    pub(super) stream: Box<TlsStream<TcpStream>>,
    /// None: no certificate was shown, and none is required.
    pub(super) identity: Option<Arc<Identity>>,
}

/// Why one was not.
struct Failed {
    code: &'static str,
    text: String,
}

impl Guard {
    /// None: it failed, which was counted and told.
    pub(super) async fn shake(
        &self,
        stream: TcpStream,
        peer: &Peer,
        server: &Server,
    ) -> Option<Shaken> {
        let end = peer.ticket.end();
        let shaking = timeout_at(peer.connect_by, self.attempt(stream, peer, server));
        let failed = tokio::select! {
            shaken = shaking => match shaken {
                Ok(Ok(shaken)) => {
                    self.shared.counters.handshakes_total.add(1);
                    return Some(shaken);
                }
                Ok(Err(failed)) => failed,
                Err(_) => Failed::new("handshake-too-slow", "its handshake took too long"),
            },
            _ = end.wait() => {
                Failed::new("handshake-cut", "others came, or the broker stops")
            }
        };
        self.shared.counters.handshakes_failed_total.add(1);
        self.turn_away(failed.code, peer.address, &failed.text);
        None
    }

    async fn attempt(
        &self,
        stream: TcpStream,
        peer: &Peer,
        server: &Server,
    ) -> Result<Shaken, Failed> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let closed = |_| Failed::new("handshake-cut", "the broker stops");
        let turn = self.turns.acquire().await.map_err(closed)?;
        let terms = server.terms();
        let mut handshake = Box::pin(hello.into_stream(terms.config()));
        let stream = tokio::select! {
            biased;
            done = &mut handshake => done?,
            () = sleep(TURN) => {
                drop(turn);
                handshake.await?
            }
        };
        let identity = identify(&stream, peer, (server, &terms))?;
        let stream = Box::new(stream);
        Ok(Shaken { stream, identity })
    }
}

/// Who showed a certificate, which is watched from now on.
fn identify(
    stream: &TlsStream<TcpStream>,
    peer: &Peer,
    (server, terms): (&Server, &Arc<Terms>),
) -> Result<Option<Arc<Identity>>, Failed> {
    let (_, session) = stream.get_ref();
    let Some(chain) = session.peer_certificates() else {
        return Ok(None);
    };
    let unreadable = || Failed::new("certificate-unreadable", "its certificate cannot be read");
    let identity = chain
        .first()
        .and_then(Identity::of)
        .ok_or_else(unreadable)?;
    peer.ticket.shows(Certificates {
        chain: chain.into(),
        not_after: identity.not_after,
    });
    // Changed meanwhile, whoever watches has looked before this one was there.
    let now = server.terms();
    if !Arc::ptr_eq(&now, terms)
        && let Err(error) = now.accept(chain)
    {
        let text = ErrorChain(&error).to_string();
        let code = "certificate-withdrawn";
        return Err(Failed { code, text });
    }
    Ok(Some(Arc::new(identity)))
}

impl Failed {
    fn new(code: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self { code, text }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        let code = tls.map_or("connection-lost", code);
        let text = ErrorChain(&error).to_string();
        Self { code, text }
    }
}

/// A stable name for what went wrong.
fn code(error: &Error) -> &'static str {
    match error {
        Error::NoCertificatesPresented => "certificate-missing",
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "certificate-expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "certificate-not-yet-valid"
            }
            CertificateError::UnknownIssuer => "certificate-unknown-authority",
            CertificateError::Revoked => "certificate-revoked",
            CertificateError::UnknownRevocationStatus => "certificate-revocation-unknown",
            _ => "certificate-invalid",
        },
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => "tls-incompatible",
        Error::AlertReceived(_) => "tls-refused-by-client",
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "tls-malformed",
        _ => "tls-failed",
    }
}
