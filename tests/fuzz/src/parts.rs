//! Inputs that are several things at once: parts with a separator between them.
//!
//! An empty or missing part stands for the true one, so that an input can change
//! one thing and leave all others as they were signed.

use bytes::Bytes;

/// Stands between two parts. No JSON that is written compactly holds it.
pub const SEPARATOR: &[u8] = b"\n%%\n";

/// Parts of an input that are looked at.
const PARTS_MAX: usize = 64;

/// Puts parts together.
pub fn join<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut joined = Vec::new();
    for (number, part) in parts.into_iter().enumerate() {
        if number > 0 {
            joined.extend_from_slice(SEPARATOR);
        }
        joined.extend_from_slice(part.as_ref());
    }
    joined
}

/// The parts of an input. At least one.
pub(crate) fn split(bytes: &[u8]) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while parts.len() + 1 < PARTS_MAX {
        let mut windows = rest.windows(SEPARATOR.len());
        let Some(at) = windows.position(|window| window == SEPARATOR) else {
            break;
        };
        let (part, after) = rest.split_at(at);
        parts.push(Bytes::copy_from_slice(part));
        rest = &after[SEPARATOR.len()..];
    }
    parts.push(Bytes::copy_from_slice(rest));
    parts
}

/// The parts of an input in which every other one is a name.
pub(crate) fn named(bytes: &[u8]) -> Vec<(String, Bytes)> {
    let parts = split(bytes);
    let pairs = parts.chunks_exact(2).map(|pair| {
        let name = String::from_utf8_lossy(&pair[0]).into_owned();
        (name, pair[1].clone())
    });
    pairs.collect()
}
