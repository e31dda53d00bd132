//! Reads requests, none of which becomes much larger in memory than it was on its
//! way: what is on the way is what the budget of the API counts.
//!
//! An empty tensor is two bytes of a message and a hundred of memory. So what a
//! message would make is counted before any of it is made.

use std::any::TypeId;

use prost::Message;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::ProstCodec;

use super::fault::Fault;
use super::proto::{CaptureDataRequest, PredictRequest, StreamPredictRequest};

/// Tensors, their dimensions and other such parts of one message: 256 tensors of 8
/// dimensions are 2,304.
const PARTS_MAX: usize = 16_384;

/// What repeats in a message.
struct Shape {
    /// Numbers.
    numbers: &'static [u64],
    /// Messages.
    messages: &'static [(u64, &'static Shape)],
}

const PLAIN: Shape = Shape {
    numbers: &[],
    messages: &[],
};
const TENSOR: Shape = Shape {
    numbers: &[3],
    messages: &[],
};
const PREDICT: Shape = Shape {
    numbers: &[],
    messages: &[(2, &TENSOR)],
};
const STREAM: Shape = Shape {
    numbers: &[],
    messages: &[(2, &PREDICT)],
};
const CAPTURE: Shape = Shape {
    numbers: &[],
    messages: &[(4, &TENSOR), (5, &TENSOR), (6, &PLAIN)],
};

impl Shape {
    fn of<T: 'static>() -> &'static Self {
        let shapes = [
            (TypeId::of::<PredictRequest>(), &PREDICT),
            (TypeId::of::<StreamPredictRequest>(), &STREAM),
            (TypeId::of::<CaptureDataRequest>(), &CAPTURE),
        ];
        let own = TypeId::of::<T>();
        let found = shapes.into_iter().find(|(id, _)| *id == own);
        found.map_or(&PLAIN, |(_, shape)| shape)
    }

    /// Takes the parts of `bytes` off `left`; none if they are more. What is no
    /// message is counted as far as it is one: reading it fails then.
    fn count(&self, mut bytes: &[u8], mut left: usize) -> Option<usize> {
        while let Some((field, content)) = next(&mut bytes) {
            let mut messages = self.messages.iter();
            let inner = messages.find(|(number, _)| *number == field);
            let parts = match inner {
                Some(_) => 1,
                // Together they have a byte each at least.
                None if self.numbers.contains(&field) => content.len().max(1),
                None => 0,
            };
            left = left.checked_sub(parts)?;
            if let Some((_, shape)) = inner {
                left = shape.count(content, left)?;
            }
        }
        Some(left)
    }
}

/// The next field and its content, of those that have a length (Protocol Buffers,
/// encoding).
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => {
            varint(bytes)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        // Begin and end of a group, which no message here has.
        _ => 0,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Protocol Buffers, counted before they are read.
#[derive(Debug)]
pub(super) struct Codec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as tonic::codec::Codec>::Encoder;
    type Decoder = Counted<<ProstCodec<T, U> as tonic::codec::Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Counted(self.0.decoder())
    }
}

/// Counts, then reads.
#[derive(Debug)]
pub(super) struct Counted<D>(D);

impl<D> Decoder for Counted<D>
where
    D: Decoder<Error = Status>,
    D::Item: 'static,
{
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<D::Item>, Status> {
        use bytes::Buf as _;
        // It is in one piece: messages are gathered before they are handed on.
        let counted = Shape::of::<D::Item>().count(message.chunk(), PARTS_MAX);
        if message.chunk().len() < message.remaining() || counted.is_none() {
            let told = format!("a message has more than {PARTS_MAX} tensors and dimensions");
            return Err(Fault::invalid("message-parts-too-many", told).status());
        }
        self.0.decode(message)
    }

    fn buffer_settings(&self) -> tonic::codec::BufferSettings {
        self.0.buffer_settings()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::{PARTS_MAX, Shape};
    use crate::inference_api::proto::{
        Auxiliary, CaptureDataRequest, PredictRequest, StreamPredictRequest, Tensor,
    };

    fn parts<T: prost::Message + 'static>(message: &T) -> Option<usize> {
        let left = Shape::of::<T>().count(&message.encode_to_vec(), PARTS_MAX);
        left.map(|left| PARTS_MAX - left)
    }

    fn predict(tensors: usize, dimensions: usize) -> PredictRequest {
        let tensor = Tensor {
            name: "x".to_owned(),
            dimensions: vec![1; dimensions],
            data: vec![18; 100_000].into(),
            ..Tensor::default()
        };
        PredictRequest {
            model: "m".to_owned(),
            inputs: vec![tensor; tensors],
            ..PredictRequest::default()
        }
    }

    #[test]
    fn what_becomes_large_is_counted_and_data_is_not() {
        assert_eq!(parts(&predict(256, 8)), Some(256 + 256 * 8));
        assert_eq!(parts(&predict(1, PARTS_MAX)), None);
        let empty = PredictRequest {
            inputs: vec![Tensor::default(); PARTS_MAX + 1],
            ..PredictRequest::default()
        };
        assert_eq!(parts(&empty), None);
        let stream = |request| StreamPredictRequest {
            id: 1,
            request: Some(request),
        };
        assert_eq!(parts(&stream(predict(2, 3))), Some(1 + 2 + 6));
        assert_eq!(parts(&stream(empty.clone())), None);
        let capture = CaptureDataRequest {
            outputs: empty.inputs,
            ..CaptureDataRequest::default()
        };
        assert_eq!(parts(&capture), None);
        let capture = CaptureDataRequest {
            auxiliary: vec![Auxiliary::default(); PARTS_MAX + 1],
            ..CaptureDataRequest::default()
        };
        assert_eq!(parts(&capture), None);
    }

    #[test]
    fn whatever_the_bytes_are_counting_ends() {
        let whole = predict(3, 3).encode_to_vec();
        for end in 0..whole.len().min(300) {
            let left = Shape::of::<PredictRequest>().count(&whole[..end], PARTS_MAX);
            assert!(left.is_some(), "{end}");
        }
        for bytes in [
            &[0xff; 40][..],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[3; 9],
        ] {
            assert!(Shape::of::<PredictRequest>().count(bytes, 100).is_some());
        }
    }
}
