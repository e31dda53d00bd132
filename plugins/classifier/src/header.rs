//! What a JPEG says of itself, read before anything is decoded or allocated.
//!
//! Walks the markers of ITU-T T.81 once, from the first to the last byte, and
//! refuses with a reason what would cost more than the configuration allows or
//! what the decoder does not do. It does not look at the picture's data: that is
//! the decoder's business.

use crate::config::Bounds;

/// Scans of one frame: encoders write 10 for a progressive one. Each costs the
/// time of walking over all blocks, however few bytes it has.
const SCANS_MAX: u32 = 16;
/// Segments before and between the scans, metadata included.
const SEGMENTS_MAX: u32 = 1_024;

const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// Why a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than are taken.
    #[error("the frame has {bytes} bytes, more than `bytes_max`, {max}")]
    TooLong {
        /// It has.
        bytes: usize,
        /// The most.
        max: u32,
    },
    /// Something else than a JPEG.
    #[error("the frame is not a JPEG: it does not begin with its start marker")]
    NotJpeg,
    /// The end marker is missing.
    #[error("the frame is cut off: its end marker is missing")]
    CutOff,
    /// Markers that make no sense.
    #[error("the frame is damaged: {0}")]
    Damaged(&'static str),
    /// Wider or higher than is taken.
    #[error(
        "the frame is {width} x {height}, larger than `width_max` x `height_max`, {width_max} x {height_max}"
    )]
    TooLarge {
        /// It is.
        width: u16,
        /// It is.
        height: u16,
        /// The most.
        width_max: u16,
        /// The most.
        height_max: u16,
    },
    /// A kind of JPEG that the decoder does not do.
    #[error("the frame is {0}, which is not decoded here")]
    Kind(&'static str),
    /// Progressive, or in several scans, without leave.
    #[error("the frame is progressive or in several scans, which `progressive` does not allow")]
    Progressive,
    /// More scans than any encoder writes.
    #[error("the frame has more than {SCANS_MAX} scans")]
    Scans,
    /// The decoder gave it up.
    #[error("the frame cannot be decoded: {0}")]
    Decode(String),
}

/// What is known of a frame before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: u16,
    pub(crate) height: u16,
    /// One number a pixel instead of three.
    pub(crate) grey: bool,
}

/// Reads the markers of `jpeg` and holds them against `bounds`.
pub(crate) fn read(jpeg: &[u8], bounds: &Bounds) -> Result<Header, FrameError> {
    if jpeg.len() > bounds.bytes_max as usize {
        let (bytes, max) = (jpeg.len(), bounds.bytes_max);
        return Err(FrameError::TooLong { bytes, max });
    }
    let Some([0xFF, START_OF_IMAGE]) = jpeg.get(..2) else {
        return Err(FrameError::NotJpeg);
    };
    let (mut at, mut header, mut scans) = (2, None, 0);
    for _ in 0..SEGMENTS_MAX {
        let (marker, after) = marker(jpeg, at)?;
        match marker {
            END_OF_IMAGE => return finish(header, scans),
            // Restart markers and those without a segment belong to a scan's data.
            0xD0..=START_OF_IMAGE | 0x01 => {
                return Err(FrameError::Damaged("a marker is out of place"));
            }
            _ => {}
        }
        let segment = segment(jpeg, after)?;
        at = after + 2 + segment.len();
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                if header.is_some() {
                    return Err(FrameError::Damaged("it has two frame headers"));
                }
                header = Some(frame(marker, segment, bounds)?);
            }
            START_OF_SCAN => {
                if header.is_none() {
                    return Err(FrameError::Damaged("a scan comes before the frame header"));
                }
                scans += 1;
                if scans > 1 && !bounds.progressive {
                    return Err(FrameError::Progressive);
                }
                if scans > SCANS_MAX {
                    return Err(FrameError::Scans);
                }
                at = skip_scan(jpeg, at)?;
            }
            _ => {}
        }
    }
    Err(FrameError::Damaged("it has too many segments"))
}

fn finish(header: Option<Header>, scans: u32) -> Result<Header, FrameError> {
    match header {
        Some(header) if scans > 0 => Ok(header),
        _ => Err(FrameError::Damaged("it has no picture")),
    }
}

/// The marker at `at`, which any number of 0xFF may precede, and what follows it.
fn marker(jpeg: &[u8], at: usize) -> Result<(u8, usize), FrameError> {
    let rest = jpeg.get(at..).unwrap_or_default();
    let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
    match rest.get(fill) {
        None => Err(FrameError::CutOff),
        Some(0) => Err(FrameError::Damaged("a marker is zero")),
        Some(_) if fill == 0 => Err(FrameError::Damaged("there are bytes between segments")),
        Some(marker) => Ok((*marker, at + fill + 1)),
    }
}

/// The content of the segment whose length is at `at`.
fn segment(jpeg: &[u8], at: usize) -> Result<&[u8], FrameError> {
    let length = jpeg.get(at..).and_then(<[u8]>::first_chunk);
    let length = u16::from_be_bytes(*length.ok_or(FrameError::CutOff)?);
    let length = usize::from(length)
        .checked_sub(2)
        .ok_or(FrameError::Damaged("a segment is shorter than its length"))?;
    let content = jpeg.get(at + 2..at + 2 + length);
    content.ok_or(FrameError::CutOff)
}

/// Where the scan's data that begins at `at` ends: at the next marker that is
/// neither a stuffed byte nor a restart.
fn skip_scan(jpeg: &[u8], mut at: usize) -> Result<usize, FrameError> {
    loop {
        let rest = jpeg.get(at..).unwrap_or_default();
        let found = rest.iter().position(|byte| *byte == 0xFF);
        at += found.ok_or(FrameError::CutOff)?;
        match jpeg.get(at + 1) {
            None => return Err(FrameError::CutOff),
            Some(0 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(_) => return Ok(at),
        }
    }
}

/// Reads a frame header (section B.2.2).
fn frame(marker: u8, segment: &[u8], bounds: &Bounds) -> Result<Header, FrameError> {
    match marker {
        0xC0 | 0xC1 => {}
        0xC2 if bounds.progressive => {}
        0xC2 => return Err(FrameError::Progressive),
        0xC3 | 0xC7 | 0xCB | 0xCF => return Err(FrameError::Kind("a lossless JPEG")),
        0xC5 | 0xC6 => return Err(FrameError::Kind("a hierarchical JPEG")),
        _ => return Err(FrameError::Kind("an arithmetically coded JPEG")),
    }
    let short = FrameError::Damaged("its frame header is cut off");
    let Some((&[precision, h1, h0, w1, w0, components], rest)) = segment.split_first_chunk() else {
        return Err(short);
    };
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    if precision != 8 {
        return Err(FrameError::Kind("not of 8 bits a colour"));
    }
    if width == 0 || height == 0 {
        return Err(FrameError::Damaged("its width or height is zero"));
    }
    let (width_max, height_max) = (bounds.width_max, bounds.height_max);
    if width > width_max || height > height_max {
        return Err(FrameError::TooLarge {
            width,
            height,
            width_max,
            height_max,
        });
    }
    let grey = match components {
        1 => true,
        3 => false,
        4 => return Err(FrameError::Kind("in four colours (CMYK)")),
        _ => return Err(FrameError::Kind("neither grey nor in three colours")),
    };
    if rest.len() < 3 * usize::from(components) {
        return Err(short);
    }
    Ok(Header {
        width,
        height,
        grey,
    })
}

#[cfg(test)]
mod tests;
