//! When an anomaly begins and ends: not with one odd window.

use serde::{Deserialize, Serialize};

/// What one window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign<'a> {
    /// An anomaly of this kind.
    Abnormal(&'a str),
    /// Between the thresholds: neither.
    Between,
    /// Nothing.
    Normal,
    /// The window cannot be judged: nothing changes.
    Unknown,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    None,
    Raised,
    /// The kind is now another; the former anomaly is given.
    Turned(Raised),
    /// The former anomaly ended.
    Cleared(Raised),
}

/// An anomaly under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raised {
    pub(crate) kind: String,
    /// End of the first abnormal window, in seconds since the Unix epoch.
    pub(crate) since: f64,
}

/// The state of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hysteresis {
    raised: Option<Raised>,
    /// Abnormal windows in a row (once raised: of another kind than raised).
    abnormal: u32,
    /// When the first of them ended, and their latest kind.
    candidate: Option<Raised>,
    normal: u32,
}

impl Hysteresis {
    pub(crate) fn raised(&self) -> Option<&Raised> {
        self.raised.as_ref()
    }

    /// Takes in the window that ended at `end`.
    pub(crate) fn step(
        &mut self,
        sign: Sign<'_>,
        end: f64,
        raise_after: u32,
        clear_after: u32,
    ) -> Change {
        match sign {
            Sign::Unknown => Change::None,
            Sign::Between => {
                self.forget_candidate();
                self.normal = 0;
                Change::None
            }
            Sign::Normal => {
                self.forget_candidate();
                self.normal = self.normal.saturating_add(1);
                if self.normal < clear_after {
                    return Change::None;
                }
                self.raised.take().map_or(Change::None, Change::Cleared)
            }
            Sign::Abnormal(kind) => self.abnormal(kind, end, raise_after),
        }
    }

    fn abnormal(&mut self, kind: &str, end: f64, raise_after: u32) -> Change {
        self.normal = 0;
        if self
            .raised
            .as_ref()
            .is_some_and(|raised| raised.kind == kind)
        {
            self.forget_candidate();
            return Change::None;
        }
        // Turning from one kind to another takes windows of one kind only.
        let other = self
            .candidate
            .as_ref()
            .is_some_and(|seen| seen.kind != kind);
        if other && self.raised.is_some() {
            self.forget_candidate();
        }
        self.abnormal = self.abnormal.saturating_add(1);
        let since = self.candidate.as_ref().map_or(end, |seen| seen.since);
        let kind = kind.to_owned();
        let candidate = Raised { kind, since };
        if self.abnormal < raise_after {
            self.candidate = Some(candidate);
            return Change::None;
        }
        self.forget_candidate();
        self.raised
            .replace(candidate)
            .map_or(Change::Raised, Change::Turned)
    }

    fn forget_candidate(&mut self) {
        self.abnormal = 0;
        self.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter for each window: `a`, `b` abnormal of that kind, `-` normal,
    /// `=` between, `?` unknown. Returns what changed, and at which window.
    fn run(windows: &str) -> Vec<String> {
        let mut state = Hysteresis::default();
        let mut changes = Vec::new();
        for (place, letter) in (0_u32..).zip(windows.chars()) {
            let kind = letter.to_string();
            let sign = match letter {
                '-' => Sign::Normal,
                '=' => Sign::Between,
                '?' => Sign::Unknown,
                _ => Sign::Abnormal(&kind),
            };
            let raised = |state: &Hysteresis| {
                let raised = state.raised().unwrap();
                format!("{} since {}", raised.kind, raised.since)
            };
            match state.step(sign, f64::from(place), 3, 2) {
                Change::None => {}
                Change::Raised => changes.push(format!("{place}: {}", raised(&state))),
                Change::Turned(from) => {
                    changes.push(format!("{place}: {} to {}", from.kind, raised(&state)));
                }
                Change::Cleared(from) => changes.push(format!("{place}: {} cleared", from.kind)),
            }
        }
        changes
    }

    #[test]
    fn three_windows_raise_and_two_clear() {
        for (windows, expected) in [
            ("--------", vec![]),
            ("aa-aa-aa", vec![]),
            ("aa=aa=", vec![]),
            ("-aaaaa", vec!["3: a since 1"]),
            ("aaa-a-a-", vec!["2: a since 0"]),
            ("aaa-=-=-", vec!["2: a since 0"]),
            ("aaa--", vec!["2: a since 0", "4: a cleared"]),
            (
                "aaa--aaa",
                vec!["2: a since 0", "4: a cleared", "7: a since 5"],
            ),
        ] {
            assert_eq!(run(windows), expected, "{windows}");
        }
    }

    #[test]
    fn a_window_that_cannot_be_judged_changes_nothing() {
        for (windows, expected) in [
            ("????", vec![]),
            ("a?a??a", vec!["5: a since 0"]),
            ("aaa-??-", vec!["2: a since 0", "6: a cleared"]),
        ] {
            assert_eq!(run(windows), expected, "{windows}");
        }
    }

    #[test]
    fn a_kind_is_turned_only_by_windows_of_one_other_kind() {
        for (windows, expected) in [
            // What is not yet raised takes the latest kind.
            ("aab", vec!["2: b since 0"]),
            ("aaabbab", vec!["2: a since 0"]),
            ("aaabbb", vec!["2: a since 0", "5: a to b since 3"]),
            ("aaabcbc", vec!["2: a since 0"]),
            (
                "aaabbb--",
                vec!["2: a since 0", "5: a to b since 3", "7: b cleared"],
            ),
        ] {
            assert_eq!(run(windows), expected, "{windows}");
        }
    }
}
