//! Whether readings prove that a write did what it was for.

use crate::demo::machine::Kind;

/// How long a reading must stay good.
const STEADY_S: f64 = 1.0;

/// Collects readings until they prove the effect.
#[derive(Debug)]
pub(super) struct Proof {
    kind: Kind,
    /// The reading that tells, at its worst before the answer.
    worst: f64,
    last: f64,
    good_since_s: Option<f64>,
    changes: u32,
}

impl Proof {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            worst: 0.0,
            last: f64::NAN,
            good_since_s: None,
            changes: 0,
        }
    }

    /// The reading that tells, and what it must stay below.
    fn tells(&self) -> (&'static str, f64) {
        match self.kind {
            Kind::Pump => ("vibration", 2.8),
            Kind::Press => ("pressure", 60_000.0),
            Kind::Oven => ("temperature", f64::INFINITY),
        }
    }

    /// Takes in readings; returns what they prove, once they do.
    pub(super) fn see(
        &mut self,
        at: f64,
        answered_s: Option<f64>,
        readings: &[(String, f64)],
    ) -> Option<String> {
        let (name, below) = self.tells();
        let (_, value) = readings.iter().find(|(other, _)| other == name)?;
        let changed = *value != self.last;
        self.last = *value;
        if answered_s.is_none() {
            self.worst = self.worst.max(*value);
            return None;
        }
        // A reading that was stuck is alive when it changes every time.
        self.changes = if changed { self.changes + 1 } else { 0 };
        let good = match self.kind {
            Kind::Oven => self.changes >= 2,
            Kind::Pump | Kind::Press => *value < below,
        };
        if !good {
            self.good_since_s = None;
            return None;
        }
        let since = *self.good_since_s.get_or_insert(at);
        if at - since < STEADY_S {
            return None;
        }
        let (worst, value) = (self.worst, *value);
        Some(match self.kind {
            Kind::Pump => format!("vibration fell from {worst:.1} to {value:.1} m/s2"),
            Kind::Press => {
                let (worst, value) = (worst / 1000.0, value / 1000.0);
                format!("pressure fell from {worst:.0} to {value:.0} bar")
            }
            Kind::Oven => format!("temperature lives again at {value:.1} Cel"),
        })
    }
}
