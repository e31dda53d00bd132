//! A model as its publisher describes it, and as a host runs it.
//!
//! What a manifest says that this host does not understand refuses the model:
//! its publisher meant something by it.

use std::sync::Arc;

use selvedge_artifact::{ModelContents, ModelDimension, ModelFileFormat, ModelPort};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::inference::{
    Dim, Golden, GoldenError, Interface, ModelFormat, ModelSource, Port, TensorKind,
};
use crate::names::Digest;
use crate::spec::RunOptions;

/// Bytes of all golden vectors of a model: numbers in memory are larger than in
/// text, and all are there at once.
const GOLDEN_BYTES_MAX: usize = 32 << 20;

/// Why a host cannot run what a manifest describes.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    #[error("its manifest says `{field}`, which this host does not understand")]
    NotUnderstood {
        field: &'static str,
        source: serde_json::Error,
    },
    #[error("its golden vectors have {bytes} bytes; {GOLDEN_BYTES_MAX} are allowed")]
    GoldenTooLarge { bytes: usize },
    #[error("its golden vector `{file}` cannot be read")]
    Golden { file: String, source: GoldenError },
}

/// What is loaded of `contents`, as its manifest asks for it.
///
/// # Errors
///
/// If the manifest says what this host does not understand, or a golden vector is
/// none.
pub fn source(contents: &ModelContents) -> Result<ModelSource, DescriptionError> {
    let manifest = &contents.manifest;
    let bytes = contents.golden.iter().map(bytes::Bytes::len);
    let bytes = bytes.fold(0, usize::saturating_add);
    if bytes > GOLDEN_BYTES_MAX {
        return Err(DescriptionError::GoldenTooLarge { bytes });
    }
    let golden = manifest.golden.iter().zip(&contents.golden);
    let golden = golden.map(|(file, bytes)| {
        let file = file.clone();
        Golden::parse(bytes).map_err(|source| DescriptionError::Golden { file, source })
    });
    let ports = |ports: &[ModelPort]| ports.iter().map(port).collect::<Result<Vec<_>, _>>();
    let promised = match (manifest.inputs.as_slice(), manifest.outputs.as_slice()) {
        ([], []) => None,
        (inputs, outputs) => Some(Interface {
            inputs: ports(inputs)?,
            outputs: ports(outputs)?,
        }),
    };
    let run = Value::Object(manifest.run.clone());
    Ok(ModelSource {
        format: match manifest.model.format {
            ModelFileFormat::Onnx => ModelFormat::Onnx,
            ModelFileFormat::OpenvinoIr => ModelFormat::OpenvinoIr,
        },
        bytes: contents.model.clone(),
        weights: contents.weights.clone(),
        digest: Digest::of(&contents.model),
        artifact: None,
        backend: word("backend", manifest.backend.as_ref())?,
        target: word("target", manifest.target.as_ref())?,
        options: understood::<RunOptions>("run", run)?,
        golden: golden.collect::<Result<_, _>>()?,
        promised,
        version: Some(manifest.version.to_string()),
        metadata: manifest.metadata.clone(),
    })
}

fn port(port: &ModelPort) -> Result<Port, DescriptionError> {
    let dimension = |dimension: &ModelDimension| match dimension {
        ModelDimension::Fixed(size) => Dim::Fixed(*size),
        ModelDimension::Named(name) if name == "?" => Dim::Any,
        ModelDimension::Named(name) => Dim::Named(Arc::from(name.as_str())),
    };
    Ok(Port {
        name: Arc::from(port.name.as_str()),
        kind: understood::<TensorKind>("kind", Value::String(port.kind.clone()))?,
        shape: port.shape.iter().map(dimension).collect(),
    })
}

fn word<T: DeserializeOwned + Default>(
    field: &'static str,
    word: Option<&String>,
) -> Result<T, DescriptionError> {
    match word {
        Some(word) => understood(field, Value::String(word.clone())),
        None => Ok(T::default()),
    }
}

fn understood<T: DeserializeOwned>(
    field: &'static str,
    value: Value,
) -> Result<T, DescriptionError> {
    let read = serde_json::from_value(value);
    read.map_err(|source| DescriptionError::NotUnderstood { field, source })
}

#[cfg(test)]
mod tests {
    use selvedge_artifact::{ModelContents, ModelManifest};

    use super::{DescriptionError, source};
    use crate::inference::{Dim, TensorKind};
    use crate::spec::{BackendChoice, Target};

    fn contents(more: &str) -> ModelContents {
        let text = format!("name = 'pump'\nversion = '1.0.0'\n{more}\n[model]\nfile = 'm.onnx'\n");
        ModelContents {
            manifest: ModelManifest::parse(text.as_bytes()).unwrap(),
            model: "model".into(),
            weights: None,
            golden: vec!["{}".into()],
            docs: Vec::new(),
        }
    }

    #[test]
    fn a_description_is_read_as_a_host_means_it() {
        let more = "backend = 'tract'\ntarget = 'gpu-preferred'\n\
                    run = { threads = 2, batching = { rows_max = 8, wait_us_max = 100 } }\n\
                    inputs = [{ name = 'x', shape = ['batch', 4, '?'] }]\n\
                    outputs = [{ name = 'y', kind = 'i64' }]\nmetadata = { labels = '[]' }";
        let source = source(&contents(more)).unwrap();
        assert_eq!(source.backend, BackendChoice::Tract);
        assert_eq!(source.target, Target::GpuPreferred);
        assert_eq!(source.options.threads.get(), 2);
        assert!(source.options.batching.is_some());
        let promised = source.promised.unwrap();
        let named = Dim::Named("batch".into());
        assert_eq!(promised.inputs[0].shape, [named, Dim::Fixed(4), Dim::Any]);
        assert_eq!(promised.outputs[0].kind, TensorKind::I64);
        assert_eq!(source.version.as_deref(), Some("1.0.0"));
        assert_eq!(source.metadata["labels"], "[]");
    }

    #[test]
    fn golden_vectors_are_bounded_together() {
        let vectors = "golden = ['a.json', 'b.json']";
        let mut many = contents(vectors);
        many.golden = vec![vec![b' '; 20 << 20].into(); 2];
        let refused = source(&many).unwrap_err();
        let large = matches!(refused, DescriptionError::GoldenTooLarge { .. });
        assert!(large, "{refused}");
    }

    #[test]
    fn what_is_not_understood_refuses_the_model() {
        for (more, field) in [
            ("backend = 'abacus'", "backend"),
            ("target = 'moon'", "target"),
            ("run = { threads = 0 }", "run"),
            ("run = { hurry = true }", "run"),
            (
                "inputs = [{ name = 'x', kind = 'fp4' }]\noutputs = [{ name = 'y' }]",
                "kind",
            ),
        ] {
            let refused = source(&contents(more)).unwrap_err();
            let DescriptionError::NotUnderstood { field: found, .. } = refused else {
                panic!("{refused}");
            };
            assert_eq!(found, field);
        }
        let refused = source(&contents("golden = ['g.json']")).unwrap_err();
        assert!(matches!(refused, DescriptionError::Golden { .. }));
    }
}
