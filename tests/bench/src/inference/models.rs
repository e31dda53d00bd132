//! The models that are run: two made here, and the one of the classifier.

use bytes::Bytes;
use selvedge::inference::{Tensor, TensorKind};

use super::onnx::{Onnx, number_attribute, numbers_attribute};
use crate::Outcome;

/// What every input is filled with.
const FILL: f64 = 0.5;
/// The classifier's, relative to this crate.
const PANEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../plugins/classifier/model/panel.onnx"
);

/// A model, how it is fed, and how often for one figure.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Bytes,
    pub(super) input: &'static str,
    pub(super) shape: &'static [u32],
    pub(super) rounds: usize,
    /// Runs in a round.
    pub(super) runs: usize,
    pub(super) size: Size,
}

/// Which bar it is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    /// Between the bars.
    Middle,
    MobileNet,
}

impl Case {
    /// All of them, small ones first.
    pub(super) fn all() -> Outcome<Vec<Self>> {
        let autoencoder = autoencoder();
        Ok(vec![
            Self {
                name: "autoencoder, batch 1",
                bytes: autoencoder.clone(),
                input: "x",
                shape: &[1, 64],
                rounds: 101,
                runs: 200,
                size: Size::Small,
            },
            Self {
                name: "autoencoder, batch 32",
                bytes: autoencoder,
                input: "x",
                shape: &[32, 64],
                rounds: 101,
                runs: 50,
                size: Size::Small,
            },
            Self::panel()?,
            Self {
                name: "MobileNetV2 1.0, 224x224",
                bytes: mobilenet(),
                input: "image",
                shape: &[1, 3, 224, 224],
                rounds: 41,
                runs: 1,
                size: Size::MobileNet,
            },
        ])
    }

    pub(super) fn autoencoder() -> Outcome<Self> {
        let mut all = Self::all()?;
        Ok(all.swap_remove(0))
    }

    pub(super) fn panel() -> Outcome<Self> {
        Ok(Self {
            name: "panel (0.35, 96x96)",
            bytes: fs_err::read(PANEL)?.into(),
            input: "image",
            shape: &[1, 3, 96, 96],
            rounds: 101,
            runs: 2,
            size: Size::Middle,
        })
    }

    /// What it is fed.
    pub(super) fn tensor(&self) -> Outcome<Tensor> {
        let count: u32 = self.shape.iter().product();
        let values = vec![FILL; usize::try_from(count)?];
        Ok(Tensor::of_values(
            self.shape.to_vec(),
            TensorKind::Fp32,
            &values,
        )?)
    }

    /// The dimensions as the guest reads them.
    pub(super) fn dimensions(&self) -> String {
        let sizes: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        sizes.join(",")
    }
}

/// Numbers that look random, the same each time, up to `bound`.
struct Random(u64);

impl Random {
    fn values(&mut self, count: u64, bound: f32) -> Vec<f32> {
        let mut value = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let high = u16::try_from(self.0 >> 48).unwrap_or_default();
            (f32::from(high) / 32_768.0 - 1.0) * bound
        };
        (0..count).map(|_| value()).collect()
    }
}

/// `x [n, 64] -> tanh(x a) b -> y [n, 64]` by way of 16.
pub(super) fn autoencoder() -> Bytes {
    autoencoder_of(1)
}

/// The same with other weights.
pub(super) fn autoencoder_of(seed: u64) -> Bytes {
    let mut random = Random(seed);
    let mut model = Onnx::default();
    model.input("x", &["n", "64"]);
    model.weights("a", &[64, 16], &random.values(64 * 16, 0.2));
    model.weights("b", &[16, 64], &random.values(16 * 64, 0.4));
    model.node("MatMul", &["x", "a"], "wide", &[]);
    model.node("Tanh", &["wide"], "code", &[]);
    model.node("MatMul", &["code", "b"], "y", &[]);
    model.output("y", &["n", "64"]);
    model.build()
}

/// MobileNetV2 at full width for images of 224 by 224, with weights that mean
/// nothing: 3.5 million of them.
fn mobilenet() -> Bytes {
    /// Expansion, channels, blocks, stride of the first.
    const STAGES: [(u64, u64, u64, u64); 7] = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    const CLASSES: u64 = 1_000;
    let mut net = Net {
        model: Onnx::default(),
        random: Random(7),
        layers: 0,
    };
    net.model.input("image", &["1", "3", "224", "224"]);
    net.model.weights("zero", &[], &[0.0]);
    net.model.weights("six", &[], &[6.0]);
    let mut x = net.conv("image", (3, 32), 3, (2, 1));
    x = net.clip(&x);
    let mut channels = 32;
    for (expansion, wide, blocks, first) in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { first } else { 1 };
            x = net.block(&x, (channels, wide), (expansion, stride));
            channels = wide;
        }
    }
    x = net.conv(&x, (channels, 1_280), 1, (1, 1));
    x = net.clip(&x);
    let Net {
        mut model,
        mut random,
        ..
    } = net;
    model.node("GlobalAveragePool", &[&x], "pooled", &[]);
    model.node("Flatten", &["pooled"], "flat", &[]);
    let weights = random.values(1_280 * CLASSES, 0.05);
    model.weights("classes", &[1_280, CLASSES], &weights);
    model.node("MatMul", &["flat", "classes"], "logits", &[]);
    model.output("logits", &["1", "1000"]);
    model.build()
}

/// A network that is being written.
struct Net {
    model: Onnx,
    random: Random,
    layers: u32,
}

impl Net {
    fn name(&mut self) -> String {
        self.layers += 1;
        format!("l{}", self.layers)
    }

    /// A convolution from so many channels to so many, with a bias.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn conv(
        &mut self,
        x: &str,
        (from, to): (u64, u64),
        kernel: u64,
        (stride, groups): (u64, u64),
    ) -> String {
        let y = self.name();
        let (weights, bias) = (format!("{y}.w"), format!("{y}.b"));
        let fan_in = from / groups * kernel * kernel;
        // As large as keeps the numbers of one layer as large as those before it.
        let bound = (6.0 / fan_in as f32).sqrt();
        let values = self.random.values(to * fan_in, bound);
        let shape = [to, from / groups, kernel, kernel];
        self.model.weights(&weights, &shape, &values);
        let values = self.random.values(to, 0.1);
        self.model.weights(&bias, &[to], &values);
        let pad = kernel / 2;
        let attributes = [
            numbers_attribute("kernel_shape", &[kernel, kernel]),
            numbers_attribute("strides", &[stride, stride]),
            numbers_attribute("pads", &[pad, pad, pad, pad]),
            number_attribute("group", groups),
        ];
        let inputs = [x, &weights, &bias];
        self.model.node("Conv", &inputs, &y, &attributes);
        y
    }

    fn clip(&mut self, x: &str) -> String {
        let y = self.name();
        self.model.node("Clip", &[x, "zero", "six"], &y, &[]);
        y
    }

    fn block(
        &mut self,
        x: &str,
        (from, to): (u64, u64),
        (expansion, stride): (u64, u64),
    ) -> String {
        let wide = from * expansion;
        let mut y = x.to_owned();
        if expansion > 1 {
            y = self.conv(&y, (from, wide), 1, (1, 1));
            y = self.clip(&y);
        }
        y = self.conv(&y, (wide, wide), 3, (stride, wide));
        y = self.clip(&y);
        y = self.conv(&y, (wide, to), 1, (1, 1));
        if stride == 1 && from == to {
            let sum = self.name();
            self.model.node("Add", &[x, &y], &sum, &[]);
            return sum;
        }
        y
    }
}
