//! The adapter as a whole: one line for each address, and commands to them.
//!
//! Commands are taken a few at a time and more only when those are done, since
//! taking more tells the host that they were handled. What is waiting stays in
//! the host's inbox, which is bounded there.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{join, join_all};
use selvedge_plugin::Message;

use crate::config::Device;
use crate::line::{Job, Line};
use crate::net::{Bus, Net, Stopping};
use crate::outbox::Outbox;
use crate::unit::World;

/// Commands in hand at once.
const COMMANDS_MAX: u32 = 16;
/// What a line's queue holds: never more are in hand.
const QUEUE_MAX: usize = COMMANDS_MAX as usize;

/// Where a device is found: line and unit.
type Places = HashMap<(String, String), (usize, usize)>;

/// Runs until the host asks to stop.
pub async fn run<N: Net, B: Bus>(
    net: &N,
    bus: &B,
    devices: Vec<Device>,
    command_age_max: Duration,
) {
    let world = World {
        net,
        bus,
        outbox: Outbox::default(),
        stopping: Cell::new(false),
        command_age_max,
    };
    let start = net.now();
    let mut places = Places::new();
    let (mut senders, mut lines) = (Vec::new(), Vec::new());
    for (place, devices) in by_address(devices).into_values().enumerate() {
        for (unit, device) in devices.iter().enumerate() {
            let key = (device.site.clone(), device.name.clone());
            places.insert(key, (place, unit));
        }
        let (sender, jobs) = mpsc::channel(QUEUE_MAX);
        senders.push(sender);
        lines.push(Line::<N::Stream>::new(devices, start).run(&world, jobs));
    }
    join(dispatch(&world, &places, senders), join_all(lines)).await;
}

fn by_address(devices: Vec<Device>) -> BTreeMap<String, Vec<Device>> {
    let mut lines = BTreeMap::<String, Vec<Device>>::new();
    for device in devices {
        lines
            .entry(device.address.clone())
            .or_default()
            .push(device);
    }
    lines
}

/// Hands commands to their lines until the host asks to stop. When it returns,
/// the senders are gone and the lines finish what is in hand.
async fn dispatch<N: Net, B: Bus>(
    world: &World<'_, N, B>,
    places: &Places,
    mut senders: Vec<mpsc::Sender<Job>>,
) {
    loop {
        let messages = match world.bus.receive(COMMANDS_MAX).await {
            Ok(messages) => messages,
            Err(Stopping) => {
                world.stopping.set(true);
                return;
            }
        };
        let mut waiting = Vec::new();
        for message in messages {
            let Some((line, unit, name)) = address(places, &message) else {
                // Another adapter's command, or nobody's.
                continue;
            };
            let (done, finished) = oneshot::channel();
            let job = Job {
                unit,
                name,
                message,
                done,
            };
            let sent = senders
                .get_mut(line)
                .is_some_and(|sender| sender.try_send(job).is_ok());
            if sent {
                waiting.push(finished);
            } else {
                world.bus.warn("a command was dropped: its line is gone");
            }
        }
        // Each is answered or dropped within its unit's time-outs.
        join_all(waiting).await;
    }
}

/// Line, unit and last level of a command's topic:
/// `command/<site>/<device>/<name>`.
fn address(places: &Places, message: &Message) -> Option<(usize, usize, String)> {
    let mut levels = message.topic.strip_prefix("command/")?.split('/');
    let (site, device, name) = (levels.next()?, levels.next()?, levels.next()?);
    if levels.next().is_some() {
        return None;
    }
    let (line, unit) = *places.get(&(site.to_owned(), device.to_owned()))?;
    Some((line, unit, name.to_owned()))
}
