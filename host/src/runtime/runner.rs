//! Runs one instance: hands it messages, calls its ticks, or lets it run.

use std::future::pending;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::instance::{CallError, Instance};
use super::local_port::LocalPort;
use super::prepared::Prepared;
use crate::capabilities::Services;
use crate::capabilities::port::Port as _;

/// An instance that can be called, and when its next tick is due.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) instance: Instance,
    next_tick: Option<Instant>,
}

impl Live {
    /// A new instance of `prepared`, initialised.
    pub(super) async fn make(
        prepared: &Prepared,
        port: &LocalPort,
        services: Services,
    ) -> Result<Self, CallError> {
        let mut instance = prepared.instantiate(services).await?;
        instance.init().await?;
        let mut live = Self {
            instance,
            next_tick: prepared.exports.tick.is_some().then(Instant::now),
        };
        live.weigh(port);
        Ok(live)
    }

    /// Runs it until it is told to stop, at a batch boundary, or fails.
    pub(super) async fn run(
        &mut self,
        prepared: &Prepared,
        port: &LocalPort,
        stop: &CancellationToken,
    ) -> Result<(), CallError> {
        if prepared.exports.run.is_some() {
            self.serve(port, stop).await
        } else {
            self.call(prepared, port, stop).await
        }
    }

    /// A service hears of the stop through its inbox and returns by itself.
    async fn serve(&mut self, port: &LocalPort, stop: &CancellationToken) -> Result<(), CallError> {
        let tell = async {
            stop.cancelled().await;
            port.stop();
            pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = self.instance.run() => outcome,
            () = tell => Ok(()),
        };
        if outcome.is_ok() {
            // It returned of its own accord: what it took is done with.
            port.settle(Vec::new());
        }
        self.weigh(port);
        outcome
    }

    /// Messages, ticks and questions, one call at a time; a due tick goes first and
    /// who waits for an answer next, so that a flood of messages holds up neither.
    async fn call(
        &mut self,
        prepared: &Prepared,
        port: &LocalPort,
        stop: &CancellationToken,
    ) -> Result<(), CallError> {
        let batch_max = usize::try_from(prepared.spec.limits.batch_messages_max.get()).unwrap_or(1);
        loop {
            let next_tick = self.next_tick;
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
                    port.tick_begins();
                    let delay = self.instance.tick().await?;
                    port.tick_ended();
                    self.next_tick = delay.map(|delay| Instant::now() + delay);
                }
                asked = port.asked(), if prepared.exports.authorize.is_some() => {
                    let (question, answer) = asked.split();
                    answer.give(self.instance.authorize(question).await?);
                }
                () = port.ready(), if prepared.exports.handle.is_some() => {
                    let Ok(batch) = port.receive(batch_max) else { return Ok(()) };
                    let dispositions = self.instance.handle(&batch).await?;
                    port.settle(dispositions);
                }
            }
            self.weigh(port);
            // A plugin that always has something to do still lets others run.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn weigh(&mut self, port: &LocalPort) {
        port.holds(u64::try_from(self.instance.memory_bytes()).unwrap_or(u64::MAX));
    }
}
