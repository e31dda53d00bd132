//! Serves gRPC at the socket, as one unit, and ends in order.
//!
//! Connections live in tasks of tonic's server; each is cut off when the unit has
//! stopped, and none outlives it. On stopping, streams end at once and calls under
//! way get most of the unit's grace.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::{info, warn};

use super::Shared;
use super::door::{Door, Places};
use super::gate::Gate;
use super::proto::inference_server::InferenceServer;
use super::service::Calls;
use crate::api::ServeError;
use crate::api::access::{AccountFiles, Users};
use crate::api::config::ApiConfig;
use crate::api::door::{SocketFile, listen};
use crate::inference::InferenceApiConfig;
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// Calls of one connection at once.
const CALLS_MAX: u32 = 16;
/// Calls that a client began and took back before they were looked at.
const RESETS_MAX: usize = 32;
/// Bytes of the head of a call.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Bytes that a client may send ahead in one call, and in one connection.
const AHEAD_BYTES_MAX: u32 = 1 << 20;
/// After this time without a word a client is asked whether it is there, and so long
/// it may take to answer.
const ASK: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// For connections to notice that they are cut off.
const CUT: Duration = Duration::from_millis(500);
/// If nobody but root and the host's own user may open the socket; and if others may.
const OWN: u32 = 0o600;
const EVERYONE: u32 = 0o666;

/// A socket, listening.
struct Socket {
    path: PathBuf,
    mode: u32,
    users: Arc<Users>,
    connections_max: usize,
    first: Mutex<Option<(UnixListener, SocketFile)>>,
}

/// The unit that serves, listening.
pub(super) fn build(
    shared: Arc<Shared>,
    config: &InferenceApiConfig,
    grace: Duration,
) -> Result<Unit, ServeError> {
    // Who may run models looks, there; who may load them changes things.
    let rights = ApiConfig {
        operators: config.operators.clone(),
        operator_groups: config.operator_groups.clone(),
        viewers: config.users.clone(),
        viewer_groups: config.groups.clone(),
        ..ApiConfig::default()
    };
    let named = [
        &config.operators,
        &config.operator_groups,
        &config.users,
        &config.groups,
    ];
    let nobody = named.iter().all(|names| names.is_empty());
    let mode = if nobody { OWN } else { EVERYONE };
    let users = Users::new(&rights, AccountFiles::default()).map_err(ServeError::Credentials)?;
    let socket = Arc::new(Socket {
        path: config.socket.clone(),
        mode,
        users: Arc::new(users),
        connections_max: usize::try_from(config.connections_max.get()).unwrap_or(usize::MAX),
        first: Mutex::new(Some(listen(&config.socket, mode)?)),
    });
    let grace = grace.saturating_sub(CUT + CUT);
    Ok(Unit::new("inference-api", policy(), move |context| {
        Arc::clone(&socket).serve(Arc::clone(&shared), context, grace)
    }))
}

impl Socket {
    async fn serve(
        self: Arc<Self>,
        shared: Arc<Shared>,
        context: UnitContext,
        grace: Duration,
    ) -> UnitResult {
        let first = self.first.lock().take();
        let (listener, file) = match first {
            Some(listening) => listening,
            None => listen(&self.path, self.mode)?,
        };
        info!(socket = %self.path.display(), "inference api serving");
        // Cancelled too when this future is dropped, so that no connection outlives it.
        let stopping = context.stop.child_token();
        let cut = CancellationToken::new();
        let _guards = (stopping.clone().drop_guard(), cut.clone().drop_guard());
        let door = Door {
            listener,
            users: Arc::clone(&self.users),
            shared: Arc::clone(&shared),
            places: Places::new(self.connections_max),
            stopping: stopping.clone(),
            cut: cut.clone(),
        };
        let serving = server().serve_with_incoming_shutdown(
            calls(shared),
            door.connections(),
            stopping.clone().cancelled_owned(),
        );
        let mut serving = pin!(serving);
        context.ready();
        let out_of_time = async {
            stopping.cancelled().await;
            sleep(grace).await;
        };
        tokio::select! {
            served = &mut serving => served?,
            () = out_of_time => {
                cut.cancel();
                if timeout(CUT, serving).await.is_err() {
                    warn!("connections of the inference api did not end in time");
                }
            }
        }
        drop(file);
        Ok(())
    }
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(CALLS_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX))
        .http2_max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(AHEAD_BYTES_MAX)
        .initial_connection_window_size(AHEAD_BYTES_MAX)
        .http2_keepalive_interval(Some(ASK))
        .http2_keepalive_timeout(Some(ANSWER_MAX))
}

fn calls(shared: Arc<Shared>) -> Gate<InferenceServer<Calls>> {
    let max = shared.message_bytes_max;
    let inner = InferenceServer::new(Calls(Arc::clone(&shared)))
        .max_decoding_message_size(max)
        .max_encoding_message_size(max);
    Gate { inner, shared }
}

/// It comes back whatever happens to it; the host does not end without it.
fn policy() -> RestartPolicy {
    RestartPolicy {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_secs(10),
        failures_max: usize::MAX,
        window: Duration::from_secs(60),
        when_lost: WhenLost::KeepHost,
    }
}
