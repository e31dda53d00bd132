//! The benchmark's own way from scores to detections: how unlikely is the mean of
//! the last few scores, given those of the last weeks?
//!
//! Fixed before it was run, as in Ahmad et al., "Unsupervised real-time anomaly
//! detection for streaming data" (2017): the last 10 scores against a normal
//! distribution of the last 8,640, a detection where less than 1 in 100,000 would
//! lie so high. A detector's scores have no upper end here, so their logarithm is
//! taken. What is no score yet is none of the distribution.

use std::collections::VecDeque;

/// Scores whose mean is judged.
const RECENT: usize = 10;
/// Scores that it is judged by: 30 days of readings every five minutes.
const HISTORY: usize = 8_640;
/// Standard deviations above which 1e-5 of a normal distribution lies.
pub(super) const DEVIATIONS: f64 = 4.264_890_793_922_6;

/// How many standard deviations the newest scores lie too high, at each of them:
/// the less likely, the more.
pub(super) fn deviations(scores: &[f64]) -> Vec<f64> {
    let mut history = History::default();
    let each = scores.iter().map(|score| {
        if *score > 0.0 && score.is_finite() {
            history.push(score.ln());
        }
        history.deviations()
    });
    each.collect()
}

/// The newest scores, with their sum and that of their squares.
#[derive(Default)]
struct History {
    scores: VecDeque<f64>,
    sum: f64,
    squares: f64,
}

impl History {
    fn push(&mut self, score: f64) {
        self.scores.push_back(score);
        self.sum += score;
        self.squares += score * score;
        if self.scores.len() > HISTORY {
            let oldest = self.scores.pop_front().unwrap();
            self.sum -= oldest;
            self.squares -= oldest * oldest;
        }
    }

    fn deviations(&self) -> f64 {
        if self.scores.len() <= RECENT {
            return 0.0;
        }
        let count = super::scores::count(self.scores.len());
        let usual = self.sum / count;
        let deviation = (self.squares / count - usual * usual).max(0.0).sqrt();
        let recent: f64 = self.scores.iter().rev().take(RECENT).sum();
        let recent = recent / super::scores::count(RECENT);
        if deviation > 0.0 {
            (recent - usual) / deviation
        } else {
            0.0
        }
    }
}

#[test]
fn a_lasting_jump_of_the_scores_is_unlikely_and_a_single_one_is_not() {
    let usual = |place: usize| 1.0 + 0.1 * (super::scores::count(place) * 12.9).sin();
    let mut scores: Vec<_> = (0..2_000).map(usual).collect();
    scores[1_000] = 3.0;
    scores[1_500..1_520].fill(5.0);
    let found = deviations(&scores);
    let unlikely: Vec<_> = (0..found.len())
        .filter(|row| found[*row] >= DEVIATIONS)
        .collect();
    assert!(unlikely.len() > 10, "{unlikely:?}");
    assert!((1_500..1_510).contains(&unlikely[0]), "{unlikely:?}");
}
