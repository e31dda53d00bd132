"""Makes of a JPEG frame what the model takes; exactly as the plugin does it.

The largest square in the middle, scaled by area: a pixel is the mean of all that
it covers. `src/resize.rs` does the same, and a test compares them.
"""

import io

import numpy as np
from PIL import Image

SIDE = 96
MEAN = [0.5, 0.5, 0.5]
STD = [0.25, 0.25, 0.25]


def weights(length, side):
    """Row i: how much of each source pixel target pixel i covers; sums to 1."""
    step = length / side
    start = np.arange(side)[:, None] * step
    pixel = np.arange(length)[None, :]
    cover = np.minimum(start + step, pixel + 1) - np.maximum(start, pixel)
    return np.clip(cover, 0, None) / step


def square(jpeg):
    """The frame's middle, SIDE by SIDE, RGB from 0 to 255, rounded."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float64)
    height, width, _ = pixels.shape
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    pixels = pixels[top : top + side, left : left + side]
    table = weights(side, SIDE)
    scaled = np.einsum("yr,rcd,xc->yxd", table, pixels, table, optimize=True)
    return np.floor(scaled + 0.5).astype(np.uint8)


def normalise(pixels):
    """As the model takes it: height, width, channel in; channel, height, width out."""
    scaled = (np.asarray(pixels, np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.moveaxis(scaled, -1, -3)
