//! Runs the model that a message names on the tensors that it spells out, and tells
//! on `seen/<model>` what came of it, in the same spelling.
//!
//! The first line is the model; each other one a tensor: its name, its type, its
//! dimensions with commas between them, and its bytes as hexadecimal digits.

use selvedge_plugin::bindings::imports::wasi::nn::errors;
use selvedge_plugin::bindings::imports::wasi::nn::graph::load_by_name;
use selvedge_plugin::bindings::imports::wasi::nn::tensor::{Tensor, TensorType};
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Computes;

impl Lifecycle for Computes {
    fn init(_: &Config) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Subscriber for Computes {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let text = message.text().unwrap_or_default();
        let (model, tensors) = text.split_once('\n').unwrap_or((text, ""));
        let inputs: Option<Vec<_>> = tensors.lines().map(tensor).collect();
        let inputs = inputs.ok_or_else(|| Error::reject("this spells no tensor"))?;
        let told = match compute(model, inputs) {
            Ok(lines) => lines.join("\n"),
            Err(error) => format!("{:?}: {}", error.code(), error.data()),
        };
        Ok(publish(Message::new(format!("seen/{model}"), told))?)
    }
}

fn compute(model: &str, inputs: Vec<(String, Tensor)>) -> Result<Vec<String>, errors::Error> {
    let context = load_by_name(model)?.init_execution_context()?;
    let outputs = context.compute(inputs)?;
    let lines = outputs.iter().map(|(name, tensor)| {
        let dimensions: Vec<_> = tensor.dimensions().iter().map(u32::to_string).collect();
        let bytes: Vec<_> = tensor
            .data()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (kind, dimensions) = (word(tensor.ty()), dimensions.join(","));
        format!("{name} {kind} {dimensions} {}", bytes.concat())
    });
    Ok(lines.collect())
}

fn tensor(line: &str) -> Option<(String, Tensor)> {
    let mut words = line.split(' ');
    let (name, kind) = (words.next()?, words.next()?);
    let dimensions = words.next()?.split(',').map(str::parse);
    let dimensions: Vec<u32> = dimensions.collect::<Result<_, _>>().ok()?;
    let digits = words.next()?;
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(byte)
        .collect::<Option<_>>()?;
    let kind = KINDS.iter().find(|(word, _)| *word == kind)?.1;
    Some((name.to_owned(), Tensor::new(&dimensions, kind, &bytes)))
}

const KINDS: [(&str, TensorType); 7] = [
    ("fp16", TensorType::Fp16),
    ("fp32", TensorType::Fp32),
    ("fp64", TensorType::Fp64),
    ("bf16", TensorType::Bf16),
    ("u8", TensorType::U8),
    ("i32", TensorType::I32),
    ("i64", TensorType::I64),
];

fn word(kind: TensorType) -> &'static str {
    let mut kinds = KINDS.iter();
    kinds
        .find(|(_, found)| *found == kind)
        .map_or("?", |(word, _)| word)
}

export!(Computes: Lifecycle, Subscriber);
