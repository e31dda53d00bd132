//! Deserialises one piece of a document, reporting each value that its type
//! refuses instead of the first.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Error, ValueDeserializer};

use super::fault::{Collector, FaultKind};

/// Reads `piece`; every value that its type refuses is reported and taken out
/// of it. `None` if nothing remains.
pub(crate) fn read<T: DeserializeOwned>(
    piece: &mut Spanned<DeValue<'_>>,
    faults: &mut Collector<'_>,
) -> Option<T> {
    // Each turn takes at least one value out, so this ends.
    loop {
        let error = match attempt::<T>(piece) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let whole = piece.span();
        let span = error.span().unwrap_or(whole.clone());
        let sifted = probe(piece, &span).is_some_and(|mut probe| {
            array_at(piece, &span).is_some_and(|array| sift::<T>(array, &mut probe, &span, faults))
        });
        if !sifted {
            faults.push(span.start, invalid(&error));
            if span == whole || !remove(piece.get_mut(), &span) {
                return None;
            }
        }
        if faults.is_full() {
            return None;
        }
    }
}

fn attempt<T: DeserializeOwned>(piece: &Spanned<DeValue<'_>>) -> Result<T, Error> {
    T::deserialize(ValueDeserializer::from(piece.clone()))
}

fn invalid(error: &Error) -> FaultKind {
    FaultKind::Invalid(error.message().to_owned())
}

/// Takes the refused entries out of `array`, which is at `span`; says whether
/// there were any.
///
/// The `toml` crate gives an error of an entry's own type the place of the whole
/// array, so each entry is tried by itself.
fn sift<'i, T: DeserializeOwned>(
    array: &mut DeArray<'i>,
    probe: &mut Spanned<DeValue<'i>>,
    span: &Range<usize>,
    faults: &mut Collector<'_>,
) -> bool {
    let before = array.len();
    let entries = std::mem::replace(array, DeArray::new()).into_iter();
    let accepted = entries.filter(|entry| {
        if faults.is_full() {
            return true;
        }
        if let Some(alone) = array_at(probe, span) {
            *alone = std::iter::once(entry.clone()).collect();
        }
        match attempt::<T>(probe) {
            Err(error) if error.span().is_none_or(|place| place == *span) => {
                faults.push(entry.span().start, invalid(&error));
                false
            }
            _ => true,
        }
    });
    *array = accepted.collect();
    array.len() < before
}

/// A copy of `value` with nothing in it but the way to the array at `span`.
fn probe<'i>(value: &Spanned<DeValue<'i>>, span: &Range<usize>) -> Option<Spanned<DeValue<'i>>> {
    let inner = match value.get_ref() {
        DeValue::Array(_) if value.span() == *span => DeValue::Array(DeArray::new()),
        DeValue::Array(array) => {
            let entry = array.iter().find_map(|entry| probe(entry, span))?;
            DeValue::Array(std::iter::once(entry).collect())
        }
        DeValue::Table(table) => {
            let mut entries = table.iter();
            let entry =
                entries.find_map(|(key, entry)| Some((key.clone(), probe(entry, span)?)))?;
            DeValue::Table(DeTable::from_iter([entry]))
        }
        _ => return None,
    };
    Some(Spanned::new(value.span(), inner))
}

fn array_at<'a, 'i>(
    value: &'a mut Spanned<DeValue<'i>>,
    span: &Range<usize>,
) -> Option<&'a mut DeArray<'i>> {
    let here = value.span() == *span;
    match value.get_mut() {
        DeValue::Array(array) => {
            if here {
                return Some(array);
            }
            array.iter_mut().find_map(|entry| array_at(entry, span))
        }
        DeValue::Table(table) => {
            let mut entries = table.iter_mut();
            entries.find_map(|(_, entry)| array_at(entry, span))
        }
        _ => None,
    }
}

/// Takes out the value, or the key with its value, at `span`.
fn remove(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Array(array) => {
            let before = array.len();
            let entries = std::mem::replace(array, DeArray::new()).into_iter();
            *array = entries.filter(|entry| entry.span() != *span).collect();
            array.len() < before || array.iter_mut().any(|entry| remove(entry.get_mut(), span))
        }
        DeValue::Table(table) => {
            let before = table.len();
            let entries = std::mem::take(table).into_iter();
            *table = entries
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
