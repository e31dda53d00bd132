//! Memory for reading and writing that idle connections do not keep.
//!
//! A thread's connections read into one place and take turns with a few buffers
//! for writing, so that a connection costs no buffer while nothing happens.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};

use bytes::{Buf as _, BytesMut};
use tokio::time::Instant;

/// Bytes read at once.
pub(super) const READ_BYTES_MAX: usize = 64 << 10;
/// Buffers that a thread keeps, and bytes that each may have grown to.
const KEPT_MAX: usize = 8;
const KEPT_BYTES_MAX: usize = 256 << 10;
/// Bytes of a new buffer.
const NEW_BYTES: usize = 4 << 10;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    static IDS: Cell<Vec<NonZeroU32>> = const { Cell::new(Vec::new()) };
}

/// A buffer that takes one pointer where it lies. Its box comes and goes with it.
#[derive(Debug)]
pub(super) struct Buffer(Box<Filled>);

#[derive(Debug)]
struct Filled {
    bytes: BytesMut,
    full: Option<Full>,
}

/// What was in a buffer when it became too much.
#[derive(Debug)]
struct Full {
    since: Instant,
    /// Bytes of it that are still there.
    left: usize,
}

impl Buffer {
    /// Has what `bytes` has, and no more memory than that takes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::from(BytesMut::from(bytes))
    }

    /// Looks whether what was added makes it `full` bytes.
    pub(super) fn watch(&mut self, full: usize) {
        let Filled { bytes, full: known } = &mut *self.0;
        if known.is_none() && bytes.len() >= full {
            *known = Some(Full {
                since: Instant::now(),
                left: bytes.len(),
            });
        }
    }

    /// Its first `count` bytes are out.
    pub(super) fn went(&mut self, count: usize, full: usize) {
        self.0.bytes.advance(count);
        if let Some(known) = &mut self.0.full {
            known.left = known.left.saturating_sub(count);
        }
        if self.0.full.take_if(|known| known.left == 0).is_some() {
            self.watch(full);
        }
    }

    /// Since when what once made it full is not all out.
    pub(super) fn full_since(&self) -> Option<Instant> {
        self.0.full.as_ref().map(|full| full.since)
    }
}

impl From<BytesMut> for Buffer {
    fn from(bytes: BytesMut) -> Self {
        Self(Box::new(Filled { bytes, full: None }))
    }
}

impl Deref for Buffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0.bytes
    }
}

/// Lets `work` use this thread's place for identifiers of subscriptions.
pub(super) fn with_ids<T>(work: impl FnOnce(&mut Vec<NonZeroU32>) -> T) -> T {
    let mut ids = IDS.take();
    let done = work(&mut ids);
    IDS.set(ids);
    done
}

/// Lets `read` fill this thread's place for reading.
pub(super) fn with_room<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READ.with_borrow_mut(|room| {
        if room.is_empty() {
            // Of zeroed memory: what was never read into takes none.
            *room = vec![0; READ_BYTES_MAX];
        }
        read(room)
    })
}

/// An empty buffer.
pub(super) fn take() -> Buffer {
    let kept = WRITE.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| BytesMut::with_capacity(NEW_BYTES).into())
}

/// Gives a buffer back.
pub(super) fn give(mut buffer: Buffer) {
    buffer.clear();
    buffer.0.full = None;
    // What was consumed counts again; capacity says only what is left behind it.
    if !buffer.try_reclaim(NEW_BYTES) || buffer.capacity() > KEPT_BYTES_MAX {
        return;
    }
    WRITE.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::Buffer;

    #[tokio::test(start_paused = true)]
    async fn taking_a_little_of_what_fills_a_buffer_does_not_make_that_younger() {
        let begin = Instant::now();
        let mut buffer = Buffer::of(&[0; 9]);
        buffer.watch(10);
        assert_eq!(buffer.full_since(), None);
        buffer.extend_from_slice(&[0; 3]);
        buffer.watch(10);
        for _ in 0..11 {
            advance(Duration::from_secs(1)).await;
            buffer.went(1, 10);
            buffer.extend_from_slice(&[0]);
            buffer.watch(10);
            assert_eq!(buffer.full_since(), Some(begin));
        }
        // The last of the twelve goes, and it is as full of others.
        buffer.went(1, 10);
        assert_eq!(buffer.full_since(), Some(begin + Duration::from_secs(11)));
        buffer.went(11, 10);
        assert_eq!(buffer.full_since(), None);
    }
}
