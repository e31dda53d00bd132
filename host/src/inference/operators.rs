//! Which operators a model is made of, for people.
//!
//! The file is read, and nothing of it is interpreted: a backend that loads it
//! looks for itself.

use std::collections::BTreeMap;

use prost::Message as _;
use tract_onnx::pb;

use super::errors::LoadError;

/// Kinds of operators that are listed.
const OPERATORS_MAX: usize = 1_000;
/// Graphs within graphs that are looked at.
const DEPTH_MAX: u32 = 100;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// How often each operator stands in an ONNX model, nested graphs included; those
/// that are not ONNX's own with their domain. At most 1,000 kinds.
///
/// # Errors
///
/// If it is not an ONNX file.
pub fn operators(model: &[u8]) -> Result<BTreeMap<String, u64>, LoadError> {
    let model = pb::ModelProto::decode(model).map_err(|source| LoadError::Malformed {
        source: source.into(),
    })?;
    let mut found = BTreeMap::new();
    if let Some(graph) = &model.graph {
        count(graph, 0, &mut found);
    }
    Ok(found)
}

fn count(graph: &pb::GraphProto, depth: u32, found: &mut BTreeMap<String, u64>) {
    if depth > DEPTH_MAX {
        return;
    }
    for node in &graph.node {
        let cut = |text: &str| -> String { text.chars().take(NAME_CHARS_MAX).collect() };
        let name = match node.domain.as_str() {
            "" | "ai.onnx" => cut(&node.op_type),
            domain => format!("{}:{}", cut(domain), cut(&node.op_type)),
        };
        if found.len() < OPERATORS_MAX || found.contains_key(&name) {
            *found.entry(name).or_default() += 1;
        }
        for attribute in &node.attribute {
            let graphs = attribute.g.iter().chain(&attribute.graphs);
            for graph in graphs {
                count(graph, depth + 1, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::operators;

    #[test]
    fn the_operators_of_a_model_are_counted() {
        let model = include_bytes!("../demo/assets/press.onnx");
        let found = operators(model).unwrap();
        assert!(
            !found.is_empty() && found.values().all(|count| *count > 0),
            "{found:?}"
        );
        assert!(operators(b"no model").is_err());
    }
}
