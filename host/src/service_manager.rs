//! Tells the service manager how the host fares: started, alive, reloading,
//! stopping.
//!
//! Speaks the protocol of sd_notify(3) with whoever `NOTIFY_SOCKET` names, and
//! with nobody if it names none. Nothing that goes wrong here stops the host: it
//! is logged, and a service manager that hears nothing acts by its own limits.
//! What the host is, and whether it is well, the caller says.

mod address;
#[cfg(test)]
mod tests;
mod watchdog;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sd_notify::NotifyState;
use tokio::time::timeout;
use tracing::warn;

use address::Address;

use crate::error_chain::ErrorChain;

pub use address::AddressError;
pub use watchdog::{Health, HealthCheck};

/// How long a service manager may take to take a message.
const SEND_MS_MAX: u64 = 5_000;

/// Characters of a status; `systemctl status` shows one line of it.
const STATUS_CHARS_MAX: usize = 200;

/// Why a message did not reach the service manager.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("the service manager cannot be reached")]
    Send(#[from] io::Error),
    #[error("the service manager does not read its messages")]
    Deaf,
}

/// Whoever started this process and watches it. Clones are the same.
#[derive(Clone, Debug)]
pub struct ServiceManager(Option<Arc<Listener>>);

#[derive(Debug)]
struct Listener {
    address: Address,
    /// It gives the host up after so long without a sign of life.
    watchdog: Option<Duration>,
    stage: Mutex<Stage>,
}

/// What the service manager was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Stopping,
}

impl ServiceManager {
    /// Whoever the environment names, which is read here and nowhere else. It
    /// keeps its variables: children are not listened to (`NotifyAccess=main`).
    pub fn from_environment() -> Self {
        let Some(value) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match Address::parse(&value) {
            Ok(address) => Self::at(address, sd_notify::watchdog_enabled()),
            Err(error) => {
                let error = ErrorChain(&error).to_string();
                warn!(error, "nobody is told how the host fares");
                Self(None)
            }
        }
    }

    fn at(address: Address, watchdog: Option<Duration>) -> Self {
        Self(Some(Arc::new(Listener {
            address,
            watchdog: watchdog.filter(|watchdog| !watchdog.is_zero()),
            stage: Mutex::new(Stage::Starting),
        })))
    }

    /// The host serves. `status` is one line for people.
    pub async fn ready(&self, status: &str) {
        if self.enter(Stage::Ready) {
            let status = one_line(status);
            self.say(&[NotifyState::Ready, NotifyState::Status(&status)])
                .await;
        }
    }

    /// The host is told to stop. From now on it is never ready again.
    pub async fn stopping(&self) {
        if self.enter(Stage::Stopping) {
            self.say(&[NotifyState::Stopping, NotifyState::Status("stopping")])
                .await;
        }
    }

    /// Reads again what `work` reads, and tells when it begins and when it has
    /// ended, with the status that it returns. A host that does not serve yet
    /// does the work and says nothing: it is not ready for having reloaded.
    pub async fn reload(&self, work: impl Future<Output = String>) {
        let serves = self.stage() == Some(Stage::Ready);
        if serves {
            // The time tells which signal this answers.
            let now = NotifyState::monotonic_usec_now();
            let mut states = vec![NotifyState::Reloading, NotifyState::Status("reloading")];
            states.extend(now.ok());
            self.say(&states).await;
        }
        let status = work.await;
        if serves {
            self.ready(&status).await;
        }
    }

    fn stage(&self) -> Option<Stage> {
        self.0.as_ref().map(|listener| *listener.stage.lock())
    }

    /// Whether `stage` may still be told.
    fn enter(&self, stage: Stage) -> bool {
        let Some(listener) = &self.0 else {
            return false;
        };
        let mut now = listener.stage.lock();
        let may = *now != Stage::Stopping;
        if may {
            *now = stage;
        }
        may
    }

    async fn say(&self, states: &[NotifyState<'_>]) {
        let Some(listener) = &self.0 else { return };
        if let Err(error) = listener.send(states).await {
            let error = ErrorChain(&error).to_string();
            warn!(error, "the service manager was not told");
        }
    }
}

impl Listener {
    /// One message, connected anew: the service manager may have been replaced.
    async fn send(&self, states: &[NotifyState<'_>]) -> Result<(), NotifyError> {
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        let socket = self.address.connect()?;
        let sent = timeout(
            Duration::from_millis(SEND_MS_MAX),
            socket.send(message.as_bytes()),
        );
        // A datagram is sent whole or not at all.
        sent.await.map_err(|_| NotifyError::Deaf)??;
        Ok(())
    }
}

/// A status that cannot pass for another assignment.
fn one_line(status: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    status.chars().take(STATUS_CHARS_MAX).map(plain).collect()
}
