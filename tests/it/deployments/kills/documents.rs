//! What is deployed: documents that nobody can mix up.
//!
//! Each document has a number of its own, its mark. Every plugin of it is
//! configured with that mark, hears something that no other document's hears and
//! publishes under it. So each deployment changes each plugin, and what a plugin
//! says tells which document it is of.

/// The same numbers for the same seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 on, below `end` (`SplitMix64`).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// Once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What can become of a document if nobody kills the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// It is not allowed what it wants: it never runs.
    Refused,
    /// A plugin of it gives up the message that is its poison: told it in its
    /// probation, it does not stay.
    RolledBack,
}

/// One document.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) mark: u64,
    pub(crate) fate: Fate,
    pub(crate) names: Vec<String>,
    /// Of its probation.
    pub(crate) seconds: u64,
}

impl Draft {
    /// Kept by any host that lives.
    pub(crate) fn plain(mark: u64) -> Self {
        Self {
            mark,
            fate: Fate::Kept,
            names: ["first", "second", "third"].map(str::to_owned).to_vec(),
            seconds: 0,
        }
    }

    /// One in five fails, one in five has other plugins.
    pub(crate) fn random(mark: u64, chance: &mut Chance) -> Self {
        let mut draft = Self::plain(mark);
        draft.seconds = u64::from(chance.one_in(4));
        match chance.below(10) {
            0 => draft.fate = Fate::Refused,
            1 => {
                draft.fate = Fate::RolledBack;
                draft.seconds = 1;
            }
            _ => {}
        }
        match chance.below(10) {
            0 => drop(draft.names.pop()),
            1 => draft.names.push(format!("v{mark}")),
            _ => {}
        }
        draft
    }

    pub(crate) fn text(&self) -> String {
        let Self { mark, seconds, .. } = self;
        let mut text = format!("name = \"line\"\nversion = \"{mark}.0.0\"\n");
        for name in &self.names {
            let publish = match self.fate {
                Fate::Refused => String::new(),
                _ => format!("publish = [\"mark-{mark}-{name}/#\"], "),
            };
            let poison = match self.fate {
                Fate::RolledBack => ", \"bad/#\"",
                _ => "",
            };
            text += &format!(
                "[plugins.{name}]\ncomponent = \"shipped:window\"\n\
                 grants = {{ {publish}subscribe = [\"telemetry/#\", \"for/{mark}/#\"{poison}] }}\n\
                 config = {{ topic = \"mark-{mark}-{name}\", step_ms = 1000, length = 2, hop = 1, \
                 max_gap_ms = 2000, series = [{{ record = \"t\", features = [\"mean\"] }}] }}\n"
            );
        }
        text + &format!("[probation]\nseconds = {seconds}\ndead_letters_max = 0\n")
    }
}
