//! Terms that follow their files.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::TlsError;
use super::files::Stamp;
use super::server::{ServerSettings, Terms};
use crate::error_chain::ErrorChain;

/// One side that listens, and what it goes by as its files are now.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    seen: Mutex<Seen>,
    terms: ArcSwap<Terms>,
}

/// What was found when the files were looked at last.
#[derive(Debug)]
struct Seen {
    /// When they were changed.
    stamps: [Stamp; 4],
    /// They could not be read. That may pass without any of them changing: what is
    /// revoked in them must not wait for that.
    unread: bool,
}

impl Server {
    /// Reads the files.
    pub fn open(settings: ServerSettings) -> Result<Self, TlsError> {
        // Before they are read: what changes meanwhile is read again.
        let stamps = settings.stamps();
        let terms = settings.terms()?;
        Ok(Self {
            settings,
            seen: Mutex::new(Seen {
                stamps,
                unread: false,
            }),
            terms: ArcSwap::from_pointee(terms),
        })
    }

    /// What the next handshake goes by, as the files were when last looked at.
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Looks at the files, and reads them again if they changed; whether there are
    /// other terms now. What cannot be used changes nothing. Blocks.
    pub fn look(&self) -> bool {
        let mut seen = self.seen.lock();
        let stamps = self.settings.stamps();
        let changed = stamps != seen.stamps;
        if !changed && !seen.unread {
            return false;
        }
        let terms = self.settings.terms();
        *seen = Seen {
            stamps,
            unread: matches!(terms, Err(TlsError::Read(_))),
        };
        match terms {
            Ok(terms) => {
                self.terms.store(Arc::new(terms));
                info!("certificates read again");
                true
            }
            // Said once.
            Err(_) if !changed => false,
            Err(error) => {
                let (code, error) = (error.code(), ErrorChain(&error).to_string());
                warn!(
                    code,
                    error, "certificates not read again: the old ones serve"
                );
                false
            }
        }
    }
}
