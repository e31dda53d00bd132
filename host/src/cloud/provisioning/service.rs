//! The unit that gets the gateway's certificate at the first start.

use std::time::Duration;

use tokio::sync::watch;

use super::files::Files;
use super::{Claim, provision};
use crate::cloud::ClaimWay;
use crate::cloud::name::ThingName;
use crate::supervisor::{Supervisor, UnitContext, UnitResult};

/// How long it waits to be connected before it says so; then it tries again.
const CONNECT_MAX: Duration = Duration::from_secs(300);

/// Gets a certificate.
#[derive(Clone, Debug)]
pub struct Service {
    /// The connection of the claim, which is ended when it is no longer needed.
    pub way: ClaimWay,
    pub supervisor: Supervisor,
    pub claim: Claim,
    pub files: Files,
    /// Who wants to know which thing this is.
    pub thing: watch::Sender<Option<ThingName>>,
}

impl Service {
    /// Until there is one.
    pub async fn run(&self, context: UnitContext) -> UnitResult {
        context.ready();
        let provision = provision(&*self.way.channel, &self.claim, &self.files, CONNECT_MAX);
        tokio::select! {
            () = context.stop.cancelled() => Ok(()),
            provisioned = provision => {
                let thing = provisioned?.thing;
                self.thing.send_if_modified(|known| {
                    let unknown = known.is_none();
                    known.get_or_insert(thing);
                    unknown
                });
                for unit in &self.way.units {
                    self.supervisor.stop(unit).await;
                }
                Ok(())
            }
        }
    }
}
