//! What the operator configures, and whether it makes sense.
//!
//! What belongs to the model (its labels, how it wants its pictures) comes from
//! the model unless it is given here.

use serde::Deserialize;

/// The plugin's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model that tells what a frame shows: its name in the deployment.
    pub model: String,
    /// Its input; needed only where it has several.
    #[serde(default)]
    pub input: Option<String>,
    /// Its output with one score for each label; needed only where it has several.
    #[serde(default)]
    pub output: Option<String>,
    /// What its scores stand for, in order: 1 to 1,024 names. Unless given, the
    /// model's metadata `labels`.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// How it wants its pictures. What is not given comes from the model's metadata
    /// `image`.
    #[serde(default)]
    pub image: Image,
    /// Whether its scores are turned into probabilities here. Unless given: if the
    /// model's metadata `scores` is `logits`.
    #[serde(default)]
    pub softmax: Option<bool>,
    /// Likeliest labels in a message; 1 to 16.
    #[serde(default = "default_top")]
    pub top: u32,
    /// A frame whose best score is below has no label.
    #[serde(default)]
    pub score_min: f32,
    /// Which frames are reported.
    #[serde(default)]
    pub publish: Publish,
    /// Cameras remembered; 1 to 65,536. One more displaces the one unheard of for
    /// longest.
    #[serde(default = "default_devices_max")]
    pub devices_max: u32,
    /// Bounds of one frame.
    #[serde(default)]
    pub frame: Bounds,
}

/// How a model wants its pictures; also the form of its metadata `image`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// In which order numbers come. Unless given, from the input's shape.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Which colour comes first; red unless given.
    #[serde(default)]
    pub colours: Option<Colours>,
    /// What a pixel, 0 to 255, is multiplied by first; 1/255 unless given.
    #[serde(default)]
    pub scale: Option<f32>,
    /// What is then subtracted, for each colour in the model's order; 0 unless given.
    #[serde(default)]
    pub mean: Option<Vec<f32>>,
    /// What it is then divided by, likewise; 1 unless given.
    #[serde(default)]
    pub std: Option<Vec<f32>>,
    /// How a frame of other proportions is made to fit; `crop` unless given.
    #[serde(default)]
    pub fit: Option<Fit>,
}

/// The order of the numbers of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[n, colour, row, column]`.
    Nchw,
    /// `[n, row, column, colour]`.
    Nhwc,
}

/// The order of the colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colours {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// How a frame of other proportions than the model's is made to fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Only its middle is seen.
    #[default]
    Crop,
    /// All of it is seen, stretched.
    Stretch,
}

/// Which frames are reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// Every one.
    #[default]
    All,
    /// Those with another label than the camera's last; kept for later subscribers.
    Changes,
}

/// Bounds of one frame, which hold before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Pixels in a row; 1 to 4,096.
    pub width_max: u16,
    /// Rows; 1 to 4,096.
    pub height_max: u16,
    /// Bytes of the JPEG; 1 to 16 MiB. The bus has a bound of its own.
    pub bytes_max: u32,
    /// Whether frames in several scans are taken: they cost three times the memory
    /// and up to 16 times the time.
    pub progressive: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            width_max: 1_280,
            height_max: 960,
            bytes_max: 1 << 20,
            progressive: false,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A number is out of its bounds.
    #[error("`{field}` is {value}, but must be {min} to {max}")]
    OutOfBounds {
        /// Which.
        field: &'static str,
        /// What it is.
        value: f64,
        /// Least.
        min: f64,
        /// Most.
        max: f64,
    },
}

impl Config {
    /// Whether everything is within its bounds.
    ///
    /// # Errors
    /// Names the first thing that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let frame = &self.frame;
        bound("top", self.top.into(), 1.0, 16.0)?;
        bound("score_min", self.score_min.into(), f64::MIN, f64::MAX)?;
        bound("devices_max", self.devices_max.into(), 1.0, 65_536.0)?;
        bound("frame.width_max", frame.width_max.into(), 1.0, 4_096.0)?;
        bound("frame.height_max", frame.height_max.into(), 1.0, 4_096.0)?;
        let bytes_max = f64::from(16_u32 << 20);
        bound("frame.bytes_max", frame.bytes_max.into(), 1.0, bytes_max)
    }
}

fn bound(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        field,
        value,
        min,
        max,
    })
}

fn default_top() -> u32 {
    3
}

fn default_devices_max() -> u32 {
    256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(changes: &str) -> Result<Config, String> {
        let text = format!(r#"{{"model":"m"{changes}}}"#);
        let config: Config = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_model_alone_is_enough() {
        let config = parse("").unwrap();
        assert_eq!((config.top, config.publish), (3, Publish::All));
        assert_eq!(config.frame, Bounds::default());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for (changes, why) in [
            (r#","top":0"#, "`top` is 0, but must be 1 to 16"),
            (r#","top":17"#, "`top` is 17"),
            (r#","devices_max":0"#, "`devices_max` is 0"),
            (r#","frame":{"width_max":0}"#, "`frame.width_max` is 0"),
            (
                r#","frame":{"height_max":5000}"#,
                "`frame.height_max` is 5000",
            ),
            (
                r#","frame":{"bytes_max":99999999}"#,
                "`frame.bytes_max` is 99999999",
            ),
            (r#","frame":{"widht_max":1}"#, "unknown field `widht_max`"),
            (r#","image":{"layout":"chw"}"#, "unknown variant `chw`"),
            (r#","lables":[]"#, "unknown field `lables`"),
        ] {
            let error = parse(changes).unwrap_err();
            assert!(error.contains(why), "{changes}: {error}");
        }
    }
}
