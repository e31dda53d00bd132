//! A centrifugal pump: its bearing may wear.
//!
//! Head and flow follow the affinity laws; the network's resistance changes as
//! consumers come and go. Heat is compressed in time, so that a bearing warms
//! within seconds. A worn bearing shakes with the cube of the speed and heats
//! with its square: slowing the pump calms and cools it.

use super::machine::{Encoding, Plant, Reading};
use super::noise::Noise;
use super::registers::{Registers, Setpoint};

/// Speed at which the nominal figures hold, in 1/min.
const SPEED_NOMINAL: f64 = 2900.0;

pub(super) const READINGS: &[Reading] = &[
    Reading::new("speed", "1/min", 0, Encoding::F32),
    Reading::new("flow", "l/s", 2, Encoding::F32),
    Reading::new("pressure", "hPa", 4, Encoding::F32),
    Reading::new("current", "A", 6, Encoding::F32),
    Reading::new("bearing_temperature", "Cel", 8, Encoding::F32),
    Reading::new("vibration", "m/s2", 10, Encoding::F32),
];

#[derive(Debug)]
pub(super) struct Pump {
    speed: f64,
    trim: f64,
    demand: f64,
    demand_goal: f64,
    next_change_s: f64,
    bearing: f64,
}

impl Pump {
    pub(super) fn new(noise: &mut Noise) -> Self {
        Self {
            speed: 2400.0,
            trim: 0.0,
            demand: 1.0,
            demand_goal: noise.between(0.85, 1.15),
            next_change_s: noise.between(2.0, 8.0),
            bearing: 50.0,
        }
    }

    pub(super) fn registers() -> Registers {
        let speed = Setpoint {
            value: 2400,
            min: 0,
            max: 3000,
        };
        Registers::new(12, 1, vec![speed], 1)
    }

    /// Consumers open and close, and the level controller trims the speed.
    fn disturb(&mut self, dt: f64, noise: &mut Noise) {
        self.next_change_s -= dt;
        if self.next_change_s <= 0.0 {
            self.next_change_s = noise.between(4.0, 10.0);
            self.demand_goal = noise.between(0.75, 1.25);
            self.trim = noise.between(-0.05, 0.05);
        }
        self.demand += (self.demand_goal - self.demand) * dt / 1.2;
        self.demand += 0.02 * noise.normal() * dt.sqrt();
    }
}

impl Plant for Pump {
    fn step(&mut self, dt: f64, severity: f64, registers: &mut Registers, noise: &mut Noise) {
        self.disturb(dt, noise);
        let wanted = registers.setpoint(0) * (1.0 + self.trim);
        self.speed += (wanted - self.speed) * dt / 0.8;
        let n = self.speed / SPEED_NOMINAL;

        // Pump curve 6 n^2 - b q^2 meets network curve 0.4 + k q^2, in bar.
        let resistance = 0.029 / self.demand.clamp(0.5, 1.6).powi(2);
        let flow = ((6.0 * n * n - 0.4).max(0.0) / (0.016 + resistance)).sqrt();
        let pressure = 0.4 + resistance * flow * flow;
        let friction = 0.3 * n * (1.0 + 2.0 * severity);
        let power = flow * pressure / 10.0 / 0.65 + friction;
        let heat = 36.0 * n * n * (1.0 + 1.6 * severity);
        self.bearing += (25.0 + heat - self.bearing) * dt / 7.0;
        let rough = 0.4 * (self.demand - 1.0).abs();
        let vibration = 1.1 * n + rough + 9.0 * severity * n.powi(3);

        registers.set_f32(0, self.speed + 2.0 * noise.normal());
        registers.set_f32(2, flow + 0.05 * noise.normal());
        registers.set_f32(4, 1000.0 * (pressure + 0.02 * noise.normal()));
        registers.set_f32(6, 1.6 + 1.8 * power + 0.05 * noise.normal());
        registers.set_f32(8, self.bearing + 0.1 * noise.normal());
        let ripple = 1.0 + 0.06 * noise.normal();
        registers.set_f32(10, (vibration * ripple).max(0.0));
        registers.set_discrete(0, self.speed > 50.0);
    }
}
