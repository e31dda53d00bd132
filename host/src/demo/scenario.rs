//! What is injected, and whether the line saw it, answered it and was right.
//!
//! The judge knows the schedule; the line does not. Times are seconds since
//! the machines were armed.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::device::Device;
use super::event::{Event, State};
use super::machine::Schedule;
use super::noise::Noise;

mod effect;

use effect::Proof;

/// Length of the run that the schedule is made for.
const RUN_S: f64 = 60.0;

/// A fault that is not detected within this time counts as missed.
const DETECT_MAX_S: f64 = 8.0;

/// How long after service an alarm may still stem from the fault.
const AFTERMATH_S: f64 = 10.0;

/// The faults of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    schedules: [(Device, Schedule); 4],
}

impl Plan {
    /// Staggered faults, somewhat different for each seed; closer together in
    /// a run shorter than a minute, and coming again in a longer one.
    pub fn new(seed: u64, duration: Option<Duration>) -> Self {
        let mut noise = Noise::new(seed ^ 0x5e1f);
        let part = duration.map_or(1.0, |run| (run.as_secs_f64() / RUN_S).min(1.0));
        let schedules = [
            (Device::Pump1, 21.0),
            (Device::Press1, 27.0),
            (Device::Oven1, 33.0),
            (Device::Pump2, 15.0),
        ];
        Self {
            schedules: schedules.map(|(device, first)| {
                let schedule = Schedule {
                    first_s: part * (first + noise.between(0.0, 2.0)),
                    lasts_s: 35.0,
                    every_s: 75.0,
                };
                (device, schedule)
            }),
        }
    }

    pub fn schedule(&self, device: Device) -> Option<Schedule> {
        let found = self.schedules.iter().find(|(other, _)| *other == device);
        found.map(|(_, schedule)| *schedule)
    }
}

/// What became of one machine's fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub device: &'static str,
    pub fault: &'static str,
    /// When it was first injected, if it was.
    pub injected_s: Option<f64>,
    /// Seconds from there until the anomaly was raised.
    pub detected_after_s: Option<f64>,
    /// Seconds from there until the first command.
    pub answered_after_s: Option<f64>,
    /// Whether the device confirmed the command.
    pub confirmed: bool,
    /// Seconds from the command until the readings showed its effect.
    pub effect_after_s: Option<f64>,
    /// What the readings showed.
    pub effect: Option<String>,
    /// Seconds from the anomaly on the gateway's bus to its arrival in the cloud.
    pub cloud_after_s: Option<f64>,
    /// Anomalies that were raised and did not arrive in the cloud.
    pub not_in_cloud: usize,
    /// Anomalies without a fault, or of another kind.
    pub false_alarms: u32,
}

impl Verdict {
    /// Whether the line did all it should with this machine.
    pub fn passed(&self) -> bool {
        let in_time = |after: f64| after <= DETECT_MAX_S;
        self.detected_after_s.is_some_and(in_time)
            && self.answered_after_s.is_some()
            && self.confirmed
            && self.effect_after_s.is_some()
            && self.cloud_after_s.is_some()
            && self.not_in_cloud == 0
            && self.false_alarms == 0
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub passed: bool,
    /// Seconds since the machines were armed; 0 if the line never got ready.
    pub lasted_s: f64,
    pub machines: Vec<Verdict>,
}

/// Watches a run. Of faults that come again, the first one is judged; false
/// alarms are counted throughout.
#[derive(Debug)]
pub struct Judge {
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    device: Device,
    schedule: Schedule,
    raised: bool,
    answered_s: Option<f64>,
    /// When anomalies were raised that are not in the cloud, the oldest first.
    owed: VecDeque<f64>,
    proof: Proof,
    verdict: Verdict,
}

impl Judge {
    pub fn new(plan: &Plan) -> Self {
        let case = |(device, schedule): (Device, Schedule)| Case {
            device,
            schedule,
            raised: false,
            answered_s: None,
            owed: VecDeque::new(),
            proof: Proof::new(device.kind()),
            verdict: Verdict {
                device: device.name(),
                fault: device.kind().fault(),
                injected_s: None,
                detected_after_s: None,
                answered_after_s: None,
                confirmed: false,
                effect_after_s: None,
                effect: None,
                cloud_after_s: None,
                not_in_cloud: 0,
                false_alarms: 0,
            },
        };
        Self {
            cases: plan.schedules.map(case).into(),
        }
    }

