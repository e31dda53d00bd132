//! One poll of one group: every point of it becomes a reading, good or bad.

use std::collections::BTreeMap;
use std::time::Duration;

use selvedge_plugin::senml::{Quality, Record, Value};

use crate::config::{Device, Group};
use crate::connection::Connection;
use crate::net::{Bus, Net};
use crate::pdu::Answer;
use crate::plan::{Block, Plan, Refusal};
use crate::unit::{Unit, UnitError, World};
use crate::value;

/// A group, when it is due, and what the device refuses of it.
#[derive(Debug)]
pub struct Poll {
    points: Vec<usize>,
    plan: Plan,
    interval: Duration,
    due: Duration,
    /// Why a point is not read, by its place.
    refused: BTreeMap<usize, String>,
    /// When refused points are tried again.
    retry_at: Duration,
}

type Readings = BTreeMap<usize, (Value, Quality, f64)>;

impl Poll {
    /// A group of `device` that is first due `phase_ms` after `start`.
    pub fn new(device: &Device, group: &Group, start: Duration) -> Self {
        let points: Vec<usize> = group
            .points
            .iter()
            .filter_map(|name| device.points.iter().position(|point| point.name == *name))
            .collect();
        Self {
            plan: Plan::new(device, points.iter().copied()),
            points,
            interval: Duration::from_millis(group.interval_ms.into()),
            due: start + Duration::from_millis(group.phase_ms.into()),
            refused: BTreeMap::new(),
            retry_at: Duration::ZERO,
        }
    }

    /// When it is to be polled next.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Moves on to the next time after `now`; those missed are not made up.
    pub fn reschedule(&mut self, now: Duration) {
        let late = now.saturating_sub(self.due).as_nanos();
        let missed = late / self.interval.as_nanos().max(1);
        let steps = u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1;
        let ahead = self.interval.saturating_mul(steps);
        self.due = self.due.saturating_add(ahead);
    }

    /// Polls; a reading for each point of the group.
    pub async fn read<N: Net, B: Bus>(
        &mut self,
        world: &World<'_, N, B>,
        unit: &mut Unit,
        connection: &mut Connection<N::Stream>,
    ) -> Vec<Record> {
        let start = world.net.now();
        if !self.refused.is_empty() && start >= self.retry_at {
            self.refused.clear();
            self.plan = Plan::new(&unit.device, self.points.iter().copied());
        }
        // A unit that answers late must not hold its neighbours for longer
        // than its own interval.
        let timeout = Duration::from_millis(unit.device.timeout_ms.into());
        let deadline = start + self.interval.max(timeout);
        let mut readings = Readings::new();
        let mut why = "not read: the plugin stops".to_owned();
        let (mut place, mut asked) = (0, false);
        while let Some(block) = self.plan.block_at(place) {
            if world.stopping.get() {
                break;
            }
            if asked && world.net.now() >= deadline {
                "not read: the poll took longer than its interval".clone_into(&mut why);
                break;
            }
            asked = true;
            let outcome = unit.ask(world, connection, &block.request()).await;
            match self.take(unit, &block, outcome, world.net) {
                Ok(taken) => {
                    place = taken.place;
                    readings.extend(taken.readings);
                }
                Err(reason) => {
                    why = reason;
                    break;
                }
            }
        }
        self.records(&unit.device, readings, &why, world.net.wall())
    }

    /// What one read gave, and where to go on. An error ends the poll.
    fn take(
        &mut self,
        unit: &Unit,
        block: &Block,
        outcome: Result<Answer, UnitError>,
        net: &impl Net,
    ) -> Result<Taken, String> {
        let error = match outcome {
            Ok(answer) => {
                return Ok(Taken {
                    readings: decode(&unit.device, block, &answer, net.wall()),
                    place: block.after(),
                });
            }
            Err(error) => error,
        };
        let why = error.to_string();
        match error.exception() {
            Some(2 | 3) => {
                if self.plan.refused(block) == Refusal::Dropped {
                    self.refuse(unit, block, &why, net.now());
                }
            }
            Some(1) => {
                self.plan.drop_block(block);
                self.refuse(unit, block, &why, net.now());
            }
            // The unit cannot serve this block now, but perhaps the next.
            Some(code) if !matches!(code, 10 | 11) => {
                let bad = (Value::Missing, Quality::Bad(why), net.wall());
                return Ok(Taken {
                    readings: block.points.iter().map(|&at| (at, bad.clone())).collect(),
                    place: block.after(),
                });
            }
            _ => return Err(why),
        }
        // Something else stands at the same place now.
        Ok(Taken {
            readings: Readings::new(),
            place: block.place(),
        })
    }

    fn refuse(&mut self, unit: &Unit, block: &Block, why: &str, now: Duration) {
        if self.refused.is_empty() {
            self.retry_at = now + Duration::from_millis(unit.device.refused_ms.into());
        }
        for &place in &block.points {
            self.refused.insert(place, why.to_owned());
        }
    }

    /// One record for each point, in the group's order.
    fn records(
        &self,
        device: &Device,
        mut readings: Readings,
        why: &str,
        wall: f64,
    ) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.points.len());
        for place in &self.points {
            let Some(point) = device.points.get(*place) else {
                continue;
            };
            let (value, quality, time) = readings.remove(place).unwrap_or_else(|| {
                let why = self.refused.get(place).map_or(why, String::as_str);
                (Value::Missing, Quality::Bad(why.to_owned()), wall)
            });
            records.push(Record {
                name: point.name.clone(),
                unit: point.unit.clone(),
                value,
                time,
                quality,
            });
        }
        records
    }
}

/// What one read gave, and where to go on.
struct Taken {
    readings: Readings,
    place: usize,
}

fn decode(device: &Device, block: &Block, answer: &Answer, wall: f64) -> Readings {
    let mut readings = Readings::new();
    for &place in &block.points {
        let Some(point) = device.points.get(place) else {
            continue;
        };
        let from = usize::from(point.address - block.start);
        let until = from + usize::from(point.span());
        let (value, quality) = match answer {
            Answer::Registers(words) => {
                value::decode(point, words.get(from..until).unwrap_or_default())
            }
            Answer::Bits(bits) => match bits.get(from) {
                Some(&bit) => (Value::Bool(bit), Quality::Good),
                None => value::decode(point, &[]),
            },
            Answer::Done | Answer::Page(_) => value::decode(point, &[]),
        };
        readings.insert(place, (value, quality, wall));
    }
    readings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missed_polls_are_not_made_up_and_the_phase_is_kept() {
        let config: crate::config::Config = serde_json::from_value(json!({"devices": [{
            "name": "d", "site": "s", "address": "h:1",
            "points": [{"name": "p", "table": "coil", "address": 0}],
            "groups": [{"name": "g", "interval_ms": 100, "phase_ms": 30, "points": ["p"]}],
        }]}))
        .unwrap();
        let device = config.devices().unwrap().remove(0);
        let ms = Duration::from_millis;
        let mut poll = Poll::new(&device, &device.groups[0], ms(1000));
        let mut times = Vec::new();
        for now in [1031, 1130, 1499, 1530] {
            poll.reschedule(ms(now));
            times.push(poll.due().as_millis());
        }
        assert_eq!(times, [1130, 1230, 1530, 1630]);
    }
}
