//! What a model takes and gives (`selvedge:inference/models`), so that a plugin
//! need not be told in its configuration what the model says itself.
//!
//! A plugin asks at its start, so that a model that does not fit is said there and
//! not at the first message:
//!
//! ```
//! use selvedge_plugin::nn::Model;
//! use selvedge_plugin::{
//!     Config, Error, Lifecycle, Message, Subscriber, export, models, publish, senml,
//! };
//!
//! /// Scores the records of a message, with whatever model it is granted.
//! struct Judge {
//!     model: Model,
//!     input: String,
//!     output: String,
//! }
//!
//! impl Lifecycle for Judge {
//!     fn init(_: &Config) -> Result<Self, String> {
//!         let description = models::describe("health")?;
//!         let input = description.input(None)?;
//!         input.check_f32(&[1, 4])?;
//!         let output = description.output(None)?;
//!         Ok(Self {
//!             model: Model::load("health")?,
//!             input: input.name.clone(),
//!             output: output.name.clone(),
//!         })
//!     }
//! }
//!
//! impl Subscriber for Judge {
//!     fn handle(&mut self, message: &Message) -> Result<(), Error> {
//!         let records = senml::read(message)?;
//!         let numbers = records.iter().filter_map(|record| record.number());
//!         let values: Vec<f32> = numbers.map(|number| number as f32).collect();
//!         let outputs = self.model.compute_f32(&[(&self.input, &[1, 4], &values)])?;
//!         let score = outputs.iter().find(|(name, _)| *name == self.output);
//!         let (_, score) = score.ok_or("the model gave no score")?;
//!         Ok(publish(Message::new("score", format!("{score:?}")))?)
//!     }
//! }
//! export!(Judge: Lifecycle, Subscriber);
//! ```
//!
//! The deployment grants it: `grants.models = ["health"]`. A model that is exchanged
//! later takes and gives the same; only its version, digest and metadata change.

use std::fmt;

use crate::bindings::imports::selvedge::inference::models as wit;

pub use wit::{Description, Dimension, Port};

use crate::nn::TensorType;

/// Why a model is not described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescribeError {
    /// The deployment does not grant it.
    NotGranted {
        /// Its name.
        model: String,
    },
    /// It is granted, but not loaded.
    NotLoaded {
        /// Its name.
        model: String,
    },
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted { model } => {
                write!(f, "the model `{model}` is not granted to this plugin")
            }
            Self::NotLoaded { model } => write!(f, "the model `{model}` is not loaded"),
        }
    }
}

impl std::error::Error for DescribeError {}

impl From<DescribeError> for String {
    fn from(error: DescribeError) -> Self {
        error.to_string()
    }
}

/// What does not fit between a plugin and its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit(String);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

impl From<Misfit> for String {
    fn from(misfit: Misfit) -> Self {
        misfit.0
    }
}

/// Describes the model that the deployment grants under `name`.
///
/// # Errors
/// It is not granted or not loaded.
pub fn describe(name: &str) -> Result<Description, DescribeError> {
    let model = || name.to_owned();
    wit::describe(name).map_err(|error| match error {
        wit::DescribeError::NotGranted => DescribeError::NotGranted { model: model() },
        wit::DescribeError::NotLoaded => DescribeError::NotLoaded { model: model() },
    })
}

impl Description {
    /// The input of that name; without one, the only input.
    ///
    /// # Errors
    /// There is no such input, or there are several to choose from.
    pub fn input(&self, name: Option<&str>) -> Result<&Port, Misfit> {
        find("input", &self.inputs, name)
    }

    /// The output of that name; without one, the only output.
    ///
    /// # Errors
    /// There is no such output, or there are several to choose from.
    pub fn output(&self, name: Option<&str>) -> Result<&Port, Misfit> {
        find("output", &self.outputs, name)
    }

    /// What the model's publisher says under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let mut entries = self.metadata.iter();
        let (_, value) = entries.find(|(name, _)| name == key)?;
        Some(value)
    }

    /// What its classes are called, if its publisher says so.
    ///
    /// # Errors
    /// The metadata has `labels` which is not a JSON array of texts.
    pub fn labels(&self) -> Result<Option<Vec<String>>, Misfit> {
        let Some(text) = self.metadata("labels") else {
            return Ok(None);
        };
        let labels = serde_json::from_str(text).map_err(|error| {
            Misfit(format!(
                "the model's metadata `labels` is no JSON array of texts: {error}"
            ))
        })?;
        Ok(Some(labels))
    }
}

fn find<'a>(what: &str, ports: &'a [Port], name: Option<&str>) -> Result<&'a Port, Misfit> {
    let found = match (name, ports) {
        (Some(name), _) => ports.iter().find(|port| port.name == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names: Vec<_> = ports
            .iter()
            .map(|port| format!("`{}`", port.name))
            .collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        Misfit(match name {
            Some(name) => format!("the model has no {what} `{name}`; its {what}s are {names}"),
            None => format!("`{what}` must say which {what} is meant: the model has {names}"),
        })
    })
}

impl Port {
    /// Whether a tensor of `f32` in this shape fits.
    ///
    /// # Errors
    /// Says what the model takes and what it would get.
    pub fn check_f32(&self, shape: &[u32]) -> Result<(), Misfit> {
        let met = |(dimension, size): (&Dimension, &u32)| match dimension {
            Dimension::Fixed(fixed) => fixed == size,
            Dimension::Named(_) | Dimension::Any => *size > 0,
        };
        let fits =
            self.dimensions.len() == shape.len() && self.dimensions.iter().zip(shape).all(met);
        if fits && self.kind == TensorType::Fp32 {
            return Ok(());
        }
        let shape: Vec<_> = shape.iter().map(u32::to_string).collect();
        Err(Misfit(format!(
            "{self} of the model does not fit FP32 [{}]",
            shape.join(", ")
        )))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TensorType::Fp16 => "FP16",
            TensorType::Fp32 => "FP32",
            TensorType::Fp64 => "FP64",
            TensorType::Bf16 => "BF16",
            TensorType::U8 => "U8",
            TensorType::I32 => "I32",
            TensorType::I64 => "I64",
        };
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Named(name) => name.clone(),
            Dimension::Any => "any".to_owned(),
        };
        let shape: Vec<_> = self.dimensions.iter().map(size).collect();
        write!(f, "`{}` {kind} [{}]", self.name, shape.join(", "))
    }
}

#[cfg(test)]
mod tests;
