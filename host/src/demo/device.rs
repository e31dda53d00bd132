//! Which machines there are: their names, and what kind each is of.
//!
//! Two machines of one kind have the same physics and the same model, and nothing
//! else in common. How a kind works is [`super::machine`]'s business.

use super::machine::Kind;

/// A machine of the demo, as topics and the screen name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    Pump1,
    Press1,
    Oven1,
}

impl Device {
    pub const ALL: [Self; 3] = [Self::Pump1, Self::Press1, Self::Oven1];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pump1 => "pump-1",
            Self::Press1 => "press-1",
            Self::Oven1 => "oven-1",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::Pump1 => Kind::Pump,
            Self::Press1 => Kind::Press,
            Self::Oven1 => Kind::Oven,
        }
    }
}
