//! Runs a model as often as a message says, on the same input each time.

use selvedge_plugin::nn::Model;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export};

/// The plugin.
#[derive(Debug)]
pub struct Infer {
    model: Model,
    input: String,
    shape: Vec<u32>,
    values: Vec<f32>,
}

impl Lifecycle for Infer {
    fn init(config: &Config) -> Result<Self, String> {
        let text = |key: &str| config.get(key).ok_or(format!("`{key}` is missing"));
        let sizes = text("shape")?.split(',').map(str::parse);
        let shape: Vec<u32> = sizes
            .collect::<Result<_, _>>()
            .map_err(|_| "`shape` is not numbers")?;
        let count: u32 = shape.iter().product();
        Ok(Self {
            model: Model::load(text("model")?).map_err(|error| error.to_string())?,
            input: text("input")?.to_owned(),
            values: vec![0.5; count as usize],
            shape,
        })
    }
}

impl Subscriber for Infer {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let count: u32 = message
            .text()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        for _ in 0..count {
            let input = (self.input.as_str(), &*self.shape, &*self.values);
            let outputs = self.model.compute_f32(&[input]);
            std::hint::black_box(outputs.map_err(|error| Error::reject(error.to_string()))?);
        }
        Ok(())
    }
}

export!(Infer: Lifecycle, Subscriber);
