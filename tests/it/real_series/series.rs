//! The series: readings with their times, labelled windows, and the part that
//! the benchmark does not judge.

use selvedge::names::Digest;
use serde_json::Value;
use wasm_build::Workspace;

/// Never copied into this project: beside it, where it is at all.
const FOLDER: &str = "../shared/data/nab";
const FILE: &str = "machine_temperature_system_failure.csv";
/// Of what is judged here; another file would have other bars.
const ROWS: usize = 22_695;

/// The benchmark's own bound of the part that is not judged.
const PROBATION_PART: f64 = 0.15;
const PROBATION_ROWS_OF: f64 = 5_000.0;

pub(super) struct Series {
    /// Time in seconds since 1970 (the file's, taken as UTC) and value.
    pub(super) readings: Vec<(f64, f64)>,
    /// First and last row of each labelled window.
    pub(super) windows: Vec<(usize, usize)>,
    /// Rows that are not judged, from the first.
    pub(super) probation: usize,
}

impl Series {
    /// The series, or why there is none.
    pub(super) fn read() -> Result<Self, String> {
        let folder = Workspace::here().root().join(FOLDER);
        let path = folder.join(FILE);
        let text = fs_err::read_to_string(&path)
            .map_err(|error| format!("the real series is not here: {error}"))?;
        let readings: Vec<_> = text.lines().skip(1).map(reading).collect();
        assert_eq!(
            readings.len(),
            ROWS,
            "{} {}",
            path.display(),
            Digest::of(text.as_bytes())
        );
        let windows: Value =
            serde_json::from_slice(&fs_err::read(folder.join("windows.json")).unwrap()).unwrap();
        let labelled = windows[format!("realKnownCause/{FILE}")]
            .as_array()
            .unwrap();
        let row = |time: &Value| {
            let time = seconds(time.as_str().unwrap());
            readings
                .iter()
                .position(|reading| reading.0 >= time)
                .unwrap()
        };
        Ok(Self {
            windows: labelled
                .iter()
                .map(|edges| (row(&edges[0]), row(&edges[1])))
                .collect(),
            probation: probation(readings.len()),
            readings,
        })
    }

    /// One of so many readings, a second apart.
    pub(super) fn made(rows: u32, windows: &[(usize, usize)], probation: usize) -> Self {
        Self {
            readings: (0..rows).map(|row| (f64::from(row), 0.0)).collect(),
            windows: windows.to_vec(),
            probation,
        }
    }

    /// The first row at this time or later.
    pub(super) fn row_at(&self, time: f64) -> usize {
        let found = self.readings.iter().position(|reading| reading.0 >= time);
        found.unwrap_or(self.readings.len())
    }

    /// The window that a row lies in.
    pub(super) fn window_of(&self, row: usize) -> Option<usize> {
        self.windows
            .iter()
            .position(|(first, last)| (*first..=*last).contains(&row))
    }
}

fn probation(rows: usize) -> usize {
    let rows = u32::try_from(rows).unwrap();
    let part = (PROBATION_PART * f64::from(rows)).floor();
    let bound = part.min(PROBATION_PART * PROBATION_ROWS_OF);
    (0..rows).take_while(|row| f64::from(*row) < bound).count()
}

fn reading(line: &str) -> (f64, f64) {
    let (time, value) = line.split_once(',').unwrap();
    (seconds(time), value.parse().unwrap())
}

/// Of `2013-12-02 21:15:00`, with or without parts of a second.
fn seconds(text: &str) -> f64 {
    let time: jiff::civil::DateTime = text.parse().unwrap();
    let utc = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    utc.timestamp().as_duration().as_secs_f64()
}
