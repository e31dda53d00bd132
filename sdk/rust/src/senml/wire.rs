//! A record as it stands in JSON (section 5), fields unresolved.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Quality, Record, Value, base64};

macro_rules! wire {
    ($($(#[$note:meta])* $field:ident: $type:ty,)*) => {
        #[derive(Debug, Default, Serialize)]
        pub(super) struct Wire {
            $($(#[$note])* #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) $field: Option<$type>,)*
        }

        impl<'de> Visitor<'de> for WireVisitor {
            type Value = Wire;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SenML record")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Wire, M::Error> {
                let mut wire = Wire::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        $(stringify!($field) => {
                            if wire.$field.replace(map.next_value()?).is_some() {
                                return Err(M::Error::duplicate_field(stringify!($field)));
                            }
                        })*
                        // Section 4.4: what ends so must be understood.
                        unknown if unknown.ends_with('_') => {
                            let shown: String = unknown.chars().take(64).collect();
                            let why = format!("`{shown}` must be understood and is not");
                            return Err(M::Error::custom(why));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(wire)
            }
        }
    };
}

struct WireVisitor;

wire! {
    bn: String,
    bt: f64,
    bu: String,
    bv: f64,
    bs: f64,
    bver: u64,
    n: String,
    u: String,
    v: f64,
    vb: bool,
    vs: String,
    vd: String,
    s: f64,
    t: f64,
    ut: f64,
    q: String,
    why: String,
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WireVisitor)
    }
}

impl Wire {
    /// A record that stands for itself.
    pub(super) fn of(record: &Record) -> Self {
        let mut wire = Self {
            n: Some(record.name.clone()),
            u: record.unit.clone(),
            t: Some(record.time),
            ..Self::default()
        };
        match &record.value {
            // JSON has no NaN; a reading that is none says so.
            Value::Number(number) if number.is_finite() => wire.v = Some(*number),
            Value::Number(_) | Value::Missing => {}
            Value::Bool(bool) => wire.vb = Some(*bool),
            Value::Text(text) => wire.vs = Some(text.clone()),
            Value::Data(bytes) => wire.vd = Some(base64::encode(bytes)),
        }
        let (quality, why) = match &record.quality {
            Quality::Good => (None, None),
            Quality::Uncertain(why) => (Some("uncertain"), Some(why.clone())),
            Quality::Bad(why) => (Some("bad"), Some(why.clone())),
        };
        wire.q = quality.map(str::to_owned);
        wire.why = why;
        wire
    }
}
