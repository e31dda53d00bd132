//! Frames on a TCP connection: the MBAP header and a bounded receive buffer.
//!
//! The header says how long a frame is; what it says is believed only within
//! the 260 bytes that a frame may have, so a peer decides neither how much is
//! kept nor how much is waited for.

/// A frame's greatest length.
pub const FRAME_MAX: usize = 260;
/// Bytes before the PDU.
const HEADER: usize = 7;

/// One frame, taken from the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Transaction identifier.
    pub tid: u16,
    /// Unit identifier.
    pub unit: u8,
    /// Function code and what follows, 1 to 253 bytes.
    pub pdu: Vec<u8>,
}

/// The bytes received are no frames: the stream cannot be followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no Modbus frame")]
pub struct Garbage;

/// The frame that carries `pdu`.
pub fn encode(tid: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(HEADER + pdu.len());
    frame.extend(tid.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(length.to_be_bytes());
    frame.push(unit);
    frame.extend(pdu);
    frame
}

/// What was received and not yet taken; never more than one frame's length.
#[derive(Debug, Default)]
pub struct Receiver {
    bytes: Vec<u8>,
}

impl Receiver {
    /// How many more bytes it takes; 0 only while a whole frame waits.
    pub fn room(&self) -> usize {
        FRAME_MAX - self.bytes.len().min(FRAME_MAX)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what was read, at most [`Receiver::room`] bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.room();
        self.bytes.extend(bytes.iter().take(room));
    }

    /// The next frame, if it is complete.
    ///
    /// # Errors
    /// [`Garbage`] as soon as the bytes cannot become a frame.
    pub fn take(&mut self) -> Result<Option<Frame>, Garbage> {
        let field = |at: usize| {
            Some(u16::from_be_bytes([
                *self.bytes.get(at)?,
                *self.bytes.get(at + 1)?,
            ]))
        };
        if field(2).is_some_and(|protocol| protocol != 0) {
            return Err(Garbage);
        }
        let (Some(tid), Some(length)) = (field(0), field(4)) else {
            return Ok(None);
        };
        let end = HEADER - 1 + usize::from(length);
        if length < 2 || end > FRAME_MAX {
            return Err(Garbage);
        }
        let Some(body) = self.bytes.get(HEADER - 1..end) else {
            return Ok(None);
        };
        let Some((&unit, pdu)) = body.split_first() else {
            return Err(Garbage);
        };
        let pdu = pdu.to_vec();
        self.bytes.drain(..end);
        Ok(Some(Frame { tid, unit, pdu }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let frame = encode(0x1501, 0xff, &[3, 0, 1]);
        assert_eq!(frame, [0x15, 1, 0, 0, 0, 4, 0xff, 3, 0, 1]);
        let mut receiver = Receiver::default();
        for byte in &frame[..9] {
            receiver.push(&[*byte]);
            assert_eq!(receiver.take(), Ok(None));
        }
        receiver.push(&[1, 9, 9]);
        let taken = receiver.take().unwrap().unwrap();
        assert_eq!((taken.tid, taken.unit), (0x1501, 0xff));
        assert_eq!(taken.pdu, [3, 0, 1]);
        assert!(!receiver.is_empty());
    }

    #[test]
    fn a_length_that_no_frame_has_is_garbage() {
        for length in [0_u16, 1, 255, 0xffff] {
            let mut receiver = Receiver::default();
            receiver.push(&[0, 1, 0, 0]);
            receiver.push(&length.to_be_bytes());
            assert_eq!(receiver.take(), Err(Garbage), "{length}");
        }
    }

    #[test]
    fn another_protocol_is_garbage_at_once() {
        let mut receiver = Receiver::default();
        receiver.push(b"HTTP");
        assert_eq!(receiver.take(), Err(Garbage));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_bytes_are_frames_or_garbage(
            chunks in prop::collection::vec(prop::collection::vec(
                prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], 0..300), 0..12),
        ) {
            let mut receiver = Receiver::default();
            'stream: for chunk in chunks {
                receiver.push(&chunk);
                prop_assert!(receiver.bytes.len() <= FRAME_MAX);
                loop {
                    match receiver.take() {
                        Ok(Some(frame)) => prop_assert!((1..=253).contains(&frame.pdu.len())),
                        Ok(None) => break,
                        Err(Garbage) => break 'stream,
                    }
                }
                // More can always be received where no frame is complete.
                prop_assert!(receiver.room() > 0);
            }
        }

        #[test]
        fn what_is_encoded_is_taken(
            tid in any::<u16>(), unit in any::<u8>(),
            pdu in prop::collection::vec(any::<u8>(), 1..=253),
        ) {
            let mut receiver = Receiver::default();
            receiver.push(&encode(tid, unit, &pdu));
            prop_assert_eq!(receiver.take(), Ok(Some(Frame { tid, unit, pdu })));
            prop_assert!(receiver.is_empty());
        }
    }
}
