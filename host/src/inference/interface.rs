//! What a model takes and gives: names, kinds of numbers, and shapes of which some
//! dimensions are decided by each run.
//!
//! Compared here with what was promised; whether a run's tensors fit is the business
//! of [`super::inputs`].

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::errors::LoadError;
use super::shown::shown;
use super::tensor::TensorKind;

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Interface {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Port {
    /// Its name.
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What its numbers are.
    pub kind: TensorKind,
    /// Empty for a single number, which is also taken as `[1]`.
    pub shape: Vec<Dim>,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Dim {
    /// Always this many.
    Fixed(u32),
    /// Decided by each run; the same for all dimensions of this name.
    #[serde(serialize_with = "text")]
    Named(#[schemars(with = "String")] Arc<str>),
    /// Decided by each run.
    Any,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
            Self::Any => f.write_str("any"),
        }
    }
}

impl Interface {
    /// Whether `found` is what was promised: the same names, kinds and ranks, and
    /// where a size is promised, that size. Names of dimensions do not count.
    pub(super) fn check(&self, found: &Self) -> Result<(), LoadError> {
        let differs = |promised: &[Port], found: &[Port]| {
            promised.len() != found.len()
                || promised
                    .iter()
                    .any(|port| !found.iter().any(|found| port.is_met_by(found)))
        };
        let both = [
            ("inputs", &self.inputs, &found.inputs),
            ("outputs", &self.outputs, &found.outputs),
        ];
        for (which, promised, found) in both {
            if differs(promised, found) {
                let text = |ports: &[Port]| {
                    let texts: Vec<_> = ports.iter().take(16).map(Port::to_string).collect();
                    texts.join(", ")
                };
                let what = format!("{which} {} instead of {}", text(found), text(promised));
                return Err(LoadError::NotAsPromised { what });
            }
        }
        Ok(())
    }
}

impl Port {
    fn is_met_by(&self, found: &Self) -> bool {
        let same = |(promised, found): (&Dim, &Dim)| match (promised, found) {
            (Dim::Fixed(promised), Dim::Fixed(found)) => promised == found,
            (Dim::Fixed(_), _) | (_, Dim::Fixed(_)) => false,
            _ => true,
        };
        self.name == found.name
            && self.kind == found.kind
            && self.shape.len() == found.shape.len()
            && self.shape.iter().zip(&found.shape).all(same)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = shown(&self.name);
        let shape: Vec<_> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "`{name}` {}[{}]", self.kind, shape.join(", "))
    }
}
