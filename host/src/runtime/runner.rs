//! Runs one instance: hands it messages, calls its ticks, or lets it run.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::instance::{CallError, Instance};
use super::local_port::LocalPort;
use super::prepared::Prepared;
use crate::capabilities::Services;
use crate::capabilities::port::Port as _;
use crate::error_chain::ErrorChain;

/// Runs an instance of `prepared` until it is told to stop or fails. `ready` is
/// called once it is initialised.
pub async fn run(
    prepared: &Prepared,
    port: &Arc<LocalPort>,
    services: Services,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), CallError> {
    // A predecessor that a panic of the host ended could not say so itself.
    port.bereave("the host failed");
    let outcome = attempt(prepared, port, services, &stop, ready).await;
    if let Err(error) = &outcome {
        port.bereave(&ErrorChain(error).to_string());
    }
    outcome
}

async fn attempt(
    prepared: &Prepared,
    port: &Arc<LocalPort>,
    services: Services,
    stop: &CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), CallError> {
    let mut instance = prepared.instantiate(services).await?;
    instance.init().await?;
    ready();
    if prepared.exports.run.is_some() {
        return serve(&mut instance, port, stop).await;
    }
    call(&mut instance, prepared, port, stop).await
}

/// A service hears of the stop through its inbox and returns by itself.
async fn serve(
    instance: &mut Instance,
    port: &Arc<LocalPort>,
    stop: &CancellationToken,
) -> Result<(), CallError> {
    let tell = async {
        stop.cancelled().await;
        port.stop();
        pending::<()>().await;
    };
    tokio::select! {
        outcome = instance.run() => {
            if outcome.is_ok() {
                // It returned of its own accord: what it took is done with.
                port.settle(Vec::new());
            }
            outcome
        }
        () = tell => Ok(()),
    }
}

/// Messages and ticks, one call at a time; a due tick goes first, so that a
/// flood of messages does not hold it up.
async fn call(
    instance: &mut Instance,
    prepared: &Prepared,
    port: &Arc<LocalPort>,
    stop: &CancellationToken,
) -> Result<(), CallError> {
    let batch_max = usize::try_from(prepared.spec.limits.batch_messages_max.get()).unwrap_or(1);
    let mut next_tick = prepared.exports.tick.is_some().then(Instant::now);
    loop {
        let tick_due = async {
            match next_tick {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tick_due => {
                next_tick = instance.tick().await?.map(|delay| Instant::now() + delay);
            }
            () = port.ready(), if prepared.exports.handle.is_some() => {
                let Ok(batch) = port.receive(batch_max) else { return Ok(()) };
                let dispositions = instance.handle(&batch).await?;
                port.settle(dispositions);
            }
        }
        // A plugin that always has something to do still lets others run.
        tokio::task::coop::consume_budget().await;
    }
}
