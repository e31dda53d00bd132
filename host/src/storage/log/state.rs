//! What is known of a log without asking the disk.

use std::collections::BTreeMap;

use super::Lane;

/// Counts of one log.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The number of the next entry.
    pub(super) next: u64,
    /// What is below it is on the disk.
    pub(super) durable: u64,
    lanes: BTreeMap<Lane, LaneState>,
}

#[derive(Debug, Default)]
struct LaneState {
    len: u64,
    bytes: u64,
    /// No entry is below it.
    floor: u64,
}

impl State {
    pub(super) fn add(&mut self, lane: Lane, number: u64, size: u64) {
        let lane = self.lanes.entry(lane).or_default();
        if lane.len == 0 {
            lane.floor = number;
        }
        lane.len += 1;
        lane.bytes = lane.bytes.saturating_add(size);
    }

    pub(super) fn subtract(&mut self, lane: Lane, number: u64, size: u64) {
        let next = self.next;
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return;
        };
        lane.len = lane.len.saturating_sub(1);
        lane.bytes = lane.bytes.saturating_sub(size);
        if lane.len == 0 {
            // The traces of what was there need not be passed again.
            lane.floor = lane.floor.max(next);
        } else if lane.floor == number {
            lane.floor += 1;
        }
    }

    /// No entry of the lane is below `first`.
    pub(super) fn raise_floor(&mut self, lane: Lane, first: u64) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.floor = lane.floor.max(first);
        }
    }

    pub(super) fn floor(&self, lane: Lane) -> u64 {
        // A lane without entries has none below any number.
        self.lanes.get(&lane).map_or(self.next, |lane| lane.floor)
    }

    pub(super) fn lanes(&self) -> Vec<Lane> {
        self.lanes.keys().copied().collect()
    }

    pub(super) fn lane_bytes(&self, lane: Lane) -> u64 {
        self.lanes.get(&lane).map_or(0, |lane| lane.bytes)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lanes.values().map(|lane| lane.bytes).sum()
    }

    pub(super) fn len(&self) -> u64 {
        self.lanes.values().map(|lane| lane.len).sum()
    }
}
