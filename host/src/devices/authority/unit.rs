//! What keeps the authority's files current while the host runs.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Authority, AuthorityError};
use crate::error_chain::ErrorChain;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

/// Addresses change, so it is looked more often than lists and certificates end.
const LOOK: Duration = Duration::from_secs(60);
/// Looks in an hour that the host lives through.
const LOOKS_AN_HOUR: u32 = 60;
/// Looks between two warnings about the same.
const LOOKS_BETWEEN_WARNINGS: u32 = 24 * 60;
/// An authority that ends sooner is warned of.
const END: SignedDuration = SignedDuration::from_hours(24 * 90);

const POLICY: RestartPolicy = RestartPolicy {
    delay_min: Duration::from_secs(1),
    delay_max: Duration::from_secs(60),
    failures_max: usize::MAX,
    window: Duration::from_secs(600),
    when_lost: WhenLost::KeepHost,
};

impl Authority {
    /// Does at once what is due, before the files are needed: they may lack what a
    /// creation that was cut short did not come to, or have ended while the host did
    /// not run. Blocks.
    pub fn catch_up(data_directory: &Path) {
        keep(data_directory, Look::default());
    }

    /// What keeps the authority in `data_directory` current, once there is one.
    pub fn unit(data_directory: &Path) -> Unit {
        let data_directory = data_directory.to_owned();
        Unit::new("ca", POLICY, move |context| {
            let data_directory = data_directory.clone();
            async move {
                context.ready();
                for count in 0_u32.. {
                    let look = Look {
                        warns: count % LOOKS_BETWEEN_WARNINGS == 0,
                        ends_hour: count % LOOKS_AN_HOUR == LOOKS_AN_HOUR - 1,
                    };
                    let data = data_directory.clone();
                    spawn_blocking(move || keep(&data, look)).await?;
                    tokio::select! {
                        () = context.stop.cancelled() => break,
                        () = sleep(LOOK) => {}
                    }
                }
                Ok(())
            }
        })
    }
}

/// What one look is for besides.
#[derive(Clone, Copy, Default)]
struct Look {
    warns: bool,
    /// The host has lived for an hour since the last such one.
    ends_hour: bool,
}

fn keep(data_directory: &Path, look: Look) {
    let now = Timestamp::now();
    let kept = Authority::open(data_directory).and_then(|authority| {
        if authority.keep(now)? {
            info!("certificates of the site kept current");
        }
        if look.ends_hour {
            authority.pass_an_hour(now)?;
        }
        authority.not_after()
    });
    match kept {
        Ok(end) if look.warns && end.duration_since(now) < END => {
            warn!(until = %end, "the site's authority ends soon: make another");
        }
        Ok(_) | Err(AuthorityError::NotThere(_)) => {}
        Err(error) => {
            let (code, error) = (error.code(), ErrorChain(&error).to_string());
            warn!(code, error, "certificates of the site not kept current");
        }
    }
}
