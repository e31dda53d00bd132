//! Device identification: function 43/14 (section 6.21).
//!
//! A unit may spread its objects over several answers; [`Collector`] asks on
//! until there is no more, within a bound that a lying unit cannot exceed.

use std::collections::BTreeMap;

use crate::pdu::{AnswerError, Request};

/// Encapsulated interface transport.
pub const FUNCTION: u8 = 43;
/// The MEI type of device identification.
pub const KIND: u8 = 14;

/// Pages asked for at most.
const PAGES_MAX: u32 = 32;
/// Bytes of all objects together.
const BYTES_MAX: usize = 16 * 1024;

/// One answer's part of the identification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Object number and value, as sent.
    pub objects: Vec<(u8, Vec<u8>)>,
    /// The object to ask for next, if there is more.
    pub next: Option<u8>,
}

/// Reads what follows the function code of an answer.
///
/// # Errors
/// It is short, long, or not an identification of `category`.
pub fn decode(rest: &[u8], category: u8, asked: u8) -> Result<Page, AnswerError> {
    let (head, mut list) = rest.split_first_chunk::<6>().ok_or(AnswerError::Length {
        wanted: 7,
        got: rest.len() + 1,
    })?;
    let [kind, got, _conformity, more, next, count] = *head;
    if kind != KIND || got != category {
        return Err(AnswerError::Contradiction);
    }
    let mut objects = Vec::new();
    for _ in 0..count {
        let ([object, length], after) = list
            .split_first_chunk::<2>()
            .ok_or(AnswerError::Contradiction)?;
        let (value, after) = after
            .split_at_checked(usize::from(*length))
            .ok_or(AnswerError::Contradiction)?;
        objects.push((*object, value.to_vec()));
        list = after;
    }
    if !list.is_empty() {
        return Err(AnswerError::Contradiction);
    }
    // A next object that is not further on would be asked for without end.
    let next = (more == 0xff && next > asked).then_some(next);
    Ok(Page { objects, next })
}

/// Gathers the pages of one identification.
#[derive(Debug)]
pub struct Collector {
    category: u8,
    objects: BTreeMap<u8, String>,
    bytes: usize,
    pages: u32,
}

impl Collector {
    /// For one category: 1 basic, 2 regular, 3 extended.
    pub fn new(category: u8) -> Self {
        Self {
            category,
            objects: BTreeMap::new(),
            bytes: 0,
            pages: 0,
        }
    }

    /// What to ask first.
    pub fn first(&self) -> Request {
        Request::Identify {
            category: self.category,
            object: 0,
        }
    }

    /// Takes a page; returns what to ask next, if anything.
    pub fn take(&mut self, page: Page) -> Option<Request> {
        self.pages += 1;
        for (object, value) in page.objects {
            self.bytes += value.len();
            if self.bytes > BYTES_MAX {
                return None;
            }
            let text = String::from_utf8_lossy(&value).into_owned();
            self.objects.insert(object, text);
        }
        if self.pages >= PAGES_MAX {
            return None;
        }
        page.next.map(|object| Request::Identify {
            category: self.category,
            object,
        })
    }

    /// The objects by number; text that is not UTF-8 is repaired.
    pub fn into_objects(self) -> BTreeMap<u8, String> {
        self.objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_gathered_over_pages() {
        let mut collector = Collector::new(1);
        let first = [14, 1, 1, 0xff, 2, 2, 0, 2, b'a', b'b', 1, 1, b'c'];
        let page = decode(&first, 1, 0).unwrap();
        assert_eq!(
            collector.take(page),
            Some(Request::Identify {
                category: 1,
                object: 2
            })
        );
        let page = decode(&[14, 1, 1, 0, 0, 1, 2, 1, b'd'], 1, 2).unwrap();
        assert_eq!(collector.take(page), None);
        let objects: Vec<_> = collector.into_objects().into_values().collect();
        assert_eq!(objects, ["ab", "c", "d"]);
    }

    #[test]
    fn a_page_that_points_back_ends_the_list() {
        let page = decode(&[14, 1, 1, 0xff, 0, 0], 1, 3).unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn an_object_longer_than_its_page_is_refused() {
        let error = decode(&[14, 1, 1, 0, 0, 1, 0, 9, b'a'], 1, 0).unwrap_err();
        assert_eq!(error, AnswerError::Contradiction);
    }

    #[test]
    fn bytes_after_the_last_object_are_refused() {
        let error = decode(&[14, 1, 1, 0, 0, 0, 7], 1, 0).unwrap_err();
        assert_eq!(error, AnswerError::Contradiction);
    }
}
