//! Numbers as people read them: bytes, rates, spans of time.

use jiff::{SignedDuration, Timestamp};

/// `512 B`, `1.5 KiB`, `64.0 MiB`.
pub(in crate::cli) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in UNITS.into_iter().skip(1) {
        // 1023.95 would be shown as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// Events in a second, without a unit: `0`, `3.5`, `48210`.
pub(in crate::cli) fn rate(per_second: f64) -> String {
    if per_second < 0.05 {
        "0".to_owned()
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// A short time: `85 us`, `1.2 ms`, `3.4 s`.
pub(in crate::cli) fn pause(microseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
    let value = microseconds as f64;
    match microseconds {
        0..1_000 => format!("{microseconds} us"),
        1_000..999_950 => format!("{:.1} ms", value / 1e3),
        _ => format!("{:.1} s", value / 1e6),
    }
}

/// A span of time: `3.2 s`, `4 min 12 s`, `3 h 5 min`, `12 d 4 h`. One that runs
/// backwards is none.
pub(in crate::cli) fn span(span: SignedDuration) -> String {
    let milliseconds = span.as_millis().max(0);
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..10 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago `then` was: `12 s ago`.
pub(in crate::cli) fn ago(now: Timestamp, then: Timestamp) -> String {
    let past = now.duration_since(then).as_secs();
    match past {
        // Clocks of two machines differ a little.
        ..1 => "now".to_owned(),
        1..60 => format!("{past} s ago"),
        _ => format!("{} ago", span(SignedDuration::from_secs(past))),
    }
}

/// `1 plugin`, `3 plugins`.
pub(in crate::cli) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{ago, bytes, pause, rate, span};

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (64 << 20, "64.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
    }

    #[test]
    fn rates_have_as_many_digits_as_say_something() {
        for (per_second, shown) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.5, "0.5"),
            (99.96, "100"),
            (48_210.4, "48210"),
        ] {
            assert_eq!(rate(per_second), shown, "{per_second}");
        }
    }

    #[test]
    fn pauses_have_the_unit_that_fits() {
        for (microseconds, shown) in [
            (0, "0 us"),
            (999, "999 us"),
            (1_240, "1.2 ms"),
            (999_949, "999.9 ms"),
            (999_950, "1.0 s"),
            (3_400_000, "3.4 s"),
        ] {
            assert_eq!(pause(microseconds), shown, "{microseconds}");
        }
    }

    #[test]
    fn spans_are_told_by_their_two_largest_units() {
        for (milliseconds, shown) in [
            (-5_000, "0.0 s"),
            (3_249, "3.2 s"),
            (9_999, "9.9 s"),
            (10_000, "10 s"),
            (252_000, "4 min 12 s"),
            (11_100_000, "3 h 5 min"),
            (1_051_200_000, "12 d 4 h"),
        ] {
            assert_eq!(span(SignedDuration::from_millis(milliseconds)), shown);
        }
    }

    #[test]
    fn what_was_is_told_by_how_long_ago_even_if_clocks_differ() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let past = |seconds| ago(now, now - SignedDuration::from_secs(seconds));
        assert_eq!(past(0), "now");
        assert_eq!(past(-3), "now");
        assert_eq!(past(5), "5 s ago");
        assert_eq!(past(90), "1 min 30 s ago");
        assert_eq!(ago(Timestamp::MAX, Timestamp::MIN), "7304481 d 20 h ago");
    }
}
