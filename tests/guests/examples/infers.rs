//! Feeds models what they do not take, and tells on `seen/<mode>` what the host
//! answered.

use selvedge_plugin::bindings::imports::wasi::nn::errors;
use selvedge_plugin::bindings::imports::wasi::nn::graph::{
    ExecutionTarget, GraphEncoding, load, load_by_name,
};
use selvedge_plugin::bindings::imports::wasi::nn::inference::GraphExecutionContext;
use selvedge_plugin::bindings::imports::wasi::nn::tensor::{Tensor, TensorType};
use selvedge_plugin::models::{Port, describe};
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Infers {
    mode: String,
    /// Opened once, for as long as it lives.
    opened: Option<GraphExecutionContext>,
}

impl Lifecycle for Infers {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode, opened: None })
    }
}

impl Subscriber for Infers {
    /// The message says what the model takes: its input's name, and how many
    /// values.
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        if self.mode == "numbers" {
            return self.number(message);
        }
        let (input, count) = message
            .text()
            .unwrap_or_default()
            .split_once(' ')
            .unwrap_or_default();
        let count: u32 = count.parse().unwrap_or_default();
        let zeros = vec![0; count as usize * 4];
        let (bytes, too_short) = (
            vec![0; count as usize],
            vec![0; (count as usize * 4).saturating_sub(1)],
        );
        let f32 = TensorType::Fp32;
        match self.mode.as_str() {
            "fits" => self.compute(&[(input, &[1, count], f32, &zeros)]),
            "loads-bytes" => {
                let loaded = load(&[vec![0; 64]], GraphEncoding::Onnx, ExecutionTarget::Cpu);
                self.saw(loaded.map(drop))
            }
            "loads-not-granted" => {
                self.saw(load_by_name("secret").map(drop))?;
                self.saw(load_by_name("no-such-model").map(drop))
            }
            "describes" => self.tell(described("granted")),
            "describes-not-granted" => {
                self.tell(described("secret"))?;
                self.tell(described("no-such-model"))
            }
            "wrong-length" => self.compute(&[(input, &[1, count], f32, &too_short)]),
            "wrong-shape" => self.compute(&[(
                input,
                &[count + 1, 1],
                f32,
                &[zeros.as_slice(), &[0; 4]].concat(),
            )]),
            "wrong-type" => self.compute(&[(input, &[1, count], TensorType::U8, &bytes)]),
            "wrong-name" => self.compute(&[("no such input", &[1, count], f32, &zeros)]),
            "no-input" => self.compute(&[]),
            "one-input-twice" => {
                let zeros = (input, [1, count], f32, &zeros);
                self.compute(&[
                    (zeros.0, &zeros.1, f32, zeros.3),
                    (zeros.0, &zeros.1, f32, zeros.3),
                ])
            }
            "overflowing-shape" => self.compute(&[(input, &[u32::MAX; 8], f32, &zeros)]),
            "not-a-number" => {
                let nan = f32::NAN.to_le_bytes().repeat(count as usize);
                self.compute(&[(input, &[1, count], f32, &nan)])
            }
            "hoards-contexts" => {
                let graph = load_by_name("granted").map_err(|error| Error::reject(error.data()))?;
                let contexts = (0..20_000).map(|_| graph.init_execution_context());
                let contexts: Vec<_> = contexts.collect();
                self.saw(contexts.into_iter().try_for_each(|it| it.map(drop)))
            }
            "hoards-tensors" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(Tensor::new(&[1 << 18], f32, &vec![0; 1 << 20]));
                }
            }
            other => Err(Error::reject(format!("no such mode: {other}"))),
        }
    }
}

type Input<'a> = (&'a str, &'a [u32], TensorType, &'a [u8]);

impl Infers {
    fn compute(&self, inputs: &[Input<'_>]) -> Result<(), Error> {
        let run = || {
            let context = load_by_name("granted")?.init_execution_context()?;
            let tensor = |&(name, shape, kind, data): &Input<'_>| {
                (name.to_owned(), Tensor::new(shape, kind, data))
            };
            context.compute(inputs.iter().map(tensor).collect())
        };
        self.saw(run().map(drop))
    }

    /// Feeds `x` the message's number, always through the same context, and tells
    /// `seen/<number>` the model's `y` without it.
    fn number(&mut self, message: &Message) -> Result<(), Error> {
        let text = message.text().unwrap_or_default();
        assert_ne!(text, "trap", "as it was told");
        let number: f32 = text.parse().unwrap_or_default();
        let told = match self.difference(number) {
            Ok(difference) => difference.to_string(),
            Err(error) => format!("{:?}: {}", error.code(), error.data()),
        };
        Ok(publish(Message::new(format!("seen/{text}"), told))?)
    }

    fn difference(&mut self, number: f32) -> Result<f32, errors::Error> {
        let context = match self.opened.take() {
            Some(opened) => self.opened.insert(opened),
            None => {
                let opened = load_by_name("granted")?.init_execution_context()?;
                self.opened.insert(opened)
            }
        };
        let input = Tensor::new(&[1, 1], TensorType::Fp32, &number.to_le_bytes());
        let outputs = context.compute(vec![("x".to_owned(), input)])?;
        let bytes = outputs.first().map(|(_, tensor)| tensor.data());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        Ok(f32::from_le_bytes(bytes.unwrap_or_default()) - number)
    }

    fn saw(&self, outcome: Result<(), errors::Error>) -> Result<(), Error> {
        self.tell(match outcome {
            Ok(()) => "computed".to_owned(),
            Err(error) => format!("{:?}: {}", error.code(), error.data()),
        })
    }

    fn tell(&self, text: String) -> Result<(), Error> {
        Ok(publish(Message::new(format!("seen/{}", self.mode), text))?)
    }
}

/// What the host says of a model.
fn described(name: &str) -> String {
    let shown = |ports: &[Port]| ports.iter().map(Port::to_string).collect::<Vec<_>>();
    match describe(name) {
        Ok(model) => format!("{:?} -> {:?}", shown(&model.inputs), shown(&model.outputs)),
        Err(error) => error.to_string(),
    }
}

export!(Infers: Lifecycle, Subscriber);
