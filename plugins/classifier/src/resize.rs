//! Scales a part of a frame by area: each pixel of the result is the mean of all
//! that it covers, each source pixel weighing as much as is covered of it.
//!
//! The same sum whichever way the size changes: nothing is skipped when it shrinks,
//! and pixels repeat when it grows. `train/prepare.py` does exactly this, and a
//! test of `plan` compares them; a model must see in service what it saw in training.

use crate::frame::Frame;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Part {
    /// All of `frame`.
    pub(crate) fn whole(frame: &Frame) -> Self {
        Self {
            left: 0,
            top: 0,
            width: frame.width,
            height: frame.height,
        }
    }

    /// The largest part in the middle of `frame` that has the proportions of
    /// `width` to `height`.
    pub(crate) fn middle(frame: &Frame, width: usize, height: usize) -> Self {
        let wide = frame.width.min(frame.height * width / height.max(1)).max(1);
        let high = frame.height.min(frame.width * height / width.max(1)).max(1);
        Self {
            left: (frame.width - wide) / 2,
            top: (frame.height - high) / 2,
            width: wide,
            height: high,
        }
    }
}

/// Which source pixels one target pixel covers, and how much of each; sums to 1.
struct Cover {
    first: usize,
    weights: Vec<f32>,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths are at most 16 bits, and positions within them"
)]
fn covers(source: usize, target: usize) -> Vec<Cover> {
    let step = source as f64 / target as f64;
    let cover = |place: usize| {
        let (start, end) = (place as f64 * step, (place + 1) as f64 * step);
        let first = start as usize;
        let last = (end.ceil() as usize).clamp(first + 1, source.max(first + 1));
        let weight = |pixel: usize| {
            let covered = end.min((pixel + 1) as f64) - start.max(pixel as f64);
            (covered.max(0.0) / step) as f32
        };
        let weights = (first..last).map(weight).collect();
        Cover { first, weights }
    };
    (0..target).map(cover).collect()
}

/// `part` of `frame` in `width` by `height` pixels, from 0 to 255, not rounded; row
/// by row and channel by channel as in the frame. `part` must lie in the frame.
pub(crate) fn resize(frame: &Frame, part: Part, width: usize, height: usize) -> Vec<f32> {
    let channels = frame.channels;
    let (columns, rows) = (covers(part.width, width), covers(part.height, height));
    let stride = frame.width * channels;
    let mut result = vec![0.0; width * height * channels];
    let mut sums = vec![0.0_f32; part.width * channels];
    for (row, line) in rows
        .iter()
        .zip(result.chunks_exact_mut((width * channels).max(1)))
    {
        // Down first: whole rows are added, which is the bulk of the work.
        sums.fill(0.0);
        let sources = frame
            .pixels
            .chunks_exact(stride.max(1))
            .skip(part.top + row.first);
        for (weight, source) in row.weights.iter().zip(sources) {
            let source = source.get(part.left * channels..).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(source) {
                *sum += weight * f32::from(*value);
            }
        }
        for (column, pixel) in columns.iter().zip(line.chunks_exact_mut(channels)) {
            let covered = sums.chunks_exact(channels).skip(column.first);
            for (weight, source) in column.weights.iter().zip(covered) {
                for (sum, value) in pixel.iter_mut().zip(source) {
                    *sum += weight * value;
                }
            }
        }
    }
    result
}

#[cfg(test)]
mod tests;
