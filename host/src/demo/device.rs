//! Which machines there are: their names, kinds, and how each is spoken with.
//!
//! Two machines of one kind have the same physics and the same model, and nothing
//! else in common. How a kind works is [`super::machine`]'s business.

use super::machine::Kind;

/// Sets the later machines of a kind apart from its first.
const LATER_SEED: u64 = 0x2_0000;

/// A machine of the demo, as topics and the screen name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    Pump1,
    Press1,
    Oven1,
    Pump2,
}

/// How the line speaks with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is a server, which the Modbus plugin polls.
    Modbus,
    /// It is a client of the gateway's MQTT broker.
    Mqtt,
}

impl Device {
    pub const ALL: [Self; 4] = [Self::Pump1, Self::Press1, Self::Oven1, Self::Pump2];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pump1 => "pump-1",
            Self::Press1 => "press-1",
            Self::Oven1 => "oven-1",
            Self::Pump2 => "pump-2",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::Pump1 | Self::Pump2 => Kind::Pump,
            Self::Press1 => Kind::Press,
            Self::Oven1 => Kind::Oven,
        }
    }

    pub fn way(self) -> Way {
        match self {
            Self::Pump1 | Self::Press1 | Self::Oven1 => Way::Modbus,
            Self::Pump2 => Way::Mqtt,
        }
    }

    /// The seed of this machine in a run of that seed.
    pub(super) fn seed(self, run: u64) -> u64 {
        match self {
            Self::Pump1 | Self::Press1 | Self::Oven1 => run,
            Self::Pump2 => run ^ LATER_SEED,
        }
    }
}
