//! OpenVINO's own form: a description in XML and a file of weights.
//!
//! The library's parser is only shown the plain XML that its makers' tools write: no
//! document types, no entities, no depth, and constants that lie within the weights.

mod xml;

use openvino::{ElementType, InferenceError, Node, Shape, Tensor};

use self::xml::{Event, Reader, Tag};
use super::errors::{Said, not_loaded};
use super::onnx::{Declared, UNSTOPPABLE};
use crate::inference::shown::shown;
use crate::inference::{InferenceLimits, LoadError, ModelSource, Port};
use crate::spec::BackendKind;

/// Bytes of a description.
const XML_BYTES_MAX: usize = 64 << 20;
/// What the library can tell us of a tensor's numbers: another name could be of a
/// type that its interface has no number for.
const TYPES: [&str; 27] = [
    "boolean",
    "bf16",
    "f16",
    "f32",
    "f64",
    "i4",
    "i8",
    "i16",
    "i32",
    "i64",
    "u1",
    "u2",
    "u3",
    "u4",
    "u6",
    "u8",
    "u16",
    "u32",
    "u64",
    "nf4",
    "f8e4m3",
    "f8e5m2",
    "f4e2m1",
    "f8e8m0",
    "string",
    "dynamic",
    "undefined",
];
/// Attributes that name such a type.
const TYPED: [&str; 4] = [
    "element_type",
    "destination_type",
    "output_type",
    "index_element_type",
];
/// Layers that keep what one run gave for the next, which is another caller's.
const STATEFUL: [&str; 2] = ["ReadValue", "Assign"];

/// Refuses what is not to reach the library.
pub(super) fn vet(xml: &[u8], weights: &[u8], limits: &InferenceLimits) -> Result<(), LoadError> {
    let (bytes, max) = (xml.len().max(weights.len()), limits.model_bytes_max.get());
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    if bytes > max {
        return Err(LoadError::TooLarge { bytes, max });
    }
    if xml.len() > XML_BYTES_MAX {
        let max = u64::try_from(XML_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(LoadError::TooLarge { bytes, max });
    }
    let text = std::str::from_utf8(xml).map_err(|source| LoadError::Malformed {
        source: source.into(),
    })?;
    let weights = u64::try_from(weights.len()).unwrap_or(u64::MAX);
    let mut layers = 0_u32;
    let mut first = true;
    let mut reader = Reader::new(text);
    while let Some(event) = reader.next().map_err(malformed)? {
        let Event::Start(tag) = event else { continue };
        if first && tag.name != "net" {
            return Err(malformed("it does not begin with `net`"));
        }
        first = false;
        if tag.name == "layer" {
            layers = layers.saturating_add(1);
            let max = limits.model_operators_max.get();
            if layers > max {
                return Err(LoadError::TooManyOperators { max });
            }
            layer(&tag)?;
        }
        data(&tag, weights)?;
    }
    if layers == 0 {
        return Err(malformed("it has no layers"));
    }
    Ok(())
}

fn layer(tag: &Tag<'_>) -> Result<(), LoadError> {
    let attribute = |name| tag.attribute(name).unwrap_or_default();
    let (kind, version) = (attribute("type"), attribute("version"));
    // The library reads entities, and looks types up in any case.
    if !kind
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(malformed("the type of a layer is not a plain name"));
    }
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    if STATEFUL.into_iter().any(is) {
        return Err(malformed("it keeps a state from one run to the next"));
    }
    if is(UNSTOPPABLE) {
        return Err(LoadError::UnsupportedOperator {
            operator: shown(kind),
            backend: BackendKind::Openvino,
        });
    }
    let number = version
        .strip_prefix("type_relaxed_")
        .unwrap_or(version)
        .strip_prefix("opset");
    let plain = number.is_some_and(|number| {
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    if plain {
        return Ok(());
    }
    Err(LoadError::CustomOperator {
        domain: shown(version),
        operator: shown(kind),
    })
}

/// Constants are where they are said to be, and types are known ones.
fn data(tag: &Tag<'_>, weights: u64) -> Result<(), LoadError> {
    let typed = TYPED.iter().filter_map(|name| tag.attribute(name));
    if let Some(unknown) = typed.into_iter().find(|kind| !TYPES.contains(kind)) {
        return Err(LoadError::UnsupportedKind {
            port: shown(tag.name),
            kind: shown(unknown),
        });
    }
    if tag.name != "data" {
        return Ok(());
    }
    let (offset, size) = (tag.attribute("offset"), tag.attribute("size"));
    let (Some(offset), Some(size)) = (offset, size) else {
        return match (offset, size) {
            (Some(_), None) => Err(malformed("a constant has no size")),
            // Other layers have sizes of their own.
            _ => Ok(()),
        };
    };
    let end = number(offset).zip(number(size));
    let end = end.and_then(|(offset, size)| offset.checked_add(size));
    if end.is_none_or(|end| end > weights) {
        return Err(malformed("a constant lies outside the weights"));
    }
    Ok(())
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The weights as the library takes them; none if there are none.
pub(super) fn tensor(weights: &[u8]) -> Result<Option<Tensor>, InferenceError> {
    if weights.is_empty() {
        return Ok(None);
    }
    let bytes = i64::try_from(weights.len()).unwrap_or(i64::MAX);
    let mut tensor = Tensor::new(ElementType::U8, &Shape::new(&[bytes])?)?;
    let to = tensor.get_raw_data_mut()?;
    if to.len() == weights.len() {
        to.copy_from_slice(weights);
    }
    Ok(Some(tensor))
}

/// The names that were promised, if any were: the description may have several for
/// each port.
pub(super) fn declared(source: &ModelSource) -> Option<(Vec<Declared>, Vec<Declared>)> {
    let promised = source.promised.as_ref()?;
    let of = |ports: &[Port]| {
        let usable = |port: &&Port| !port.name.contains('\0');
        let declared = |port: &Port| Declared {
            name: port.name.clone(),
            kind: None,
            shape: Some(port.shape.clone()),
        };
        ports.iter().filter(usable).map(declared).collect()
    };
    Some((of(&promised.inputs), of(&promised.outputs)))
}

/// Names as the library says them.
pub(super) fn named(
    count: Result<usize, InferenceError>,
    port: impl Fn(usize) -> Result<Node, InferenceError>,
) -> Result<Vec<Declared>, LoadError> {
    let name = |at| {
        let name = port(at).and_then(|port| port.get_name());
        let name = name.map_err(not_loaded)?;
        Ok(Declared {
            name: name.into(),
            kind: None,
            shape: None,
        })
    };
    (0..count.map_err(not_loaded)?).map(name).collect()
}

fn malformed(what: &str) -> LoadError {
    LoadError::Malformed {
        source: Said::of(what).into(),
    }
}

#[cfg(test)]
mod tests;
