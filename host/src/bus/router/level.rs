//! One level of a filter, as a node of the tree knows its next ones.
//!
//! Most are short, and lie in the node's table itself: a device's own level costs no
//! memory beside it.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// Bytes that lie in the table.
const SHORT_BYTES_MAX: usize = 14;

/// The text of one level.
#[derive(Debug)]
pub(super) enum Level {
    /// So many of the bytes.
    Short(u8, [u8; SHORT_BYTES_MAX]),
    /// Boxed twice, to be no larger than the other.
    Long(Box<Box<[u8]>>),
}

impl Level {
    pub(super) fn new(text: &str) -> Self {
        let text = text.as_bytes();
        let mut short = [0; SHORT_BYTES_MAX];
        match (short.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text);
                Self::Short(len, short)
            }
            _ => Self::Long(Box::new(text.into())),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Level {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Level {}

impl Hash for Level {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Level, SHORT_BYTES_MAX};

    #[test]
    fn levels_of_all_lengths_are_found_by_their_text() {
        let texts: Vec<_> = [0, 1, SHORT_BYTES_MAX, SHORT_BYTES_MAX + 1, 1_024]
            .into_iter()
            .map(|bytes| "x".repeat(bytes))
            .collect();
        let levels = texts.iter().enumerate();
        let known: HashMap<_, _> = levels.map(|(at, text)| (Level::new(text), at)).collect();
        for (at, text) in texts.iter().enumerate() {
            assert_eq!(known.get(text.as_bytes()), Some(&at), "{}", text.len());
        }
        assert!(!known.contains_key("y".as_bytes()));
        assert_eq!(size_of::<Level>(), 16);
    }
}
