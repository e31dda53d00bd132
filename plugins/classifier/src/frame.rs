//! From JPEG bytes to pixels, within bounds that hold before decoding.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::config::Bounds;
pub use crate::header::FrameError;
use crate::header::{self, Header};

/// Characters that are passed on of what the decoder says.
const REASON_CHARS_MAX: usize = 160;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Numbers for each pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Row by row, from the top left.
    pub pixels: Vec<u8>,
}

impl Frame {
    /// Decodes `jpeg`, if it is within `bounds`.
    ///
    /// # Errors
    /// It is not a JPEG, larger than allowed, of a kind that is not decoded here, cut
    /// off or damaged. JPEG has no checksum: bytes lost in between may go unnoticed.
    pub fn decode(jpeg: &[u8], bounds: &Bounds) -> Result<Self, FrameError> {
        let Header {
            width,
            height,
            grey,
        } = header::read(jpeg, bounds)?;
        let (channels, colours) = if grey {
            (1, ColorSpace::Luma)
        } else {
            (3, ColorSpace::RGB)
        };
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::from(width))
            .set_max_height(usize::from(height))
            .jpeg_set_out_colorspace(colours);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        let pixels = decoder.decode().map_err(|error| {
            let plain = |c: char| if c.is_control() { ' ' } else { c };
            let text = format!("{error:?}");
            FrameError::Decode(text.chars().take(REASON_CHARS_MAX).map(plain).collect())
        })?;
        let (width, height) = (usize::from(width), usize::from(height));
        if pixels.len() != width * height * channels {
            return Err(FrameError::Damaged("it has another size than it says"));
        }
        Ok(Self {
            width,
            height,
            channels,
            pixels,
        })
    }
}

#[cfg(test)]
mod tests;
