//! Memory for reading and writing that idle connections do not keep.
//!
//! A thread's connections read into one place and take turns with a few buffers
//! for writing, so that a connection costs no buffer while nothing happens.

use std::cell::RefCell;

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
    static WRITE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Lets `read` fill this thread's place for reading.
pub(super) fn with_room<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READ.with_borrow_mut(|room| {
        if room.is_empty() {
            room.resize(READ_BYTES_MAX, 0);
        }
        read(room)
    })
}

/// An empty buffer.
pub(super) fn take() -> BytesMut {
    let kept = WRITE.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| BytesMut::with_capacity(NEW_BYTES))
}

/// Gives a buffer back.
pub(super) fn give(mut buffer: BytesMut) {
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
