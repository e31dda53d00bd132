//! What a run of libFuzzer says of itself, read from its log.

use std::path::{Path, PathBuf};

use crate::command::Failure;

/// How a run went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    ok: bool,
    runs: u64,
    /// Places in the code that the seeds reached, and all inputs.
    coverage: (u64, u64),
    /// The input that failed.
    crash: Option<PathBuf>,
    /// What the code under test panicked with and caught itself.
    caught: Vec<String>,
    log: PathBuf,
}

/// Reads `text`, the contents of `log`.
pub(super) fn read(text: &str, ok: bool, log: &Path) -> Ran {
    let mut ran = Ran {
        ok,
        log: log.to_owned(),
        ..Ran::default()
    };
    for line in text.lines() {
        if let Some(crash) = line.split("Test unit written to ").nth(1) {
            ran.crash = Some(PathBuf::from(crash));
        } else if let Some(caught) = line.strip_prefix("CAUGHT ") {
            ran.caught.push(caught.to_owned());
        } else if let Some(runs) = number_after(line, "stat::number_of_executed_units:") {
            ran.runs = runs;
        } else if line.starts_with('#')
            && let Some(coverage) = number_after(line, " cov:")
        {
            if line.contains("\tINITED") {
                ran.coverage.0 = coverage;
            }
            ran.coverage.1 = ran.coverage.1.max(coverage);
        }
    }
    ran
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    let rest = line.split(word).nth(1)?;
    rest.split_whitespace().next()?.parse().ok()
}

impl Ran {
    /// Prints a line of how `target` went; a failure says how to see it again.
    pub(super) fn tell(&self, target: &str) -> Result<(), Failure> {
        let (runs, (begun, reached)) = (self.runs, self.coverage);
        if self.ok {
            let grown = reached.saturating_sub(begun);
            println!("{target:>10}: {runs:>9} runs, {reached} places reached, {grown} of them new");
            for caught in &self.caught {
                println!("{target:>10}: caught {caught}");
            }
            return Ok(());
        }
        let log = self.log.display();
        let Some(crash) = &self.crash else {
            return Err(Failure::new(format!(
                "fuzz target `{target}` failed: {log}"
            )));
        };
        Err(Failure::new(format!(
            "fuzz target `{target}` failed (log: {log}); to see it again:\n    \
             cargo xtask fuzz {target} --input {}",
            crash.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_coverage_are_read() {
        let log = "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #9\tNEW    cov: 15 ft: 18 corp: 2/2b lim: 4 exec/s: 0 rss: 40Mb\n\
                   CAUGHT by the code under test: panicked\n\
                   stat::number_of_executed_units: 77\n";
        let ran = read(log, true, Path::new("log"));
        assert_eq!((ran.runs, ran.coverage), (77, (12, 15)));
        assert_eq!(ran.caught, ["by the code under test: panicked"]);
        assert!(ran.tell("trust").is_ok());
    }

    #[test]
    fn a_crash_says_how_to_see_it_again() {
        let log = "artifact_prefix='/a/'; Test unit written to /a/crash-1\nBase64: YQ==\n";
        let ran = read(log, false, Path::new("log"));
        let failure = ran.tell("trust").unwrap_err().to_string();
        assert!(failure.ends_with("cargo xtask fuzz trust --input /a/crash-1"));
        let ran = read("", false, Path::new("log"));
        assert!(ran.tell("trust").is_err());
    }
}
