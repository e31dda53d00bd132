//! Which of the allowed names was probably meant.

/// Names longer than this are not compared: the cost is quadratic.
const NAME_BYTES_MAX: usize = 64;

/// How alike two names must be, from 0 to 1.
const LIKENESS_MIN: f64 = 0.8;

/// Names this much less alike than the best are suggested with it.
const LIKENESS_SLACK: f64 = 0.08;

/// "did you mean `a`?", if a name is close.
pub(crate) fn closest<'n>(name: &str, allowed: impl Iterator<Item = &'n str>) -> Option<String> {
    let close = close_names(name, allowed);
    (!close.is_empty()).then(|| format!("did you mean {}?", listed(&close, "or")))
}

/// The close names, or else all that are allowed.
pub(crate) fn or_list<'n>(name: &str, allowed: impl Iterator<Item = &'n str>) -> Option<String> {
    let allowed: Vec<_> = allowed.collect();
    closest(name, allowed.iter().copied()).or_else(|| match allowed.as_slice() {
        [] => None,
        [only] => Some(format!("expected `{only}`")),
        _ => Some(format!("expected one of {}", listed(&allowed, "and"))),
    })
}

fn close_names<'n>(name: &str, allowed: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    if name.len() > NAME_BYTES_MAX {
        return Vec::new();
    }
    let name = name.to_lowercase().replace('-', "_");
    let likeness = |other: &str| strsim::jaro_winkler(&name, &other.replace('-', "_"));
    let mut close: Vec<_> = allowed
        .map(|other| (likeness(other), other))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = close.first().map_or(0.0, |(likeness, _)| *likeness);
    close.retain(|(likeness, _)| *likeness >= best - LIKENESS_SLACK);
    close.into_iter().map(|(_, other)| other).take(3).collect()
}

fn listed(names: &[&str], last: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [init @ .., end] if !init.is_empty() => format!("{} {last} {end}", init.join(", ")),
        _ => quoted.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{closest, or_list};

    const LIMITS: [&str; 5] = [
        "inbox_bytes_max",
        "inbox_messages_max",
        "inbox_overflow",
        "memory_bytes_max",
        "call_ms_max",
    ];

    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(closest(name, LIMITS.into_iter()).as_deref(), expected);
    }

    #[test]
    fn a_misspelt_name_suggests_what_was_meant() {
        check(
            "inbox_max",
            Some("did you mean `inbox_bytes_max` or `inbox_messages_max`?"),
        );
        check("memory-bytes-max", Some("did you mean `memory_bytes_max`?"));
        check("CALL_MS", Some("did you mean `call_ms_max`?"));
        check("zzz", None);
        check(&"call_ms_max".repeat(100), None);
    }

    #[test]
    fn without_a_close_name_all_are_listed() {
        let help = or_list("zzz", ["a", "b", "c"].into_iter());
        assert_eq!(help.as_deref(), Some("expected one of `a`, `b` and `c`"));
        assert_eq!(or_list("zzz", std::iter::empty()), None);
    }
}
