//! Compares a TOML tree with the JSON Schema of the type it is read into.
//!
//! Deserialising stops at the first mistake; this finds all of them, and takes
//! what is wrong out of the tree so that the rest can still be judged. What a
//! schema cannot say is left to the types themselves: see [`super::piece`].

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::fault::{Collector, FaultKind};
use super::place::Places;
use super::suggest;

/// Characters of a foreign value that are quoted.
const QUOTED_CHARS_MAX: usize = 60;

/// One comparison of a tree with a schema.
#[derive(Debug)]
pub(crate) struct Shape<'a, 's> {
    /// The schema with the definitions that others refer to.
    schema: &'a Value,
    faults: &'a mut Collector<'s>,
    places: &'a mut Places,
}

/// Where in the tree the walk is.
struct Step<'p> {
    /// `plugins.modbus.limits`, for looking places up; empty at the root.
    path: &'p str,
    /// `limits`, for messages.
    field: &'p str,
    /// Begin of the key, or of the value where there is no key.
    offset: usize,
}

impl<'a, 's> Shape<'a, 's> {
    pub(crate) fn new(
        schema: &'a Value,
        faults: &'a mut Collector<'s>,
        places: &'a mut Places,
    ) -> Self {
        Self {
            schema,
            faults,
            places,
        }
    }

    /// Reports what does not fit and removes it from `root`.
    pub(crate) fn prune(&mut self, root: &mut DeTable<'_>) {
        let step = Step {
            path: "",
            field: "",
            offset: 0,
        };
        let schema = self.schema;
        self.table(root, schema, &step);
    }

    /// Whether `value` fits, after what does not fit within it is removed.
    fn value(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        schema: &'a Value,
        step: &Step<'_>,
    ) -> bool {
        let schema = resolve(self.schema, schema);
        let offset = value.span().start;
        let Some(expected) = Expected::of(schema) else {
            return true;
        };
        match (value.get_mut(), expected) {
            (DeValue::Table(table), Expected::Object) => {
                self.table(table, schema, step);
                true
            }
            (DeValue::Array(array), Expected::Array) => {
                self.array(array, schema, step);
                true
            }
            (DeValue::String(text), Expected::String) => self.text(text, schema, step, offset),
            (DeValue::Integer(integer), Expected::Integer) => {
                self.integer(integer, schema, step, offset)
            }
            (DeValue::Integer(_) | DeValue::Float(_), Expected::Number) => true,
            (DeValue::Boolean(_), Expected::Boolean) => true,
            (other, expected) => {
                let kind = FaultKind::WrongType {
                    field: step.field.to_owned(),
                    found: type_name(other),
                    expected: expected.name(),
                };
                self.faults.push(offset, kind);
                false
            }
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, schema: &'a Value, step: &Step<'_>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let missing = required(schema).filter(|field| !table.contains_key(*field));
        for field in missing {
            let kind = FaultKind::MissingField(field.to_owned());
            self.faults.push(step.offset, kind);
        }
        let entries = std::mem::take(table).into_iter();
        let fitting = entries.filter_map(|(key, mut value)| {
            let name = key.get_ref().as_ref();
            let Some(schema) = field_schema(schema, properties, name) else {
                let names = properties.into_iter().flat_map(Map::keys);
                let help = suggest::or_list(name, names.map(String::as_str));
                let kind = FaultKind::UnknownField(name.to_owned());
                self.faults.push_with(key.span().start, kind, help);
                return None;
            };
            let offset = match value.get_ref() {
                DeValue::Table(_) => key.span().start,
                _ => value.span().start,
            };
            let path = join(step.path, name);
            self.places.record(path.clone(), offset);
            let inner = Step {
                path: &path,
                field: name,
                offset,
            };
            let fits = self.value(&mut value, schema, &inner);
            fits.then_some((key, value))
        });
        *table = fitting.collect();
    }

    fn array(&mut self, array: &mut DeArray<'_>, schema: &'a Value, step: &Step<'_>) {
        let items = schema.get("items").unwrap_or(&Value::Bool(true));
        let values = std::mem::replace(array, DeArray::new())
            .into_iter()
            .enumerate();
        let fitting = values.filter_map(|(index, mut value)| {
            let offset = value.span().start;
            let path = format!("{}[{index}]", step.path);
            self.places.record(path.clone(), offset);
            let inner = Step {
                path: &path,
                field: step.field,
                offset,
            };
            self.value(&mut value, items, &inner).then_some(value)
        });
        *array = fitting.collect();
    }

    fn text(&mut self, text: &str, schema: &'a Value, step: &Step<'_>, offset: usize) -> bool {
        let allowed = constants(schema);
        if allowed.is_empty() || allowed.contains(&text) {
            return true;
        }
        let kind = FaultKind::UnknownValue {
            field: step.field.to_owned(),
            found: cut(text),
        };
        let help = suggest::or_list(text, allowed.into_iter());
        self.faults.push_with(offset, kind, help);
        false
    }

    fn integer(
        &mut self,
        integer: &DeInteger<'_>,
        schema: &'a Value,
        step: &Step<'_>,
        offset: usize,
    ) -> bool {
        let bounds = Bounds::of(schema);
        // Digits beyond 128 bits are out of every range.
        let found = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        if found.is_some_and(|found| (bounds.min..=bounds.max).contains(&found)) {
            return true;
        }
        let kind = FaultKind::OutOfRange {
            field: step.field.to_owned(),
            found: cut(&integer.to_string()),
            expected: bounds.to_string(),
        };
        self.faults.push(offset, kind);
        false
    }
}

/// Follows references, and `Option` to what it holds: TOML has no null.
fn resolve<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    let optional = schema.get("anyOf").and_then(Value::as_array);
    let some = optional
        .into_iter()
        .flatten()
        .find(|option| option.get("type").and_then(Value::as_str) != Some("null"));
    let schema = some.unwrap_or(schema);
    let pointer = schema.get("$ref").and_then(Value::as_str);
    let target = pointer
        .and_then(|pointer| pointer.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(schema)
}

/// The schema of a table's field, if it may have one of that name.
fn field_schema<'v>(
    table: &'v Value,
    properties: Option<&'v Map<String, Value>>,
    name: &str,
) -> Option<&'v Value> {
    if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
        return Some(schema);
    }
    // A map by name. Its type judges the names.
    let named = table.get("patternProperties").and_then(Value::as_object);
    if let Some(schema) = named.and_then(|named| named.values().next()) {
        return Some(schema);
    }
    match table.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(schema) => Some(schema),
        None => Some(&Value::Bool(true)),
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str)
}

