//! What became of records, for a bounded number of them.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::record::CaptureId;

/// Records that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in line.
    Queued,
    /// It is on the bus or in a file.
    Published,
    /// It is lost.
    Dropped,
}

/// The last ones, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outcomes(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    outcomes: HashMap<CaptureId, Outcome>,
    order: VecDeque<CaptureId>,
}

impl Outcomes {
    pub(super) fn set(&self, id: &CaptureId, outcome: Outcome) {
        let mut remembered = self.0.lock();
        let Remembered { outcomes, order } = &mut *remembered;
        if let Some(known) = outcomes.get_mut(id) {
            *known = outcome;
            return;
        }
        // What ended after it was forgotten stays forgotten.
        if outcome != Outcome::Queued {
            return;
        }
        outcomes.insert(id.clone(), outcome);
        order.push_back(id.clone());
        if order.len() > REMEMBERED_MAX
            && let Some(oldest) = order.pop_front()
        {
            outcomes.remove(&oldest);
        }
    }

    pub(super) fn get(&self, id: &CaptureId) -> Option<Outcome> {
        self.0.lock().outcomes.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{CaptureId, Outcome, Outcomes, REMEMBERED_MAX};

    #[test]
    fn the_last_ones_are_remembered_and_no_more() {
        let outcomes = Outcomes::default();
        let id = |number: usize| format!("id-{number}").parse::<CaptureId>().unwrap();
        for number in 0..REMEMBERED_MAX + 10 {
            outcomes.set(&id(number), Outcome::Queued);
        }
        assert_eq!(outcomes.get(&id(9)), None);
        assert_eq!(outcomes.get(&id(10)), Some(Outcome::Queued));
        outcomes.set(&id(9), Outcome::Published);
        assert_eq!(outcomes.get(&id(9)), None);
        outcomes.set(&id(10), Outcome::Published);
        assert_eq!(outcomes.get(&id(10)), Some(Outcome::Published));
        assert_eq!(outcomes.0.lock().outcomes.len(), REMEMBERED_MAX);
    }
}
