//! Memory for reading and writing that idle connections do not keep.
//!
//! A thread's connections read into one place and take turns with a few buffers
//! for writing, so that a connection costs no buffer while nothing happens.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};

use bytes::BytesMut;

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
pub(super) struct Buffer(Box<BytesMut>);

impl Buffer {
    /// Has what `bytes` has, and no more memory than that takes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Box::new(BytesMut::from(bytes)))
    }
}

impl Deref for Buffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0
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
    kept.unwrap_or_else(|| Buffer(Box::new(BytesMut::with_capacity(NEW_BYTES))))
}

/// Gives a buffer back.
pub(super) fn give(mut buffer: Buffer) {
    buffer.clear();
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
