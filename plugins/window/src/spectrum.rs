//! How the energy of a window is spread over frequencies.
//!
//! The mean is removed and the points are padded with zeroes to a power of two
//! (at most 4,096, so nothing here is large). No taper is applied, so that the
//! energies of all bins add up to the variance (Parseval's theorem).

/// Mean square for each bin above 0 Hz.
#[derive(Debug, Clone)]
pub(crate) struct Spectrum {
    /// Bin `k` is `(k + 1) * bin_hz`.
    energies: Vec<f64>,
    bin_hz: f64,
}

impl Spectrum {
    /// Of `values` taken every `step` seconds.
    pub(crate) fn new(values: &[f64], step: f64) -> Self {
        let size = values.len().next_power_of_two().max(2);
        let mean = values.iter().sum::<f64>() / count(values.len());
        let mut real: Vec<f64> = values.iter().map(|value| value - mean).collect();
        real.resize(size, 0.0);
        let mut imaginary = vec![0.0; size];
        transform(&mut real, &mut imaginary);
        let scale = 1.0 / (count(values.len()) * count(size));
        let energies = real
            .iter()
            .zip(&imaginary)
            .enumerate()
            .skip(1)
            .take(size / 2)
            .map(|(bin, (re, im))| {
                // All bins but the highest stand for two mirrored ones.
                let sides = if bin * 2 == size { 1.0 } else { 2.0 };
                sides * (re * re + im * im) * scale
            })
            .collect();
        Self {
            energies,
            bin_hz: 1.0 / (count(size) * step),
        }
    }

    /// Mean square from `from_hz` (included) to `to_hz` (excluded, unless it
    /// is the highest frequency there is).
    pub(crate) fn band(&self, from_hz: f64, to_hz: f64) -> f64 {
        let highest = self.bin_hz * count(self.energies.len());
        let to_hz = if to_hz >= highest * (1.0 - 1e-9) {
            f64::INFINITY
        } else {
            to_hz
        };
        self.bins()
            .filter(|(hz, _)| (from_hz..to_hz).contains(hz))
            .map(|(_, energy)| energy)
            .sum()
    }

    /// The frequency with the most energy; 0 if there is none.
    pub(crate) fn dominant_hz(&self) -> f64 {
        let mut best = (0.0, 0.0);
        for (hz, energy) in self.bins() {
            if energy > best.1 {
                best = (hz, energy);
            }
        }
        best.0
    }

    fn bins(&self) -> impl Iterator<Item = (f64, f64)> {
        self.energies
            .iter()
            .enumerate()
            .map(|(place, energy)| (count(place + 1) * self.bin_hz, *energy))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a window has 4,096 points at most"
)]
fn count(length: usize) -> f64 {
    length as f64
}

/// Cooley and Tukey's transform in place; the length is a power of two.
fn transform(real: &mut [f64], imaginary: &mut [f64]) {
    let size = real.len();
    let shift = usize::BITS - size.trailing_zeros();
    for place in 0..size {
        let mirrored = place.reverse_bits() >> shift;
        if place < mirrored {
            real.swap(place, mirrored);
            imaginary.swap(place, mirrored);
        }
    }
    let mut half = 1;
    while half < size {
        let turn = -std::f64::consts::PI / count(half);
        let blocks = real
            .chunks_exact_mut(half * 2)
            .zip(imaginary.chunks_exact_mut(half * 2));
        for (real, imaginary) in blocks {
            let (real_low, real_high) = real.split_at_mut(half);
            let (imaginary_low, imaginary_high) = imaginary.split_at_mut(half);
            let low = real_low.iter_mut().zip(imaginary_low);
            let high = real_high.iter_mut().zip(imaginary_high);
            for (place, ((re, im), (re_high, im_high))) in low.zip(high).enumerate() {
                let (sin, cos) = (turn * count(place)).sin_cos();
                let turned_re = *re_high * cos - *im_high * sin;
                let turned_im = *re_high * sin + *im_high * cos;
                (*re_high, *im_high) = (*re - turned_re, *im - turned_im);
                (*re, *im) = (*re + turned_re, *im + turned_im);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_sine_has_half_its_squared_amplitude_in_its_own_band() {
        // 64 points at 32 Hz: 4 Hz and 10 Hz are whole bins.
        let values: Vec<f64> = (0..64)
            .map(|place| f64::from(place) / 32.0)
            .map(|t| 7.0 + 3.0 * (TAU * 4.0 * t).sin() + (TAU * 10.0 * t).cos())
            .collect();
        let spectrum = Spectrum::new(&values, 1.0 / 32.0);
        assert!(close(spectrum.band(3.5, 4.5), 4.5));
        assert!(close(spectrum.band(9.0, 16.0), 0.5));
        assert!(close(spectrum.band(0.0, 16.0), 5.0));
        assert!(close(spectrum.dominant_hz(), 4.0));
    }

    #[test]
    fn the_bands_make_the_variance_also_where_zeroes_are_added() {
        let values: Vec<f64> = (0..45).map(|place| f64::from(place * place % 17)).collect();
        let mean = values.iter().sum::<f64>() / 45.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 45.0;
        let spectrum = Spectrum::new(&values, 0.5);
        // What lies at 0 Hz is gone with the mean.
        assert!(close(spectrum.band(0.0, 1.0), variance));
    }

    #[test]
    fn nothing_moving_has_no_frequency() {
        let spectrum = Spectrum::new(&[5.0; 16], 0.1);
        assert_eq!(spectrum.dominant_hz(), 0.0);
        assert_eq!(spectrum.band(0.0, 5.0), 0.0);
    }
}
