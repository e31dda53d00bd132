//! Deserialises one piece of a document, reporting each value that its type
//! refuses instead of the first.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeValue, ValueDeserializer};

use super::fault::{Collector, FaultKind};

/// Reads `piece`; every value that its type refuses is reported and taken out
/// of it. `None` if nothing remains.
pub(crate) fn read<T: DeserializeOwned>(
    piece: &mut Spanned<DeValue<'_>>,
    faults: &mut Collector<'_>,
) -> Option<T> {
    loop {
        let whole = piece.span();
        let error = match T::deserialize(ValueDeserializer::from(piece.clone())) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(whole.clone());
        let reason = FaultKind::Invalid(error.message().to_owned());
        faults.push(span.start, reason);
        // Each turn takes one value out, so this ends.
        if span == whole || faults.is_full() || !remove(piece.get_mut(), &span) {
            return None;
        }
    }
}

/// Takes out the value, or the key with its value, at `span`.
fn remove(value: &mut DeValue<'_>, span: &std::ops::Range<usize>) -> bool {
    match value {
        DeValue::Array(array) => {
            let before = array.len();
            let kept = std::mem::replace(array, DeArray::new()).into_iter();
            *array = kept
                .filter(|entry| entry.span() != *span)
                .collect::<DeArray<'_>>();
            array.len() < before || array.iter_mut().any(|entry| remove(entry.get_mut(), span))
        }
        DeValue::Table(table) => {
            let before = table.len();
            let kept = std::mem::take(table).into_iter();
            *table = kept
                .filter(|(key, entry)| key.span() != *span && entry.span() != *span)
                .collect();
            table.len() < before || {
                let mut entries = table.iter_mut();
                entries.any(|(_, entry)| remove(entry.get_mut(), span))
            }
        }
        _ => false,
    }
}
