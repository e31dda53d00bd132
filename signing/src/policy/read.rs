//! From bytes to a policy: every value by itself, so that all faults are found,
//! and no name twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::policy::{Faults, Policy, PolicyError, PolicyFaultKind, Revoked, pointer};
use selvedge_artifact::foreign::cut;

/// Bytes of `policy.json`.
pub(super) const POLICY_BYTES_MAX: usize = 1 << 20;

/// What could be read of a policy, and the faults of the rest.
pub(super) fn read(bytes: &[u8]) -> Result<(Policy, Faults), PolicyError> {
    if bytes.len() > POLICY_BYTES_MAX {
        return Err(PolicyError::TooLarge(bytes.len()));
    }
    let mut faults = Faults::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let whole = Unique {
        path: &mut Vec::new(),
        faults: &mut faults,
    };
    let value = whole
        .deserialize(&mut deserializer)
        .map_err(PolicyError::Malformed)?;
    deserializer.end().map_err(PolicyError::Malformed)?;
    let mut reader = Reader { faults };
    let policy = reader.policy(value);
    Ok((policy, reader.faults))
}

struct Reader {
    faults: Faults,
}

impl Reader {
    fn policy(&mut self, value: Value) -> Policy {
        let mut policy = Policy {
            format: 0,
            ..Policy::default()
        };
        for (name, value) in self.fields("", value) {
            let at = pointer(&[&name]);
            match name.as_str() {
                // A number that was read and is wrong is a fault of the check.
                "v" => policy.format = self.one(&at, value).unwrap_or(super::FORMAT),
                "trust" => policy.trust = self.map(&at, value, Self::one),
                "publishers" => policy.publishers = self.map(&at, value, Self::one),
                "grants" => policy.grants = self.list(&at, value),
                "floor" => policy.floor = self.map(&at, value, Self::one),
                "downgrade" => {
                    policy.downgrade =
                        self.map(&at, value, |reader, at, value| Some(reader.list(at, value)));
                }
                "revoked" => policy.revoked = self.revoked(value),
                _ => self.faults.push(at, PolicyFaultKind::UnknownField),
            }
        }
        policy
    }

    fn revoked(&mut self, value: Value) -> Revoked {
        let mut revoked = Revoked::default();
        for (name, value) in self.fields("/revoked", value) {
            let at = pointer(&["revoked", &name]);
            match name.as_str() {
                "digests" => revoked.digests = self.list(&at, value),
                "publishers" => revoked.publishers = self.map(&at, value, Self::one),
                _ => self.faults.push(at, PolicyFaultKind::UnknownField),
            }
        }
        revoked
    }

    fn one<T: DeserializeOwned>(&mut self, at: &str, value: Value) -> Option<T> {
        let malformed = |error: serde_json::Error| {
            let kind = PolicyFaultKind::Malformed(cut(&error.to_string()));
            self.faults.push(at.to_owned(), kind);
        };
        serde_json::from_value(value).map_err(malformed).ok()
    }

    fn fields(&mut self, at: &str, value: Value) -> Map<String, Value> {
        self.one(at, value).unwrap_or_default()
    }

    fn map<K: DeserializeOwned + Ord, V>(
        &mut self,
        at: &str,
        value: Value,
        each: impl Fn(&mut Self, &str, Value) -> Option<V>,
    ) -> BTreeMap<K, V> {
        let mut map = BTreeMap::new();
        for (name, value) in self.fields(at, value) {
            let at = format!("{at}{}", pointer(&[&name]));
            let key = self.one(&at, Value::String(name));
            let value = each(self, &at, value);
            map.extend(key.zip(value));
        }
        map
    }

    fn list<T: DeserializeOwned, C: FromIterator<T>>(&mut self, at: &str, value: Value) -> C {
        let values: Vec<Value> = self.one(at, value).unwrap_or_default();
        let values = values.into_iter().enumerate();
        values
            .filter_map(|(index, value)| self.one(&format!("{at}/{index}"), value))
            .collect()
    }
}

/// Reads any JSON, and finds the names that stand twice in an object: RFC 8259
/// leaves open which of them counts, and two readers could disagree.
struct Unique<'a> {
    path: &'a mut Vec<String>,
    faults: &'a mut Faults,
}

impl Unique<'_> {
    fn again(&mut self) -> Unique<'_> {
        Unique {
            path: self.path,
            faults: self.faults,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            self.path.push(values.len().to_string());
            let value = seq.next_element_seed(self.again())?;
            self.path.pop();
            match value {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.path.push(name.clone());
            let value = map.next_value_seed(self.again())?;
            if fields.insert(name, value).is_some() {
                let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
                let at = pointer(&path);
                self.faults.push(at, PolicyFaultKind::Duplicate);
            }
            self.path.pop();
        }
        Ok(Value::Object(fields))
    }
}
