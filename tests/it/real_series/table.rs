//! What the tests print of their reports.

use std::fmt;

use super::scores::{Rates, Report};

/// Width of what a line is about, and of a column.
const ABOUT: usize = 30;
const COLUMN: usize = 34;

/// Reports side by side, by name.
pub(super) struct Table<'a>(pub(super) &'a [(&'a str, &'a Report)]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |about: &str, cell: &dyn Fn(&str, &Report) -> String| {
            write!(f, "  {about:ABOUT$}")?;
            for (name, report) in self.0 {
                write!(f, " {:COLUMN$}", cell(name, report))?;
            }
            writeln!(f)
        };
        line("machine_temperature (NAB)", &|name, _| name.to_owned())?;
        line("threshold", &|_, report| format!("{:.2}", report.threshold))?;
        line("NAB score, standard profile:", &|_, _| String::new())?;
        line("  an alarm is a detection", &|_, it| {
            format!("{:.1}", it.nab)
        })?;
        line("  a window above threshold is", &|_, it| {
            format!("{:.1}", it.nab_windows)
        })?;
        line("  a window of 1e-5 is", &|_, it| {
            format!("{:.1}", it.nab_unlikely)
        })?;
        line("  best threshold by labels", &|_, it| {
            format!(
                "{:.1} (of likelihoods {:.1})",
                it.nab_best[0], it.nab_best[1]
            )
        })?;
        line("failures noticed, F1", &|_, it| rates(it.by_windows))?;
        line("readings marked, F1", &|_, it| rates(it.by_points))?;
        line("failures missed", &|_, it| {
            format!("{} of {}", it.missed, it.hours.len())
        })?;
        line("false alarms", &|_, it| {
            format!("{}, {:.2} a week", it.false_alarms, it.false_a_week)
        })?;
        line("hours from a window's start", &|_, it| {
            let hour = |hours: &Option<f64>| match hours {
                Some(hours) => format!("{hours:.1}"),
                None => "missed".to_owned(),
            };
            let hours: Vec<_> = it.hours.iter().map(hour).collect();
            hours.join(", ")
        })?;
        writeln!(
            f,
            "  not comparable: published are ARTime 74.9, Numenta HTM 70.5, CAD OSE 69.9, random cut\n  \
             forest 51.7, windowed Gaussian 39.6, of 58 files, by row, with one threshold each that\n  \
             was chosen on their labels"
        )
    }
}

fn rates(rates: Rates) -> String {
    let Rates {
        precision,
        recall,
        f1,
    } = rates;
    format!("{f1:.2} (precision {precision:.2}, recall {recall:.2})")
}
