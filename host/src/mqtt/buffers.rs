//! Memory for reading and writing that idle connections do not keep.
//!
//! The connections of a thread take turns with a few buffers: one that waits, with
//! nothing to write, has none.

use std::cell::RefCell;
use std::mem;

use bytes::BytesMut;

/// Bytes of a new buffer, and so what is read at once.
const NEW_BYTES: usize = 32 << 10;
/// Bytes that a buffer which is kept may have grown to.
const KEPT_BYTES_MAX: usize = 128 << 10;
/// Buffers that a thread keeps.
const KEPT_MAX: usize = 4;
/// Bytes that may lie idle behind a part of a packet.
const SLACK_BYTES_MAX: usize = 1 << 10;

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room.
pub(super) fn take() -> BytesMut {
    let kept = KEPT.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| BytesMut::with_capacity(NEW_BYTES))
}

/// Gives back what `buffer` does not need while nothing happens: all of it if it
/// is empty, and what lies behind its bytes.
pub(super) fn rest(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        give(mem::take(buffer));
    } else if buffer.capacity() > 2 * buffer.len() + SLACK_BYTES_MAX {
        let part = BytesMut::from(&buffer[..]);
        give(mem::replace(buffer, part));
    }
}

fn give(mut buffer: BytesMut) {
    buffer.clear();
    // What was read from its front is room again; a small one is not worth keeping.
    if !buffer.try_reclaim(NEW_BYTES) || buffer.capacity() > KEPT_BYTES_MAX {
        return;
    }
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}
