//! Writes text exposition format 0.0.4, which Prometheus and others read.

use std::fmt::{Display, Write as _};

/// What every name begins with.
const PREFIX: &str = "selvedge";

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, until it begins anew.
    Counter,
    /// Is what it is.
    Gauge,
    Histogram,
}

/// A family with one sample for each item of a kind: what it is called, what it is,
/// and where its number is found.
#[derive(Debug)]
pub(super) struct Family<T, V> {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> V,
}

/// What only grows.
pub(super) const fn counter<T, V>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> V,
) -> Family<T, V> {
    Family {
        kind: Kind::Counter,
        name,
        help,
        value,
    }
}

/// What is what it is.
pub(super) const fn gauge<T, V>(
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> V,
) -> Family<T, V> {
    Family {
        kind: Kind::Gauge,
        ..counter(name, help, value)
    }
}

/// A page under way: families, each followed by its samples.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: String,
}

impl Page {
    /// Begins the samples of `name`.
    pub(super) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = format!("{PREFIX}_{name}");
        let family = &self.family;
        let head = format_args!("# HELP {family} {help}.\n# TYPE {family} {kind}\n");
        write(&mut self.text, head);
    }

    /// A sample of the family that was begun.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let family = std::mem::take(&mut self.family);
        self.line(&family, labels, value);
        self.family = family;
    }

    /// A family with one sample that needs no label.
    pub(super) fn number(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(&[], value);
    }

    /// The families of a table, whose names begin with `noun`, with a sample for each
    /// item and its labels.
    pub(super) fn table<T, V: Display, const LABELS: usize>(
        &mut self,
        noun: &str,
        families: &[Family<T, V>],
        items: &[([(&str, &str); LABELS], &T)],
    ) {
        for family in families {
            self.family(family.kind, &format!("{noun}_{}", family.name), family.help);
            for (labels, item) in items {
                self.sample(labels, (family.value)(item));
            }
        }
    }

    /// A whole histogram: how many were no greater than each bound, how many
    /// there were, and their sum.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl Iterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        self.family(Kind::Histogram, name, help);
        let family = self.family.clone();
        for (bound, up_to) in buckets {
            let bound = bound.to_string();
            self.line(&format!("{family}_bucket"), &[("le", &bound)], up_to);
        }
        self.line(&format!("{family}_bucket"), &[("le", "+Inf")], count);
        self.line(&format!("{family}_sum"), &[], sum);
        self.line(&format!("{family}_count"), &[], count);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            write(&mut self.text, format_args!("{label}=\""));
            for char in value.chars() {
                match char {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(char),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        write(&mut self.text, format_args!(" {value}\n"));
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("strings take any text");
}

#[cfg(test)]
mod tests {
    use super::{Kind, Page};

    #[test]
    fn families_samples_and_histograms_are_as_the_format_says() {
        let mut page = Page::default();
        page.family(Kind::Gauge, "x_bytes", "Bytes of x");
        page.sample(&[("a", "plain"), ("b", "q\"b\\n\n")], 1.5);
        page.sample(&[], 2);
        page.histogram(
            "p_seconds",
            "Pauses",
            [(0.001, 1), (0.25, 3)].into_iter(),
            (4, 1.25),
        );
        assert_eq!(
            page.finish(),
            "# HELP selvedge_x_bytes Bytes of x.\n\
             # TYPE selvedge_x_bytes gauge\n\
             selvedge_x_bytes{a=\"plain\",b=\"q\\\"b\\\\n\\n\"} 1.5\n\
             selvedge_x_bytes 2\n\
             # HELP selvedge_p_seconds Pauses.\n\
             # TYPE selvedge_p_seconds histogram\n\
             selvedge_p_seconds_bucket{le=\"0.001\"} 1\n\
             selvedge_p_seconds_bucket{le=\"0.25\"} 3\n\
             selvedge_p_seconds_bucket{le=\"+Inf\"} 4\n\
             selvedge_p_seconds_sum 1.25\n\
             selvedge_p_seconds_count 4\n"
        );
    }
}
