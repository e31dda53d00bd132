//! Tensors: dense, row-major, little-endian, and of the length they claim.
//!
//! A [`Tensor`] that exists is well-formed, so backends need not check again.

use std::fmt;

use bytes::Bytes;
use half::{bf16, f16};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(target_endian = "big")]
compile_error!("tensors are handed to backends as the little-endian bytes that guests send");

/// Dimensions in a shape.
pub(super) const RANK_MAX: usize = 8;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TensorKind {
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    U8,
    I32,
    I64,
}

impl TensorKind {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::Fp16 | Self::Bf16 => 2,
            Self::Fp32 | Self::I32 => 4,
            Self::Fp64 | Self::I64 => 8,
        }
    }
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
            Self::Fp64 => "fp64",
            Self::Bf16 => "bf16",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

/// Why dimensions, kind and bytes do not make a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("a tensor of {rank} dimensions is not supported: at most {RANK_MAX}")]
    Rank { rank: usize },
    #[error("a tensor of {dimensions:?} is larger than can be addressed")]
    Overflow { dimensions: Vec<u32> },
    #[error("a {kind} tensor of {dimensions:?} takes {expected} bytes, not {got}")]
    Length {
        dimensions: Vec<u32>,
        kind: TensorKind,
        expected: usize,
        got: usize,
    },
}

/// A dense array of numbers. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    dimensions: Vec<u32>,
    kind: TensorKind,
    data: Bytes,
}

impl Tensor {
    /// A tensor, if `data` is as long as `dimensions` and `kind` ask.
    pub fn new(dimensions: Vec<u32>, kind: TensorKind, data: Bytes) -> Result<Self, TensorError> {
        let expected = size(&dimensions, kind)?;
        if expected != data.len() {
            return Err(TensorError::Length {
                dimensions,
                kind,
                expected,
                got: data.len(),
            });
        }
        Ok(Self {
            dimensions,
            kind,
            data,
        })
    }

    /// A tensor of zeros.
    pub fn zeros(dimensions: Vec<u32>, kind: TensorKind) -> Result<Self, TensorError> {
        let data = vec![0; size(&dimensions, kind)?].into();
        Self::new(dimensions, kind, data)
    }

    /// A tensor of `values`, each rounded or cut to what `kind` can hold.
    pub fn of_values(
        dimensions: Vec<u32>,
        kind: TensorKind,
        values: &[f64],
    ) -> Result<Self, TensorError> {
        let data = values.iter().flat_map(|&value| encode(kind, value));
        Self::new(dimensions, kind, data.collect())
    }

    pub fn dimensions(&self) -> &[u32] {
        &self.dimensions
    }

    pub fn kind(&self) -> TensorKind {
        self.kind
    }

    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The elements as numbers; integers beyond 2^53 are rounded.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let kind = self.kind;
        self.data
            .chunks_exact(kind.size())
            .map(move |element| decode(kind, element))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.dimensions)
    }
}

/// Bytes of a tensor.
fn size(dimensions: &[u32], kind: TensorKind) -> Result<usize, TensorError> {
    let rank = dimensions.len();
    if rank > RANK_MAX {
        return Err(TensorError::Rank { rank });
    }
    let size = dimensions.iter().try_fold(kind.size(), |size, &dimension| {
        size.checked_mul(usize::try_from(dimension).ok()?)
    });
    size.ok_or_else(|| TensorError::Overflow {
        dimensions: dimensions.to_vec(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` from a float saturates, which is what is promised"
)]
fn encode(kind: TensorKind, value: f64) -> Vec<u8> {
    match kind {
        TensorKind::Fp16 => f16::from_f64(value).to_le_bytes().into(),
        TensorKind::Bf16 => bf16::from_f64(value).to_le_bytes().into(),
        TensorKind::Fp32 => (value as f32).to_le_bytes().into(),
        TensorKind::Fp64 => value.to_le_bytes().into(),
        TensorKind::U8 => vec![value as u8],
        TensorKind::I32 => (value as i32).to_le_bytes().into(),
        TensorKind::I64 => (value as i64).to_le_bytes().into(),
    }
}

/// One element of `kind` from exactly its bytes.
#[expect(
    clippy::cast_precision_loss,
    reason = "golden values are written as numbers of JSON, which are no finer"
)]
fn decode(kind: TensorKind, element: &[u8]) -> f64 {
    let mut wide = [0; 8];
    for (to, from) in wide.iter_mut().zip(element) {
        *to = *from;
    }
    let [a, b, c, d, ..] = wide;
    match kind {
        TensorKind::Fp16 => f16::from_le_bytes([a, b]).to_f64(),
        TensorKind::Bf16 => bf16::from_le_bytes([a, b]).to_f64(),
        TensorKind::Fp32 => f32::from_le_bytes([a, b, c, d]).into(),
        TensorKind::Fp64 => f64::from_le_bytes(wide),
        TensorKind::U8 => a.into(),
        TensorKind::I32 => i32::from_le_bytes([a, b, c, d]).into(),
        TensorKind::I64 => i64::from_le_bytes(wide) as f64,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Tensor, TensorError, TensorKind};

    const KINDS: [TensorKind; 7] = [
        TensorKind::Fp16,
        TensorKind::Fp32,
        TensorKind::Fp64,
        TensorKind::Bf16,
        TensorKind::U8,
        TensorKind::I32,
        TensorKind::I64,
    ];

    fn new(dimensions: &[u32], kind: TensorKind, bytes: usize) -> Result<Tensor, TensorError> {
        Tensor::new(dimensions.to_vec(), kind, vec![0; bytes].into())
    }

    #[test]
    fn every_kind_keeps_small_values_exactly() {
        for kind in KINDS {
            let tensor = Tensor::of_values(vec![2, 2], kind, &[0.0, 1.0, 2.0, 100.0]).unwrap();
            assert_eq!(tensor.data().len(), 4 * kind.size());
            assert_eq!(tensor.values().collect::<Vec<_>>(), [0.0, 1.0, 2.0, 100.0]);
        }
    }

    #[test]
    fn a_tensor_is_as_long_as_it_claims() {
        assert!(new(&[1, 64], TensorKind::Fp32, 256).is_ok());
        assert!(new(&[], TensorKind::Fp64, 8).is_ok());
        assert!(new(&[0, 5], TensorKind::I64, 0).is_ok());
        for bytes in [0, 7, 255, 257] {
            let error = new(&[1, 64], TensorKind::Fp32, bytes).unwrap_err();
            assert!(matches!(error, TensorError::Length { expected: 256, .. }));
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused_even_when_they_wrap_to_the_length() {
        // 2^32 squared wraps to 0 bytes in 64 bits.
        for dimensions in [
            &[1 << 31, 1 << 31, 4][..],
            &[u32::MAX; 8],
            &[u32::MAX, u32::MAX],
        ] {
            let error = new(dimensions, TensorKind::I64, 0).unwrap_err();
            assert!(matches!(error, TensorError::Overflow { .. }), "{error}");
        }
        let error = new(&[1; 9], TensorKind::U8, 1).unwrap_err();
        assert_eq!(error, TensorError::Rank { rank: 9 });
    }

    #[test]
    fn the_message_says_what_was_expected() {
        let error = new(&[1, 64], TensorKind::Fp32, 7).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a fp32 tensor of [1, 64] takes 256 bytes, not 7"
        );
        let shared = Tensor::new(vec![1], TensorKind::U8, Bytes::from_static(b"x")).unwrap();
        assert_eq!(format!("{shared:?}"), "u8 [1]");
    }
}
