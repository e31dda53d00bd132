//! A plan as people read it: a line for each part that changes, and below it the
//! rights that widen.

use std::fmt;

use super::{Asker, Change, ModelSwap, Plan, PluginChange, Right};
use crate::capabilities::grant_for;
use crate::deployment::document::fault::plain;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let touched = self.plugins.iter();
        let touched = touched.filter(|plugin| plugin.change != Change::Untouched);
        for plugin in touched {
            writeln!(f, "{plugin}")?;
        }
        for model in &self.models {
            let (sign, what) = sign(model.change);
            write!(f, "{sign} model {}: {what}", model.model)?;
            match model.swap {
                Some(swap) => writeln!(f, " ({})", swap.told())?,
                None => writeln!(f)?,
            }
        }
        let untouched = self.plugins.iter();
        let untouched = untouched.filter(|plugin| plugin.change == Change::Untouched);
        match untouched.count() {
            1 => f.write_str("1 plugin untouched"),
            count => write!(f, "{count} plugins untouched"),
        }
    }
}

impl ModelSwap {
    /// What people read of it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Undecided => "its plugins are touched only if it takes or gives otherwise",
            Self::InPlace => "in place, its plugins go on",
            Self::WithPlugins => "with its plugins: it takes or gives otherwise",
        }
    }
}

fn sign(change: Change) -> (char, &'static str) {
    match change {
        Change::Added => ('+', "added"),
        Change::Replaced => ('~', "replaced"),
        Change::Reconfigured => ('~', "reconfigured"),
        Change::Removed => ('-', "removed"),
        Change::Untouched => (' ', "untouched"),
    }
}

impl fmt::Display for PluginChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, what) = sign(self.change);
        write!(f, "{sign} {}", self.plugin)?;
        match (self.from.as_deref(), self.to.as_deref()) {
            (Some(from), Some(to)) if from != to => write!(f, " {from} -> {to}")?,
            (from, to) => {
                if let Some(version) = to.or(from) {
                    write!(f, " {version}")?;
                }
            }
        }
        write!(f, ": {what}")?;
        if !self.differs.is_empty() {
            write!(f, " ({})", self.differs.join(", "))?;
        }
        let added = self.change == Change::Added;
        let told = self.widens.iter();
        // Of what is new, only that which leads somewhere.
        for right in told.filter(|right| !added || !is_harmless(right)) {
            write!(f, "\n    {right}")?;
            if !right.granted && !added {
                f.write_str(" [refused]")?;
            }
        }
        Ok(())
    }
}

/// An import that needs no grant.
fn is_harmless(right: &Right) -> bool {
    right.by == Asker::Component && right.granted && grant_for(&right.what).is_none()
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, what, .. } = self;
        let by = match (self.by, self.granted) {
            (Asker::Component, true) => "needed",
            (Asker::Component, false) => "needed, not granted",
            (Asker::Manifest, true) => "wanted",
            (Asker::Manifest, false) => "wanted, not granted",
            (Asker::Document, _) => "granted",
        };
        let sign = if self.granted { '+' } else { '!' };
        write!(f, "{sign} {kind} {}: {by}", plain(what))?;
        match &self.why {
            Some(why) => write!(f, ", \"{}\"", plain(why)),
            None => Ok(()),
        }
    }
}
