//! A plugin's configuration: any TOML, handed on as JSON.
//!
//! Dates and times become RFC 3339 text. JSON has no NaN and no infinity, so
//! they are refused rather than turned into something else.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fault::{Collector, FaultKind};

/// All of `table` that JSON can say; the rest is reported.
pub(crate) fn read(table: &DeTable<'_>, faults: &mut Collector<'_>) -> Map<String, Value> {
    let entries = table.iter().filter_map(|(key, value)| {
        let value = json(value, faults)?;
        Some((key.get_ref().to_string(), value))
    });
    entries.collect()
}

/// Recursion is bounded: [`super::source`] refuses deep trees.
fn json(value: &Spanned<DeValue<'_>>, faults: &mut Collector<'_>) -> Option<Value> {
    let number = match value.get_ref() {
        DeValue::String(text) => return Some(Value::String(text.to_string())),
        DeValue::Boolean(truth) => return Some(Value::Bool(*truth)),
        DeValue::Datetime(time) => return Some(Value::String(time.to_string())),
        DeValue::Array(array) => {
            let entries = array.iter().filter_map(|entry| json(entry, faults));
            return Some(Value::Array(entries.collect()));
        }
        DeValue::Table(table) => return Some(Value::Object(read(table, faults))),
        DeValue::Integer(integer) => whole(integer).ok_or_else(|| integer.to_string()),
        DeValue::Float(float) => {
            let text = float.as_str();
            let finite = text.parse().ok().and_then(Number::from_f64);
            finite.ok_or_else(|| text.to_owned())
        }
    };
    match number {
        Ok(number) => Some(Value::Number(number)),
        Err(text) => {
            faults.push(value.span().start, FaultKind::NotJson(text));
            None
        }
    }
}

/// Within 64 bits: larger ones would silently become floats in most readers.
fn whole(integer: &DeInteger<'_>) -> Option<Number> {
    let (text, radix) = (integer.as_str(), integer.radix());
    let signed = i64::from_str_radix(text, radix).map(Number::from);
    let unsigned = || u64::from_str_radix(text, radix).map(Number::from);
    signed.or_else(|_| unsigned()).ok()
}