/// The only texts allowed; empty if any is.
fn constants(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let described = schema.get("oneOf").and_then(Value::as_array);
    let described = described.into_iter().flatten();
    let described = described.filter_map(|option| option.get("const")?.as_str());
    listed.chain(described).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn cut(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Expected {
    /// What a schema asks for; `None` if anything will do.
    fn of(schema: &Value) -> Option<Self> {
        let name = match schema.get("type") {
            Some(Value::String(name)) => name.as_str(),
            Some(Value::Array(names)) => {
                let mut names = names.iter().filter_map(Value::as_str);
                names.find(|name| *name != "null")?
            }
            _ if !constants(schema).is_empty() => "string",
            _ => return None,
        };
        match name {
            "object" => Some(Self::Object),
            "array" => Some(Self::Array),
            "string" => Some(Self::String),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Object => "a table",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// What an integer may be, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    min: i128,
    max: i128,
}

impl Bounds {
    fn of(schema: &Value) -> Self {
        // The `toml` crate reads 64 bits, so that is where every range ends.
        let (min, max) = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => (0, u8::MAX.into()),
            Some("uint16") => (0, u16::MAX.into()),
            Some("uint32") => (0, u32::MAX.into()),
            Some("uint64" | "uint") => (0, u64::MAX.into()),
            Some("int32") => (i32::MIN.into(), i32::MAX.into()),
            _ => (i64::MIN.into(), i64::MAX.into()),
        };
        let bound = |name| schema.get(name).and_then(Value::as_i64).map(i128::from);
        Self {
            min: bound("minimum").map_or(min, |bound| bound.max(min)),
            max: bound("maximum").map_or(max, |bound| bound.min(max)),
        }
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}
