//! Durations as people write them: `90s`, `2m`, `500ms`.

use std::time::Duration;

/// Parses a number with `ms`, `s`, `m` or `h`; a bare number is in seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a duration: try `60s`"))?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => return Err(format!("`{unit}` is not a unit of time: use ms, s, m or h")),
    };
    duration
        .filter(|duration| (1..=31_536_000_000).contains(&duration.as_millis()))
        .ok_or_else(|| format!("`{text}` is not between 1 ms and a year"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(parse("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("60"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for bad in [
            "",
            "s",
            "0s",
            "-1s",
            "1x",
            "1.5s",
            "99999999999999999999s",
            "99999999h",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
