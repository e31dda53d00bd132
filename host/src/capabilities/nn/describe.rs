//! `selvedge:inference/models`: what a model takes and gives, for the guests that
//! are granted it.
//!
//! A guest learns of no model that it may not run, not even that there is one.
//! What is told is bounded; what a publisher says of a model is passed on as it is.

use std::collections::BTreeMap;

use wasmtime::component::Linker;

use self::bindings::selvedge::inference::models;
pub(super) use self::models::{DescribeError, Description, Dimension};
use super::{HasNn, NnView};
use crate::inference::{Dim, Model, Port};

/// Entries of metadata in one description, and bytes of all their names and values.
const METADATA_ENTRIES_MAX: usize = 64;
const METADATA_BYTES_MAX: usize = 64 << 10;
/// Characters of a dimension's name, and of a version: they are compared and shown,
/// no more.
const NAME_CHARS_MAX: usize = 64;

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../wit/deps/nn", "../wit/inference"],
        inline: "
            package selvedge:host;
            world describes {
                import selvedge:inference/models@0.1.0;
            }
        ",
        world: "selvedge:host/describes",
        imports: { default: trappable },
        with: { "wasi:nn": super::super::bindings::wasi::nn },
    });
}

/// Adds `selvedge:inference/models` to the linker.
pub(super) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> NnView<'_>,
) -> wasmtime::Result<()> {
    models::add_to_linker::<T, HasNn>(linker, get)
}

impl models::Host for NnView<'_> {
    fn describe(&mut self, name: String) -> wasmtime::Result<Result<Description, DescribeError>> {
        let Some(granted) = self.granted(&name) else {
            return Ok(Err(DescribeError::NotGranted));
        };
        let described = match self.ctx.models.get(&granted) {
            Some(served) => Ok(describe(&served.current())),
            None => Err(DescribeError::NotLoaded),
        };
        Ok(described)
    }
}

fn describe(model: &Model) -> Description {
    Description {
        inputs: model.inputs().iter().map(port).collect(),
        outputs: model.outputs().iter().map(port).collect(),
        version: model.version().map(cut),
        digest: model.digest().to_string(),
        metadata: fitting(model.metadata()),
    }
}

fn port(port: &Port) -> models::Port {
    let dimension = |dim: &Dim| match dim {
        Dim::Fixed(size) => Dimension::Fixed(*size),
        Dim::Named(name) => Dimension::Named(cut(name)),
        Dim::Any => Dimension::Any,
    };
    models::Port {
        name: port.name.to_string(),
        kind: port.kind.into(),
        dimensions: port.shape.iter().map(dimension).collect(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

/// The entries that fit, by order of names.
fn fitting(metadata: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut bytes = 0_usize;
    let mut fits = |(name, value): &(&String, &String)| {
        let with = bytes.saturating_add(name.len()).saturating_add(value.len());
        let fits = with <= METADATA_BYTES_MAX;
        if fits {
            bytes = with;
        }
        fits
    };
    let entries = metadata
        .iter()
        .filter(|entry| fits(entry))
        .take(METADATA_ENTRIES_MAX);
    entries
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
