//! One simulated machine: a physical model, its registers, and its fault.
//!
//! A run depends on nothing but the seed and the steps made, so that the same
//! machines teach the model, are tested, and are shown. Faults count from
//! [`Machine::arm`]: until the line reads a machine, it stays healthy.

use std::time::Duration;

use super::noise::Noise;
use super::oven::{self, Oven};
use super::press::{self, Press};
use super::pump::{self, Pump};
use super::registers::Registers;

/// The step the models are made for; longer ones are divided.
const STEP_MAX_S: f64 = 0.02;

/// Time that one call may make up for, so that a paused process does not spin.
const BEHIND_MAX_S: f64 = 1.0;

/// What a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Pump,
    Press,
    Oven,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Pump, Self::Press, Self::Oven];

    /// What its window, detector and model are named after.
    pub fn short(self) -> &'static str {
        match self {
            Self::Pump => "pump",
            Self::Press => "press",
            Self::Oven => "oven",
        }
    }

    /// The fault it develops, as the model names it.
    pub fn fault(self) -> &'static str {
        match self {
            Self::Pump => "bearing-wear",
            Self::Press => "blocked-valve",
            Self::Oven => "sensor-stuck",
        }
    }

    /// What it measures.
    pub fn points(self) -> &'static [Reading] {
        match self {
            Self::Pump => pump::READINGS,
            Self::Press => press::READINGS,
            Self::Oven => oven::READINGS,
        }
    }
}

/// When the fault comes, for how long, and how often. Seconds since armed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    pub first_s: f64,
    /// After this the machine is serviced: repaired, its setpoints restored.
    pub lasts_s: f64,
    pub every_s: f64,
}

impl Schedule {
    /// Seconds into the fault, if there is one at `at_s`.
    pub fn into_fault(&self, at_s: f64) -> Option<f64> {
        let since = at_s - self.first_s;
        let into = since.rem_euclid(self.every_s);
        (since >= 0.0 && into < self.lasts_s).then_some(into)
    }
}

/// A measured quantity and the input registers that hold it.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub name: &'static str,
    /// From the SenML registry.
    pub unit: &'static str,
    pub address: u16,
    pub encoding: Encoding,
}

/// How a reading is kept in registers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// Two registers, most significant first.
    F32,
    /// One register, in steps of this size.
    U16(f64),
}

impl Reading {
    pub(super) const fn new(
        name: &'static str,
        unit: &'static str,
        address: u16,
        encoding: Encoding,
    ) -> Self {
        Self {
            name,
            unit,
            address,
            encoding,
        }
    }
}

/// The physics of one machine.
pub(super) trait Plant: std::fmt::Debug + Send {
    /// Moves on by `dt` seconds. `severity` of the fault is 0 to 1.
    fn step(&mut self, dt: f64, severity: f64, registers: &mut Registers, noise: &mut Noise);
}

/// A machine as it runs.
#[derive(Debug)]
pub struct Machine {
    kind: Kind,
    plant: Box<dyn Plant>,
    registers: Registers,
    noise: Noise,
    schedule: Option<Schedule>,
    armed_s: Option<f64>,
    faulty: bool,
    behind_s: f64,
}

