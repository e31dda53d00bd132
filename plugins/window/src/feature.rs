//! The features of one series over one window.

use crate::config::Feature;
use crate::points::Point;
use crate::spectrum::Spectrum;

/// One series over one window, before and after scaling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// As read.
    pub(crate) raw: &'a [Point],
    /// As scaled; of the same length.
    pub(crate) scaled: &'a [Point],
    /// Seconds between two points.
    pub(crate) step: f64,
    /// How far apart two values may be and still count as unchanged.
    pub(crate) stuck_tolerance: f64,
}

/// The values of `features`, in order; `None` where no point is good.
pub(crate) fn compute(window: Window<'_>, features: &[Feature]) -> Vec<Option<f64>> {
    let good: Vec<(f64, f64)> = window
        .scaled
        .iter()
        .zip(0_u32..)
        .filter_map(|(point, place)| Some((f64::from(place) * window.step, point.good()?)))
        .collect();
    let moments = Moments::of(&good);
    let spectral = features
        .iter()
        .any(|feature| matches!(feature, Feature::DominantHz | Feature::Band { .. }));
    let spectrum =
        (spectral && moments.is_some()).then(|| Spectrum::new(&filled(window.scaled), window.step));
    features
        .iter()
        .map(|feature| one(*feature, window, &good, moments.as_ref(), spectrum.as_ref()))
        .map(|value| value.filter(|value| value.is_finite()))
        .collect()
}

fn one(
    feature: Feature,
    window: Window<'_>,
    good: &[(f64, f64)],
    moments: Option<&Moments>,
    spectrum: Option<&Spectrum>,
) -> Option<f64> {
    match feature {
        Feature::Mean => Some(moments?.mean),
        Feature::Std => Some(moments?.variance.sqrt()),
        Feature::Min => Some(moments?.min),
        Feature::Max => Some(moments?.max),
        Feature::Range => moments.map(|moments| moments.max - moments.min),
        Feature::Rms => Some(moments?.rms),
        Feature::Kurtosis => moments.map(Moments::kurtosis),
        Feature::Crest => moments.map(Moments::crest),
        Feature::Slope => slope(good),
        Feature::Last => good.last().map(|(_, value)| *value),
        Feature::Stuck => moments.map(|_| stuck(window.raw, window.stuck_tolerance)),
        Feature::Missing => Some(fraction(window.raw, |point| *point == Point::Missing)),
        Feature::Bad => Some(fraction(window.raw, |point| *point == Point::Bad)),
        Feature::DominantHz => spectrum.map(Spectrum::dominant_hz),
        Feature::Band { from_hz, to_hz } => spectrum.map(|spectrum| spectrum.band(from_hz, to_hz)),
    }
}

/// What most features need, found in two passes.
#[derive(Debug)]
struct Moments {
    mean: f64,
    variance: f64,
    fourth: f64,
    min: f64,
    max: f64,
    rms: f64,
}

impl Moments {
    fn of(good: &[(f64, f64)]) -> Option<Self> {
        let values = || good.iter().map(|(_, value)| *value);
        let first = values().next()?;
        let count = length(good.len());
        let (min, max) = values().fold((first, first), |(min, max), value| {
            (min.min(value), max.max(value))
        });
        // Of equal values the mean is exactly that value, whatever rounding does.
        let mean = (values().sum::<f64>() / count).clamp(min, max);
        let squared = |value: f64| (value - mean) * (value - mean);
        Some(Self {
            mean,
            variance: values().map(squared).sum::<f64>() / count,
            fourth: values().map(|value| squared(value).powi(2)).sum::<f64>() / count,
            min,
            max,
            rms: (values().map(|value| value * value).sum::<f64>() / count).sqrt(),
        })
    }

    fn kurtosis(&self) -> f64 {
        ratio_or_0(self.fourth, self.variance * self.variance)
    }

    fn crest(&self) -> f64 {
        ratio_or_0(self.max.abs().max(self.min.abs()), self.rms)
    }
}

fn ratio_or_0(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// Rise per second; 0 for a single point.
fn slope(good: &[(f64, f64)]) -> Option<f64> {
    if good.is_empty() {
        return None;
    }
    let count = length(good.len());
    let mean_time = good.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean = good.iter().map(|(_, value)| value).sum::<f64>() / count;
    let (mut both, mut times) = (0.0, 0.0);
    for (time, value) in good {
        both += (time - mean_time) * (value - mean);
        times += (time - mean_time) * (time - mean_time);
    }
    Some(ratio_or_0(both, times))
}

/// The longest run of good points within `tolerance` of the run's first, as a
/// fraction of the window; 0 if no two neighbours are the same.
fn stuck(points: &[Point], tolerance: f64) -> f64 {
    let (mut longest, mut run, mut start) = (0_usize, 0_usize, None);
    for point in points {
        run = match (start, point.good()) {
            (Some(start), Some(value)) if f64::abs(value - start) <= tolerance => run + 1,
            (_, value) => {
                start = value;
                1
            }
        };
        if run >= 2 {
            longest = longest.max(run);
        }
    }
    length(longest) / length(points.len())
}

/// The fraction of `points` that are `so`.
pub(crate) fn fraction(points: &[Point], so: impl Fn(&Point) -> bool) -> f64 {
    length(points.iter().filter(|point| so(point)).count()) / length(points.len().max(1))
}

/// Pearson's correlation over the points that are good in both series.
pub(crate) fn correlation(a: &[Point], b: &[Point]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .filter_map(|(a, b)| Some((a.good()?, b.good()?)))
        .collect();
    if pairs.len() < 2 {
        return None;
    }
    let count = length(pairs.len());
    let mean_a = pairs.iter().map(|(a, _)| a).sum::<f64>() / count;
    let mean_b = pairs.iter().map(|(_, b)| b).sum::<f64>() / count;
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (a, b) in &pairs {
        both += (a - mean_a) * (b - mean_b);
        only_a += (a - mean_a) * (a - mean_a);
        only_b += (b - mean_b) * (b - mean_b);
    }
    let value = ratio_or_0(both, only_a.sqrt() * only_b.sqrt());
    value.is_finite().then(|| value.clamp(-1.0, 1.0))
}

/// The values with every gap filled by the good point before it (after it at
/// the start), since a spectrum needs even spacing.
fn filled(points: &[Point]) -> Vec<f64> {
    let mut last = points.iter().find_map(|point| point.good()).unwrap_or(0.0);
    points
        .iter()
        .map(|point| {
            last = point.good().unwrap_or(last);
            last
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a window has 4,096 points at most"
)]
fn length(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
