//! One address: its connection, the units behind it, and what they are asked
//! next.
//!
//! One request is in flight at a time. A command goes before polls, but after
//! each command a poll that is due has its turn, so neither starves the other.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use selvedge_plugin::{Message, senml};
use serde_json::Value as Json;

use crate::command::{self, CommandError};
use crate::config::Device;
use crate::connection::Connection;
use crate::net::{Bus, Net};
use crate::poll::Poll;
use crate::unit::{Unit, World};
use crate::write;

/// A command on its way to a unit.
#[derive(Debug)]
pub struct Job {
    /// The unit's place on the line.
    pub unit: usize,
    /// The last level of the topic.
    pub name: String,
    /// As it came.
    pub message: Message,
    /// Dropped when the job is done.
    pub done: oneshot::Sender<()>,
}

/// One address and the units behind it.
#[derive(Debug)]
pub struct Line<S> {
    connection: Connection<S>,
    units: Vec<(Unit, Vec<Poll>)>,
}

impl<S: crate::net::Stream> Line<S> {
    /// For devices of one address.
    pub fn new(devices: Vec<Device>, start: Duration) -> Self {
        let tid = devices.first().map(|device| device.tid).unwrap_or_default();
        let units = devices
            .into_iter()
            .map(|device| {
                let polls = device
                    .groups
                    .iter()
                    .map(|group| Poll::new(&device, group, start))
                    .collect();
                (Unit::new(device), polls)
            })
            .collect();
        Self {
            connection: Connection::new(tid),
            units,
        }
    }

    /// Polls and carries out jobs until there can be no more jobs.
    pub async fn run<N: Net<Stream = S>, B: Bus>(
        mut self,
        world: &World<'_, N, B>,
        mut jobs: mpsc::Receiver<Job>,
    ) {
        loop {
            let wait = self
                .next_due()
                .map(|due| due.saturating_sub(world.net.now()));
            let job = match jobs.next().now_or_never() {
                Some(job) => Some(job),
                None => match wait {
                    Some(Duration::ZERO) => None,
                    Some(wait) => match select(jobs.next(), pin!(world.net.sleep(wait))).await {
                        Either::Left((job, _)) => Some(job),
                        Either::Right(_) => None,
                    },
                    None => Some(jobs.next().await),
                },
            };
            match job {
                Some(None) => return,
                Some(Some(job)) => self.serve(world, job).await,
                None => {}
            }
            self.poll_one(world).await;
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let polls = self.units.iter().flat_map(|(_, polls)| polls);
        polls.map(Poll::due).min()
    }

    /// Polls the group that has been due for longest, if any is.
    async fn poll_one<N: Net<Stream = S>, B: Bus>(&mut self, world: &World<'_, N, B>) {
        let now = world.net.now();
        let mut first: Option<(&mut Unit, &mut Poll)> = None;
        for (unit, polls) in &mut self.units {
            let Some(poll) = polls.iter_mut().min_by_key(|poll| poll.due()) else {
                continue;
            };
            if first
                .as_ref()
                .is_none_or(|(_, other)| poll.due() < other.due())
            {
                first = Some((unit, poll));
            }
        }
        let Some((unit, poll)) = first.filter(|(_, poll)| poll.due() <= now) else {
            return;
        };
        let records = poll.read(world, unit, &mut self.connection).await;
        poll.reschedule(world.net.now());
        if !world.stopping.get() {
            let topic = unit.device.telemetry_topic();
            let pack = senml::message(topic, &records);
            world.outbox.publish(world.bus, pack);
        }
    }

    async fn serve<N: Net<Stream = S>, B: Bus>(&mut self, world: &World<'_, N, B>, job: Job) {
        let outcome = match self.units.get_mut(job.unit) {
            Some((unit, _)) => obey(world, unit, &mut self.connection, &job).await,
            None => return,
        };
        let reply = outcome.unwrap_or_else(|error| error.reply());
        if let Some(message) = job.message.reply(reply.to_string()) {
            world
                .outbox
                .publish(world.bus, message.with_content_type("application/json"));
        }
        drop(job.done);
    }
}

/// Carries out one job; the JSON answers it.
async fn obey<N: Net, B: Bus>(
    world: &World<'_, N, B>,
    unit: &mut Unit,
    connection: &mut Connection<N::Stream>,
    job: &Job,
) -> Result<Json, CommandError> {
    let published = Duration::from_nanos(job.message.published_at);
    let age =
        Duration::try_from_secs_f64(world.net.wall() - published.as_secs_f64()).unwrap_or_default();
    if job.message.published_at > 0 && age > world.command_age_max {
        return Err(CommandError::Expired(age.as_millis()));
    }
    let command = command::parse(&unit.device, &job.name, &job.message.payload)?;
    write::carry_out(world, unit, connection, command).await
}
