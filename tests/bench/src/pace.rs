//! Messages at a steady pace through plugins, and how long each took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use selvedge::bus::{Inbox, Message, Party};
use selvedge::names::Topic;
use selvedge::supervisor::{
    RestartPolicy, Supervisor, Unit, UnitContext, UnitResult, UnitState, WhenLost,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::Outcome;
use crate::world::PAYLOAD_BYTES;

/// 1,000 messages a second.
pub(crate) const PACE: Duration = Duration::from_millis(1);
/// Messages that come before it counts.
const WARM_UP: usize = 200;

/// How long messages took, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Latency {
    pub(crate) fn of(taken: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds, far below 2^53")]
        let quantile = |q| taken.value_at_quantile(q) as f64;
        Self {
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }
}

/// Publishes `count` messages to `to`, one each millisecond, from a unit of the
/// host, and takes them from `inbox` in another.
pub(crate) async fn paced(
    supervisor: &Supervisor,
    party: Party,
    to: Topic,
    inbox: Inbox,
    count: usize,
) -> Outcome<Latency> {
    let base = Instant::now();
    let taken = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    let sink = {
        let taken = Arc::clone(&taken);
        once("bench-sink", inbox, move |_, mut inbox| {
            let taken = Arc::clone(&taken);
            async move {
                let (mut batch, mut seen) = (Vec::new(), 0);
                while seen < count {
                    inbox.receive(64, &mut batch).await;
                    let now = since(base);
                    for message in batch.drain(..) {
                        seen += 1;
                        let (stamp, _) = message.payload.split_first_chunk().ok_or("no stamp")?;
                        let took = now.saturating_sub(u64::from_le_bytes(*stamp));
                        if seen > WARM_UP {
                            taken.lock().record(took)?;
                        }
                    }
                }
                Ok(())
            }
        })
    };
    let source = once(
        "bench-source",
        (party, to),
        move |_, (party, to)| async move {
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for _ in 0..count {
                ticks.tick().await;
                let mut payload = vec![0; PAYLOAD_BYTES];
                let stamp = payload.first_chunk_mut().ok_or("too short")?;
                *stamp = since(base).to_le_bytes();
                party
                    .publish_waiting(Message::new(to.clone(), Bytes::from(payload)))
                    .await?;
            }
            Ok(())
        },
    );
    let mut sunk = supervisor.start(sink);
    supervisor.start(source);
    let is_over = |state: &UnitState| !matches!(state, UnitState::Starting | UnitState::Running);
    let state = sunk.wait_for(is_over).await?.clone();
    if !matches!(state, UnitState::Stopped) {
        return Err(format!("the messages were not taken: {state:?}").into());
    }
    let latency = Latency::of(&taken.lock());
    Ok(latency)
}

/// A unit that runs once with what it is given.
pub(crate) fn once<T: Send + 'static, F>(
    name: &str,
    given: T,
    run: impl Fn(UnitContext, T) -> F + Send + Sync + 'static,
) -> Unit
where
    F: Future<Output = UnitResult> + Send + 'static,
{
    let policy = RestartPolicy {
        delay_min: Duration::ZERO,
        delay_max: Duration::ZERO,
        failures_max: 0,
        window: Duration::from_secs(1),
        when_lost: WhenLost::KeepHost,
    };
    let given = Mutex::new(Some(given));
    let run = Arc::new(run);
    Unit::new(name, policy, move |context| {
        let given = given.lock().take();
        let run = Arc::clone(&run);
        async move {
            context.ready();
            run(context, given.ok_or("it runs once")?).await
        }
    })
}

fn since(base: Instant) -> u64 {
    u64::try_from(base.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
