//! What a frame must become for one version of a model, and what comes back.
//!
//! Made of the configuration and of what the model says of itself; every fault in
//! either is found here, when the plugin starts and not with the first frame.

use selvedge_plugin::models::{Description, Dimension, Misfit, Port};

use crate::config::{Colours, Config, Fit, Image, Layout};
use crate::frame::Frame;
use crate::resize::{Part, resize};

/// Pixels on a side of what a model takes.
const SIDE_MAX: u32 = 1_024;
/// Labels of one model, and bytes of one.
const LABELS_MAX: usize = 1_024;
const LABEL_BYTES_MAX: usize = 256;

/// Why the model and the configuration do not fit each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// An input or output that is not there.
    #[error(transparent)]
    Port(#[from] Misfit),
    /// The input is no picture.
    #[error(
        "the input {0} is no picture of 1 or 3 colours and at most {SIDE_MAX} x {SIDE_MAX}: it needs 4 dimensions, the last 3 fixed"
    )]
    Input(String),
    /// The shape allows both.
    #[error("the input {0} does not tell its layout: `image.layout` must")]
    Layout(String),
    /// The metadata cannot be read.
    #[error("the model's metadata `image` does not fit: {0}")]
    Metadata(String),
    /// A number for each colour is needed.
    #[error(
        "`image.{field}` has {found} numbers, but the model takes {colours} colours; they must be finite, and `std` and `scale` not 0"
    )]
    Scale {
        /// Which.
        field: &'static str,
        /// How many.
        found: usize,
        /// How many there should be.
        colours: usize,
    },
    /// Nothing says what the scores stand for.
    #[error("there are no labels: neither `labels` nor the model's metadata has any")]
    NoLabels,
    /// Too many, empty or too long.
    #[error("labels must be 1 to {LABELS_MAX} names of 1 to {LABEL_BYTES_MAX} bytes")]
    Labels,
    /// Another number of labels than of scores.
    #[error("there are {labels} labels, but the output {output} gives {gives}")]
    Output {
        /// How many.
        labels: usize,
        /// Which.
        output: String,
        /// How many it gives.
        gives: u32,
    },
}

/// How to ask one version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its input's name.
    pub input: String,
    /// The input's shape for one frame.
    pub shape: [u32; 4],
    /// Its output's name.
    pub output: String,
    /// What its scores stand for.
    pub labels: Vec<String>,
    /// Whether its scores are turned into probabilities.
    pub softmax: bool,
    width: usize,
    height: usize,
    layout: Layout,
    colours: Colours,
    fit: Fit,
    /// For each colour, in the model's order: what a pixel is multiplied by, and
    /// what is then added.
    scale: Vec<(f32, f32)>,
}

impl Plan {
    /// Fits `config` and the model together.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn new(config: &Config, model: &Description) -> Result<Self, PlanError> {
        let image = merge(&config.image, model)?;
        let input = model.input(config.input.as_deref())?;
        let output = model.output(config.output.as_deref())?;
        let (layout, colours, height, width) = picture(input, image.layout)?;
        let shape = match layout {
            Layout::Nchw => [1, colours, height, width],
            Layout::Nhwc => [1, height, width, colours],
        };
        input.check_f32(&shape)?;
        let labels = match &config.labels {
            Some(labels) => labels.clone(),
            None => model.labels()?.ok_or(PlanError::NoLabels)?,
        };
        check_labels(&labels, output)?;
        Ok(Self {
            input: input.name.clone(),
            shape,
            output: output.name.clone(),
            labels,
            softmax: config
                .softmax
                .unwrap_or_else(|| model.metadata("scores") == Some("logits")),
            width: width as usize,
            height: height as usize,
            layout,
            colours: image.colours.unwrap_or_default(),
            fit: image.fit.unwrap_or_default(),
            scale: scale(&image, colours as usize)?,
        })
    }

    /// The input that `frame` becomes, in the order of [`Self::shape`].
    pub fn prepare(&self, frame: &Frame) -> Vec<f32> {
        let part = match self.fit {
            Fit::Crop => Part::middle(frame, self.width, self.height),
            Fit::Stretch => Part::whole(frame),
        };
        let pixels = resize(frame, part, self.width, self.height);
        let colours = self.scale.len();
        let value = |pixel: &[f32], colour: usize, (factor, offset): (f32, f32)| {
            let value = match (pixel, colours) {
                ([grey], _) => *grey,
                // As JPEG itself weighs them (ITU-T T.871 section 7).
                ([r, g, b], 1) => 0.299 * r + 0.587 * g + 0.114 * b,
                (pixel, _) => {
                    let place = match self.colours {
                        Colours::Rgb => colour,
                        Colours::Bgr => 2_usize.saturating_sub(colour),
                    };
                    pixel.get(place).copied().unwrap_or_default()
                }
            };
            (value + 0.5).floor() * factor + offset
        };
        let scale = self.scale.iter().copied().enumerate();
        let pixels = pixels.chunks_exact(frame.channels);
        match self.layout {
            Layout::Nhwc => pixels
                .flat_map(|pixel| scale.clone().map(move |(c, s)| value(pixel, c, s)))
                .collect(),
            Layout::Nchw => scale
                .flat_map(|(c, s)| pixels.clone().map(move |pixel| value(pixel, c, s)))
                .collect(),
        }
    }
}

