//! Runs a model as often as a message says, on the same input each time.

use selvedge_plugin::nn::Model;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export};

/// The plugin.
#[derive(Debug)]
pub struct Infer {
    model: Model,
    input: String,
    values: Vec<f32>,
}

impl Lifecycle for Infer {
    fn init(config: &Config) -> Result<Self, String> {
        let text = |key: &str| config.get(key).ok_or(format!("`{key}` is missing"));
        let size: usize = text("size")?.parse().map_err(|_| "`size` is no number")?;
        Ok(Self {
            model: Model::load(text("model")?).map_err(|error| error.to_string())?,
            input: text("input")?.to_owned(),
            values: vec![0.5; size],
        })
    }
}

impl Subscriber for Infer {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let count: u32 = message
            .text()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let size = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        for _ in 0..count {
            let input = (self.input.as_str(), [1, size], self.values.as_slice());
            let outputs = self.model.compute_f32(&[(input.0, &input.1, input.2)]);
            std::hint::black_box(outputs.map_err(|error| Error::reject(error.to_string()))?);
        }
        Ok(())
    }
}

export!(Infer: Lifecycle, Subscriber);