impl Machine {
    /// A healthy machine, warmed up.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut noise = Noise::new(seed.wrapping_mul(31).wrapping_add(kind as u64));
        let (plant, registers): (Box<dyn Plant>, _) = match kind {
            Kind::Pump => (Box::new(Pump::new(&mut noise)), Pump::registers()),
            Kind::Press => (Box::new(Press::new(&mut noise)), Press::registers()),
            Kind::Oven => (Box::new(Oven::new(&mut noise)), Oven::registers()),
        };
        let mut machine = Self {
            kind,
            plant,
            registers,
            noise,
            schedule: None,
            armed_s: None,
            faulty: false,
            behind_s: 0.0,
        };
        for _ in 0..30 {
            machine.step(Duration::from_secs(1));
        }
        machine
    }

    /// The same with a fault to come.
    #[must_use]
    pub fn with_fault(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Starts the clock of the schedule, once.
    pub fn arm(&mut self) {
        self.armed_s.get_or_insert(0.0);
    }

    /// Moves on by `elapsed`; at most one second at a time.
    pub fn step(&mut self, elapsed: Duration) {
        self.behind_s = (self.behind_s + elapsed.as_secs_f64()).min(BEHIND_MAX_S);
        while self.behind_s >= STEP_MAX_S - 1e-9 {
            self.behind_s -= STEP_MAX_S;
            let severity = self.severity();
            self.plant
                .step(STEP_MAX_S, severity, &mut self.registers, &mut self.noise);
        }
    }

    /// How far the fault has gone; services the machine when it ends.
    fn severity(&mut self) -> f64 {
        let Some(armed) = &mut self.armed_s else {
            return 0.0;
        };
        *armed += STEP_MAX_S;
        let into = self.schedule.and_then(|plan| plan.into_fault(*armed));
        if into.is_none() && self.faulty {
            self.registers = match self.kind {
                Kind::Pump => Pump::registers(),
                Kind::Press => Press::registers(),
                Kind::Oven => Oven::registers(),
            };
        }
        self.faulty = into.is_some();
        match self.kind {
            // A bearing wears; a spool jams and a sensor sticks at once.
            Kind::Pump => into.map_or(0.0, |into| (0.1 + into / 4.0).min(1.0)),
            Kind::Press | Kind::Oven => f64::from(u8::from(self.faulty)),
        }
    }

    /// What a poll of all points gives now, in the order of [`Kind::points`].
    pub fn read(&self) -> Vec<f64> {
        let value = |point: &Reading| match point.encoding {
            Encoding::F32 => match self.registers.inputs(point.address, 2) {
                Ok([high, low]) => {
                    let bits = (u32::from(*high) << 16) | u32::from(*low);
                    f64::from(f32::from_bits(bits))
                }
                _ => f64::NAN,
            },
            Encoding::U16(step) => match self.registers.inputs(point.address, 1) {
                Ok([raw]) => f64::from(*raw) * step,
                _ => f64::NAN,
            },
        };
        self.kind.points().iter().map(value).collect()
    }

    /// Makes the write that answers the fault, as the deployment's rule does.
    pub fn answer(&mut self) {
        let done = match self.kind {
            Kind::Pump => self.registers.write_holding(0, &[1500]),
            Kind::Press | Kind::Oven => self.registers.write_coils(0, &[true]),
        };
        done.expect("the demo's own addresses exist");
    }

    pub(super) fn registers(&mut self) -> &mut Registers {
        &mut self.registers
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Kind, Machine, Schedule};

    const SOON: Schedule = Schedule {
        first_s: 5.0,
        lasts_s: 60.0,
        every_s: 600.0,
    };

    fn run(machine: &mut Machine, seconds: u32) -> Vec<Vec<f64>> {
        let step = |_| {
            machine.step(Duration::from_millis(100));
            machine.read()
        };
        (0..seconds * 10).map(step).collect()
    }

    fn column(rows: &[Vec<f64>], index: usize) -> Vec<f64> {
        rows.iter().map(|row| row[index]).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_seed_gives_the_same_run_whatever_the_step() {
        for kind in Kind::ALL {
            let mut coarse = Machine::new(kind, 3).with_fault(SOON);
            let mut fine = Machine::new(kind, 3).with_fault(SOON);
            coarse.arm();
            fine.arm();
            for _ in 0..100 {
                coarse.step(Duration::from_millis(100));
                (0..10).for_each(|_| fine.step(Duration::from_millis(10)));
            }
            assert_eq!(coarse.read(), fine.read());
            assert_ne!(coarse.read(), Machine::new(kind, 4).read());
        }
    }

    #[test]
    fn a_machine_that_is_not_armed_stays_healthy() {
        let mut machine = Machine::new(Kind::Pump, 1).with_fault(SOON);
        let rows = run(&mut machine, 30);
        assert!(column(&rows, 5).iter().all(|vibration| *vibration < 2.0));
    }

    #[test]
    fn a_worn_bearing_shakes_and_heats_until_the_pump_is_slowed() {
        let mut pump = Machine::new(Kind::Pump, 1).with_fault(SOON);
        pump.arm();
        let rows = run(&mut pump, 16);
        let before = mean(&column(&rows[20..45], 5));
        let worn = mean(&column(&rows[140..], 5));
        assert!(worn > 4.0 * before, "{before} {worn}");
        assert!(rows[159][4] > rows[40][4] + 15.0);

        pump.answer();
        let rows = run(&mut pump, 15);
        let calm = mean(&column(&rows[50..], 5));
        assert!(calm < 0.45 * worn, "{worn} {calm}");
        assert!(rows[149][4] < rows[0][4] - 10.0);
    }

    #[test]
    fn a_jammed_valve_drives_the_pressure_up_until_the_bypass_opens() {
        let mut press = Machine::new(Kind::Press, 1).with_fault(SOON);
        press.arm();
        let rows = run(&mut press, 10);
        let (healthy, jammed) = (&rows[..48], &rows[70..]);
        let gap = |row: &Vec<f64>| row[0] - row[1];
        assert!(healthy.iter().all(|row| row[3] < 160_000.0));
        assert!(
            jammed
                .iter()
                .all(|row| row[3] > 165_000.0 && gap(row) > 15.0)
        );

        press.answer();
        let rows = run(&mut press, 5);
        assert!(rows[30..].iter().all(|row| row[3] < 40_000.0));
    }

    #[test]
    fn a_stuck_sensor_repeats_itself_while_the_second_moves() {
        let mut oven = Machine::new(Kind::Oven, 1).with_fault(SOON);
        oven.arm();
        let rows = run(&mut oven, 15);
        let stuck = column(&rows[55..], 0);
        assert!(stuck.iter().all(|value| *value == stuck[0]));
        let zone = column(&rows[55..], 1);
        assert!(zone.windows(2).filter(|pair| pair[0] != pair[1]).count() > 80);
        let live = column(&rows[..45], 0);
        let repeats = live.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(repeats < 5, "{repeats}");

        oven.answer();
        let rows = run(&mut oven, 5);
        let values = column(&rows, 0);
        assert!(values.windows(2).filter(|pair| pair[0] != pair[1]).count() > 40);
    }

    #[test]
    fn service_restores_the_setpoints() {
        let brief = Schedule {
            lasts_s: 5.0,
            ..SOON
        };
        let mut pump = Machine::new(Kind::Pump, 1).with_fault(brief);
        pump.arm();
        run(&mut pump, 8);
        pump.answer();
        let rows = run(&mut pump, 12);
        assert!(rows[110][0] > 2200.0);
        assert!(rows[110][5] < 2.0);
    }
}
