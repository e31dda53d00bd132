//! A batch oven under closed-loop control: its control sensor may stick.
//!
//! Batches and recipe steps keep every reading moving. A stuck sensor repeats
//! its last value exactly while the controller, blind, drives the heater away;
//! the second sensor and the heating power show it. Switching to the second
//! sensor brings the process value back to life.

use super::machine::{Encoding, Plant, Reading};
use super::noise::Noise;
use super::registers::{Registers, Setpoint};

pub(super) const READINGS: &[Reading] = &[
    Reading::new("temperature", "Cel", 0, Encoding::U16(0.01)),
    Reading::new("zone_temperature", "Cel", 1, Encoding::U16(0.01)),
    Reading::new("setpoint", "Cel", 2, Encoding::U16(0.1)),
    Reading::new("power", "kW", 3, Encoding::U16(0.01)),
    Reading::new("fan_speed", "1/min", 4, Encoding::U16(1.0)),
    Reading::new("current", "A", 5, Encoding::U16(0.01)),
];

/// How much cooler the second sensor's place is, in kelvin.
const ZONE_OFFSET: f64 = 4.0;

#[derive(Debug)]
pub(super) struct Oven {
    air: f64,
    sensor: f64,
    zone: f64,
    /// What the control sensor said when it stuck.
    stuck_at: Option<f64>,
    integral: f64,
    recipe: f64,
    batch: f64,
    batch_goal: f64,
    next_change_s: f64,
}

impl Oven {
    pub(super) fn new(noise: &mut Noise) -> Self {
        Self {
            air: 180.0,
            sensor: 180.0,
            zone: 180.0 - ZONE_OFFSET,
            stuck_at: None,
            integral: 0.5,
            recipe: 0.0,
            batch: 0.0,
            batch_goal: 0.0,
            next_change_s: noise.between(1.0, 4.0),
        }
    }

    pub(super) fn registers() -> Registers {
        let setpoint = Setpoint {
            value: 1800,
            min: 500,
            max: 2500,
        };
        Registers::new(6, 1, vec![setpoint], 1)
    }

    /// Recipe steps, and cold batches that come and warm up.
    fn disturb(&mut self, dt: f64, noise: &mut Noise) {
        self.next_change_s -= dt;
        if self.next_change_s <= 0.0 {
            self.next_change_s = noise.between(2.5, 6.0);
            self.recipe = noise.between(-6.0, 6.0);
            self.batch_goal = noise.between(0.0, 0.3);
        }
        self.batch += (self.batch_goal - self.batch) * dt / 0.8;
    }

    /// A PI controller with its integral bounded; answers with 0 to 1.
    fn control(&mut self, error: f64, dt: f64) -> f64 {
        self.integral = (self.integral + 0.02 * error * dt).clamp(0.0, 1.0);
        (self.integral + 0.04 * error).clamp(0.0, 1.0)
    }
}

impl Plant for Oven {
    fn step(&mut self, dt: f64, severity: f64, registers: &mut Registers, noise: &mut Noise) {
        self.disturb(dt, noise);
        self.sensor += (self.air - self.sensor) * dt / 0.4;
        self.zone += (self.air - ZONE_OFFSET - self.zone) * dt / 0.8;
        let measured = self.sensor + 0.12 * noise.normal();
        let zone = self.zone + 0.12 * noise.normal();
        self.stuck_at = (severity > 0.0).then(|| self.stuck_at.unwrap_or(measured));
        let backup = registers.coil(0);
        let process = if backup {
            zone + ZONE_OFFSET
        } else {
            self.stuck_at.unwrap_or(measured)
        };

        let setpoint = registers.setpoint(0) / 10.0 + self.recipe;
        let heating = self.control(setpoint - process, dt);
        let cooling = (self.air - 25.0) * (1.0 + self.batch);
        self.air += (310.0 * heating - cooling) * dt / 6.0;

        // The fans draw their share even when nothing is heated.
        let power = 0.8 + 12.0 * heating + 0.04 * noise.normal();
        registers.set_u16(0, process, 0.01);
        registers.set_u16(1, zone, 0.01);
        registers.set_u16(2, setpoint, 0.1);
        registers.set_u16(3, power, 0.01);
        registers.set_u16(4, 1420.0 - 60.0 * self.batch + 3.0 * noise.normal(), 1.0);
        registers.set_u16(5, 4.0 + 1.45 * power + 0.05 * noise.normal(), 0.01);
        registers.set_discrete(0, backup);
    }
}
