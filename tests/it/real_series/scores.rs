//! How well alarms fit labelled windows: the benchmark's score (standard profile),
//! precision and recall, false alarms, and how long it took.
//!
//! The benchmark's score is that of its `sweeper.py`: a window is worth more the
//! earlier it is found, a false alarm costs more the further behind a window it
//! lies; 0 is silence, 100 is every window at its first reading and nothing else.

use serde_json::Value;

use super::likelihood::{DEVIATIONS, deviations};
use super::series::Series;

const FALSE_POSITIVE: f64 = 0.11;
const FALSE_NEGATIVE: f64 = 1.0;
const TRUE_POSITIVE: f64 = 1.0;
const WEEK_S: f64 = 7.0 * 86_400.0;

/// When an alarm was raised and when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    pub(super) from: f64,
    pub(super) to: f64,
}

/// What the detector said.
#[derive(Debug, Default)]
pub(super) struct Said {
    alarms: Vec<Alarm>,
    /// End of each window, and its score.
    scores: Vec<(f64, f64)>,
    threshold: f64,
}

impl Said {
    pub(super) fn of(alarms: &[Alarm]) -> Self {
        Self {
            alarms: alarms.to_vec(),
            threshold: f64::INFINITY,
            ..Self::default()
        }
    }

    /// Until when it has said something.
    pub(super) fn until(&self) -> f64 {
        self.scores
            .last()
            .map_or(f64::NEG_INFINITY, |score| score.0)
    }

    /// Takes in messages of `score/#`.
    pub(super) fn scored(&mut self, messages: &[Value]) {
        for record in messages.iter().flat_map(|pack| pack.as_array().unwrap()) {
            let time = record["t"].as_f64().or(record["bt"].as_f64()).unwrap();
            self.scores
                .push((time, record["v"].as_f64().unwrap_or(f64::NAN)));
        }
    }

