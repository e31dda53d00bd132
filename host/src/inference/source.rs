//! A model as it comes: verified, and not yet loaded.
//!
//! All that is known of it and asked of it, in one place. Whether it can be had is
//! found out by loading it.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::golden::Golden;
use super::interface::Interface;
use crate::names::Digest;
use crate::spec::{BackendChoice, RunOptions, Target};

/// In what form a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelFormat {
    /// Open Neural Network Exchange, one file.
    #[default]
    Onnx,
    /// OpenVINO's intermediate representation: a description and its weights.
    OpenvinoIr,
}

/// A model as it is handed in: verified, not yet loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// In what form it is written.
    pub format: ModelFormat,
    /// The model file.
    pub bytes: Bytes,
    /// The weights, for a format that keeps them apart.
    pub weights: Option<Bytes>,
    /// SHA-256 of `bytes`; checked once more.
    pub digest: Digest,
    /// The digest of the artifact that it came in, if it came in one: what stands
    /// for all of its files.
    pub artifact: Option<Digest>,
    /// Which library runs it.
    pub backend: BackendChoice,
    /// Where it may run.
    pub target: Target,
    /// How it is run.
    pub options: RunOptions,
    /// What it must compute to be taken into service.
    pub golden: Vec<Golden>,
    /// The inputs and outputs that it must have, if that was promised.
    pub promised: Option<Interface>,
    /// The version that its publisher gave it; a bare file has none.
    pub version: Option<String>,
    /// What its publisher says of it to plugins, `labels` and the like.
    pub metadata: BTreeMap<String, String>,
}

impl ModelSource {
    /// An ONNX model of which nothing more is known.
    pub fn onnx(bytes: Bytes) -> Self {
        Self {
            format: ModelFormat::Onnx,
            digest: Digest::of(&bytes),
            bytes,
            weights: None,
            artifact: None,
            backend: BackendChoice::Auto,
            target: Target::Cpu,
            options: RunOptions::default(),
            golden: Vec::new(),
            promised: None,
            version: None,
            metadata: BTreeMap::new(),
        }
    }
}
