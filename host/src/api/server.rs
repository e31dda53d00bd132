//! Serves HTTP at each door, as one unit each, and ends in order.
//!
//! The connections of a door live in tasks of axum's server; each is cut off
//! when the unit has stopped, and none outlives it. On stopping, streams end at
//! once and requests under way get most of the unit's grace.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::access::Users;
use super::config::{ApiConfig, HttpsConfig};
use super::connection::{Patience, Peer};
use super::door::{Door, Guard, SocketFile, Way, listen};
use super::{Api, ServeError, policy, routes};
use crate::supervisor::{Unit, UnitContext, UnitResult};

/// Everyone may open the socket: the probes are for everyone.
const SOCKET_MODE: u32 = 0o666;
/// For connections to notice that they are cut off.
const CUT: Duration = Duration::from_millis(500);

/// Where the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The address on the network, if there is one.
    pub https: Option<SocketAddr>,
}

/// The units that serve `api`, listening.
pub(super) fn build(
    api: &Arc<Api>,
    config: &ApiConfig,
    socket: PathBuf,
    grace: Duration,
) -> Result<(Vec<Unit>, Served), ServeError> {
    let files = super::access::AccountFiles::default();
    let users = Users::new(config, files).map_err(ServeError::Credentials)?;
    let unix = Arc::new(Unix {
        path: socket.clone(),
        users: Arc::new(users),
        first: Mutex::new(Some(listen(&socket, SOCKET_MODE)?)),
    });
    let https = config.https.as_ref().map(Https::listen).transpose()?;
    let served = Served {
        socket,
        https: https.as_ref().map(|https| https.address),
    };
    // What is left is for the connections to notice that they are cut off.
    let grace = grace.saturating_sub(CUT + CUT);
    let unix = {
        let api = Arc::clone(api);
        Unit::new("api/unix", policy(), move |context| {
            Arc::clone(&unix).serve(Arc::clone(&api), context, grace)
        })
    };
    let https = https.map(|https| {
        let api = Arc::clone(api);
        Unit::new("api/https", policy(), move |context| {
            let (api, first) = (Arc::clone(&api), https.first.lock().take());
            let (address, guard) = (https.address, Arc::clone(&https.guard));
            async move {
                let listener = match first {
                    Some(listener) => listener,
                    None => TcpListener::bind(address).await?,
                };
                info!(%address, "api serving");
                run(api, Way::Https(listener, guard), context, grace).await;
                Ok(())
            }
        })
    });
    Ok(([unix].into_iter().chain(https).collect(), served))
}

/// A port, listening.
struct Https {
    address: SocketAddr,
    guard: Arc<Guard>,
    first: Mutex<Option<TcpListener>>,
}

impl Https {
    fn listen(config: &HttpsConfig) -> Result<Self, ServeError> {
        let fault = |source| ServeError::Listen {
            address: config.listen,
            source,
        };
        let tls = super::tls::open(config)?;
        let listener = std::net::TcpListener::bind(config.listen).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let listener = TcpListener::from_std(listener).map_err(fault)?;
        Ok(Self {
            address: listener.local_addr().map_err(fault)?,
            guard: Arc::new(Guard {
                tls,
                config: config.clone(),
            }),
            first: Mutex::new(Some(listener)),
        })
    }
}

/// A socket, listening.
struct Unix {
    path: PathBuf,
    users: Arc<Users>,
    first: Mutex<Option<(UnixListener, SocketFile)>>,
}

impl Unix {
    async fn serve(
        self: Arc<Self>,
        api: Arc<Api>,
        context: UnitContext,
        grace: Duration,
    ) -> UnitResult {
        let first = self.first.lock().take();
        let (listener, file) = match first {
            Some(listening) => listening,
            None => listen(&self.path, SOCKET_MODE)?,
        };
        info!(socket = %self.path.display(), "api serving");
        let way = Way::Unix(listener, Arc::clone(&self.users));
        run(api, way, context, grace).await;
        drop(file);
        Ok(())
    }
}

/// Serves at one door until told to stop.
async fn run(api: Arc<Api>, way: Way, context: UnitContext, grace: Duration) {
    // Cancelled too when this future is dropped, so that no connection outlives it.
    let stopping = context.stop.child_token();
    let cut = CancellationToken::new();
    let _guards = (stopping.clone().drop_guard(), cut.clone().drop_guard());
    let door = Door::new(way, Patience::default(), stopping.clone(), cut.clone());
    let app = routes::router(api).into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(door, app);
    let serving = serving.with_graceful_shutdown(stopping.clone().cancelled_owned());
    let mut serving = pin!(serving.into_future());
    context.ready();
    let out_of_time = async {
        stopping.cancelled().await;
        sleep(grace).await;
    };
    tokio::select! {
        _ = &mut serving => {}
        () = out_of_time => {
            cut.cancel();
            if timeout(CUT, serving).await.is_err() {
                warn!("connections of the api did not end in time");
            }
        }
    }
}