/// What the operator says of pictures, and for the rest the model.
fn merge(own: &Image, model: &Description) -> Result<Image, PlanError> {
    let own = own.clone();
    let Some(text) = model.metadata("image") else {
        return Ok(own);
    };
    let image: Image =
        serde_json::from_str(text).map_err(|error| PlanError::Metadata(error.to_string()))?;
    Ok(Image {
        layout: own.layout.or(image.layout),
        colours: own.colours.or(image.colours),
        scale: own.scale.or(image.scale),
        mean: own.mean.or(image.mean),
        std: own.std.or(image.std),
        fit: own.fit.or(image.fit),
    })
}

/// Layout, colours, height and width of the pictures that `input` takes.
fn picture(input: &Port, layout: Option<Layout>) -> Result<(Layout, u32, u32, u32), PlanError> {
    let bad = || PlanError::Input(input.to_string());
    let &[
        _,
        Dimension::Fixed(a),
        Dimension::Fixed(b),
        Dimension::Fixed(c),
    ] = input.dimensions.as_slice()
    else {
        return Err(bad());
    };
    let layout = match (layout, is_colours(a), is_colours(c)) {
        (Some(layout), ..) => layout,
        (None, true, false) => Layout::Nchw,
        (None, false, true) => Layout::Nhwc,
        (None, true, true) => return Err(PlanError::Layout(input.to_string())),
        (None, false, false) => return Err(bad()),
    };
    let (colours, height, width) = match layout {
        Layout::Nchw => (a, b, c),
        Layout::Nhwc => (c, a, b),
    };
    let sides = 1..=SIDE_MAX;
    if !is_colours(colours) || !sides.contains(&height) || !sides.contains(&width) {
        return Err(bad());
    }
    Ok((layout, colours, height, width))
}

fn is_colours(size: u32) -> bool {
    size == 1 || size == 3
}

fn check_labels(labels: &[String], output: &Port) -> Result<(), PlanError> {
    let good = |label: &String| (1..=LABEL_BYTES_MAX).contains(&label.len());
    if !(1..=LABELS_MAX).contains(&labels.len()) || !labels.iter().all(good) {
        return Err(PlanError::Labels);
    }
    // An output whose size shows only in a run is judged there.
    match output.dimensions.last() {
        Some(Dimension::Fixed(gives)) if usize::try_from(*gives) != Ok(labels.len()) => {
            Err(PlanError::Output {
                labels: labels.len(),
                output: output.to_string(),
                gives: *gives,
            })
        }
        _ => Ok(()),
    }
}

/// For each colour: `(pixel * scale - mean) / std` as a factor and a summand.
fn scale(image: &Image, colours: usize) -> Result<Vec<(f32, f32)>, PlanError> {
    let numbers = |field, given: &Option<Vec<f32>>, default: f32| {
        let numbers = given.clone().unwrap_or_else(|| vec![default; colours]);
        let found = numbers.len();
        if found == colours && numbers.iter().all(|number| number.is_finite()) {
            return Ok(numbers);
        }
        Err(PlanError::Scale {
            field,
            found,
            colours,
        })
    };
    let mean = numbers("mean", &image.mean, 0.0)?;
    let std = numbers("std", &image.std, 1.0)?;
    let scale = image.scale.unwrap_or(1.0 / 255.0);
    for (field, bad) in [("std", std.contains(&0.0)), ("scale", !scale.is_normal())] {
        if bad {
            let found = std.len();
            return Err(PlanError::Scale {
                field,
                found,
                colours,
            });
        }
    }
    let pairs = mean.iter().zip(&std);
    Ok(pairs
        .map(|(mean, std)| (scale / std, -mean / std))
        .collect())
}

#[cfg(test)]
pub(crate) mod tests;
