//! A hydraulic press: its proportional valve may jam.
//!
//! A pressure-compensated pump feeds an accumulator; the valve lets oil to the
//! cylinder as the work cycle asks. A jammed spool stays nearly shut whatever
//! is commanded, so the pressure rises. Opening the bypass unloads the unit and
//! parks the cycle.

use super::machine::{Encoding, Plant, Reading};
use super::noise::Noise;
use super::registers::Registers;

pub(super) const READINGS: &[Reading] = &[
    Reading::new("valve_command", "%", 0, Encoding::U16(0.1)),
    Reading::new("valve_position", "%", 1, Encoding::U16(0.01)),
    Reading::new("flow", "l/s", 2, Encoding::U16(0.001)),
    Reading::new("pressure", "hPa", 3, Encoding::U16(10.0)),
    Reading::new("oil_temperature", "Cel", 4, Encoding::U16(0.01)),
    Reading::new("current", "A", 5, Encoding::U16(0.01)),
];

/// Where a jammed or parked spool rests, of full stroke.
const REST: f64 = 0.08;

#[derive(Debug)]
pub(super) struct Press {
    command: f64,
    position: f64,
    bypass: f64,
    tool: f64,
    next_stroke_s: f64,
    /// In bar.
    pressure: f64,
    oil: f64,
}

impl Press {
    pub(super) fn new(noise: &mut Noise) -> Self {
        Self {
            command: 0.5,
            position: 0.5,
            bypass: 0.0,
            tool: 1.0,
            next_stroke_s: noise.between(0.5, 2.0),
            pressure: 110.0,
            oil: 46.0,
        }
    }

    pub(super) fn registers() -> Registers {
        Registers::new(6, 1, Vec::new(), 1)
    }

    /// The work cycle: strokes of changing length and depth.
    fn cycle(&mut self, dt: f64, parked: bool, noise: &mut Noise) {
        if parked {
            self.command = REST + 0.02;
            return;
        }
        self.next_stroke_s -= dt;
        if self.next_stroke_s <= 0.0 {
            self.next_stroke_s = noise.between(1.0, 2.8);
            self.command = if self.command > 0.55 {
                noise.between(0.32, 0.5)
            } else {
                noise.between(0.6, 0.8)
            };
        }
    }
}

impl Plant for Press {
    fn step(&mut self, dt: f64, severity: f64, registers: &mut Registers, noise: &mut Noise) {
        let open = registers.coil(0);
        self.cycle(dt, open, noise);
        // Dirt carries the spool shut and holds it there.
        let goal = if severity > 0.0 { REST } else { self.command };
        let lag = if severity > 0.0 { 0.5 } else { 0.15 };
        self.position += (goal - self.position) * dt / lag;
        self.bypass += (f64::from(u8::from(open)) - self.bypass) * dt / 0.3;
        self.tool += (1.0 - self.tool) * dt / 2.0 + 0.05 * noise.normal() * dt.sqrt();

        let root = self.pressure.max(0.0).sqrt();
        let supply = 1.2 * ((190.0 - self.pressure) / 80.0).clamp(0.0, 1.0);
        let flow = 0.183 * self.tool.clamp(0.8, 1.2) * self.position * root;
        let unloaded = 0.3 * self.bypass * root;
        self.pressure += (supply - flow - unloaded) * dt / 0.006;
        self.pressure = self.pressure.clamp(0.0, 250.0);
        let warm = 40.0 + 0.12 * (self.pressure - 60.0);
        self.oil += (warm - self.oil) * dt / 9.0;

        registers.set_u16(0, 100.0 * self.command, 0.1);
        registers.set_u16(1, 100.0 * self.position + 0.3 * noise.normal(), 0.01);
        registers.set_u16(2, flow + 0.012 * noise.normal(), 0.001);
        let gauge = 1000.0 * (self.pressure + 0.8 * noise.normal());
        registers.set_u16(3, gauge, 10.0);
        registers.set_u16(4, self.oil + 0.08 * noise.normal(), 0.01);
        let current = 5.0 + 0.08 * self.pressure * supply + 0.15 * noise.normal();
        registers.set_u16(5, current, 0.01);
        registers.set_discrete(0, open);
    }
}