    /// Takes in messages of `anomaly/#`.
    pub(super) fn alarmed(&mut self, messages: &[Value]) {
        for message in messages {
            let end = message["window"][1].as_f64().unwrap();
            if let Some(threshold) = message["threshold"].as_f64() {
                self.threshold = threshold;
            }
            match message["state"].as_str().unwrap() {
                "raised" => self.alarms.push(Alarm {
                    from: end,
                    to: f64::INFINITY,
                }),
                "cleared" => {
                    let last = self
                        .alarms
                        .last_mut()
                        .filter(|alarm| alarm.to.is_infinite());
                    // What was never raised is cleared once, at the start.
                    if let Some(alarm) = last {
                        alarm.to = end;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) f1: f64,
}

impl Rates {
    fn new(right: usize, wrong: usize, missed: usize) -> Self {
        let [right, wrong, missed] = [right, wrong, missed].map(count);
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        Self {
            precision: ratio(right, right + wrong),
            recall: ratio(right, right + missed),
            f1: ratio(2.0 * right, 2.0 * right + wrong + missed),
        }
    }
}

/// How well it did.
#[derive(Debug)]
pub(super) struct Report {
    /// Each alarm is one detection.
    pub(super) nab: f64,
    /// Each window whose score is at least the threshold is one.
    pub(super) nab_windows: f64,
    /// Each window that is unlikely after those before it is one.
    pub(super) nab_unlikely: f64,
    /// With the thresholds of scores and of likelihoods that are best for this file,
    /// chosen on its labels.
    pub(super) nab_best: [f64; 2],
    pub(super) by_windows: Rates,
    pub(super) by_points: Rates,
    pub(super) missed: usize,
    pub(super) false_alarms: usize,
    pub(super) false_a_week: f64,
    pub(super) threshold: f64,
    /// Hours from each window's start to its first alarm.
    pub(super) hours: Vec<Option<f64>>,
}

impl Report {
    pub(super) fn new(series: &Series, said: &Said) -> Self {
        let judged = |row: &usize| *row >= series.probation && *row < series.readings.len();
        let raised: Vec<_> = said
            .alarms
            .iter()
            .map(|alarm| series.row_at(alarm.from))
            .collect();
        let raised: Vec<_> = raised.into_iter().filter(judged).collect();
        let of_rows = |(end, score): &(f64, f64)| (series.row_at(*end), *score);
        let (rows, scores): (Vec<_>, Vec<_>) = said.scores.iter().map(of_rows).unzip();
        let deviations = deviations(&scores);
        let judged_of = |values: &[f64]| -> Vec<(usize, f64)> {
            let each = rows.iter().copied().zip(values.iter().copied());
            each.filter(|(row, _)| judged(row)).collect()
        };
        let nab_from = |values: &[f64], threshold: f64| {
            let found = judged_of(values).into_iter();
            let found = found.filter(|(_, value)| *value >= threshold);
            nab(series, &found.map(|(row, _)| row).collect::<Vec<_>>())
        };
        let outside = |row: &&usize| series.window_of(**row).is_none();
        let false_alarms = raised.iter().filter(outside).count();
        let hours: Vec<_> = series
            .windows
            .iter()
            .map(|edges| hours(series, *edges, &raised))
            .collect();
        let missed = hours.iter().filter(|hours| hours.is_none()).count();
        let first = series.readings[series.probation].0;
        let weeks = (series.readings.last().unwrap().0 - first) / WEEK_S;
        Self {
            nab: nab(series, &raised),
            nab_windows: nab_from(&scores, said.threshold),
            nab_unlikely: nab_from(&deviations, DEVIATIONS),
            nab_best: [&scores, &deviations].map(|values| best(series, judged_of(values))),
            by_windows: Rates::new(hours.len() - missed, false_alarms, missed),
            by_points: points(series, &said.alarms),
            missed,
            false_alarms,
            false_a_week: count(false_alarms) / weeks,
            threshold: said.threshold,
            hours,
        }
    }
}

/// Hours to the first alarm in a window.
fn hours(series: &Series, (first, last): (usize, usize), raised: &[usize]) -> Option<f64> {
    let found = raised.iter().find(|row| (first..=last).contains(*row))?;
    Some((series.readings[*found].0 - series.readings[first].0) / 3_600.0)
}

/// Each judged reading: was an alarm on, and should one have been?
fn points(series: &Series, alarms: &[Alarm]) -> Rates {
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    for row in series.probation..series.readings.len() {
        let time = series.readings[row].0;
        let on = alarms
            .iter()
            .any(|alarm| (alarm.from..alarm.to).contains(&time));
        match (on, series.window_of(row).is_some()) {
            (true, true) => right += 1,
            (true, false) => wrong += 1,
            (false, true) => missed += 1,
            (false, false) => {}
        }
    }
    Rates::new(right, wrong, missed)
}

/// The benchmark's score of detections at these rows.
pub(super) fn nab(series: &Series, detections: &[usize]) -> f64 {
    let mut tally = Tally::new(series);
    for row in detections.iter().filter(|row| **row >= series.probation) {
        tally.add(*row);
    }
    tally.score()
}

/// The best score that any threshold makes of these values, by row.
pub(super) fn best(series: &Series, mut values: Vec<(usize, f64)>) -> f64 {
    values.retain(|(_, value)| value.is_finite());
    values.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut tally = Tally::new(series);
    let mut best = tally.score();
    for (place, (row, value)) in values.iter().enumerate() {
        tally.add(*row);
        if values.get(place + 1).is_none_or(|next| next.1 < *value) {
            best = best.max(tally.score());
        }
    }
    best
}

/// The benchmark's score, one detection after the other.
struct Tally<'a> {
    series: &'a Series,
    found: Vec<f64>,
    cost: f64,
}

impl<'a> Tally<'a> {
    fn new(series: &'a Series) -> Self {
        Self {
            series,
            found: vec![-FALSE_NEGATIVE; series.windows.len()],
            cost: 0.0,
        }
    }

    fn add(&mut self, row: usize) {
        let windows = &self.series.windows;
        let mut hit = false;
        for ((first, last), found) in windows.iter().zip(&mut self.found) {
            if (*first..=*last).contains(&row) {
                let width = count(last - first + 1);
                let worth = TRUE_POSITIVE * scaled(-count(last - row + 1) / width) / scaled(-1.0);
                *found = found.max(worth);
                hit = true;
            }
        }
        if !hit {
            let behind = windows.iter().rev().find(|(_, last)| *last < row);
            let past = behind.map_or(3.0, |(first, last)| count(row - last) / count(last - first));
            self.cost += FALSE_POSITIVE * scaled(past);
        }
    }

    fn score(&self) -> f64 {
        let windows = count(self.found.len());
        let (silent, perfect) = (-FALSE_NEGATIVE * windows, TRUE_POSITIVE * windows);
        100.0 * (self.found.iter().sum::<f64>() + self.cost - silent) / (perfect - silent)
    }
}

/// -1 is the left edge of a window, 0 its right edge, more lies behind it.
fn scaled(position: f64) -> f64 {
    if position >= 3.0 {
        -1.0
    } else {
        2.0 / (1.0 + (5.0 * position).exp()) - 1.0
    }
}

pub(super) fn count(rows: usize) -> f64 {
    f64::from(u32::try_from(rows).unwrap())
}