    /// Takes in what happened at `at`; says so when an effect has been proven.
    pub fn see(&mut self, at: f64, event: &Event) -> Option<String> {
        let (Event::Telemetry { device, .. }
        | Event::Score { device, .. }
        | Event::Anomaly { device, .. }
        | Event::Command { device, .. }
        | Event::Notice { device, .. }
        | Event::Audit { device, .. }) = event
        else {
            return None;
        };
        let case = self
            .cases
            .iter_mut()
            .find(|case| case.device.name() == device)?;
        match event {
            Event::Telemetry { readings, .. } => return case.read(at, readings),
            Event::Anomaly { state, kind, .. } => case.anomaly(at, *state, kind),
            Event::Command { .. } if case.raised && at >= case.schedule.first_s => {
                case.answered_s.get_or_insert(at);
                let after = at - case.schedule.first_s;
                case.verdict.answered_after_s.get_or_insert(after);
            }
            Event::Audit { decision, .. } if decision == "confirmed" => {
                case.verdict.confirmed |= case.answered_s.is_some();
            }
            _ => {}
        }
        None
    }

    /// Takes in that an anomaly arrived in the cloud; returns after how many seconds.
    /// Of one device they arrive in order.
    pub fn arrived(&mut self, at: f64, device: &str, state: State) -> Option<f64> {
        let cases = &mut self.cases;
        let case = cases.iter_mut().find(|case| case.device.name() == device)?;
        if state != State::Raised {
            return None;
        }
        let after = at - case.owed.pop_front()?;
        if case.verdict.detected_after_s.is_some() {
            case.verdict.cloud_after_s.get_or_insert(after);
        }
        Some(after)
    }

    /// Whether an anomaly has not arrived in the cloud yet.
    pub fn is_owed(&self) -> bool {
        self.cases.iter().any(|case| !case.owed.is_empty())
    }

    /// What became of it all by `at`, when the run ended.
    pub fn summary(&self, at: f64) -> Summary {
        let verdict = |case: &Case| {
            let mut verdict = case.verdict.clone();
            let first = case.schedule.first_s;
            verdict.injected_s = (at >= first).then_some(first);
            verdict.not_in_cloud = case.owed.len();
            verdict
        };
        let machines: Vec<Verdict> = self.cases.iter().map(verdict).collect();
        Summary {
            passed: machines.iter().all(Verdict::passed),
            lasted_s: at,
            machines,
        }
    }
}

impl Case {
    fn anomaly(&mut self, at: f64, state: State, kind: &str) {
        // An anomaly first heard of as ongoing was raised unheard.
        let raised = state != State::Cleared;
        let new = raised && !self.raised;
        if state == State::Raised {
            self.owed.push_back(at);
        }
        self.raised = raised;
        if !new {
            return;
        }
        let due = [at, at - AFTERMATH_S]
            .into_iter()
            .any(|time| self.schedule.into_fault(time).is_some());
        if !due || kind != self.device.kind().fault() {
            self.verdict.false_alarms += 1;
        } else if self.verdict.detected_after_s.is_none() {
            self.verdict.detected_after_s = Some(at - self.schedule.first_s);
        }
    }

    fn read(&mut self, at: f64, readings: &[(String, f64)]) -> Option<String> {
        if at < self.schedule.first_s || self.verdict.effect.is_some() {
            return None;
        }
        let what = self.proof.see(at, self.answered_s, readings)?;
        let after = at - self.answered_s?;
        self.verdict.effect_after_s = Some(after);
        self.verdict.effect = Some(what.clone());
        let device = self.device.name();
        Some(format!("{device}: {what}, {after:.1} s after the write"))
    }
}

#[cfg(test)]
mod tests;
