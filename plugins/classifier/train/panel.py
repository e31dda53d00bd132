"""Draws what a camera in front of an instrument panel sees.

    panel.frame(seed) -> (JPEG bytes, label)

A gauge with a red zone and an alarm lamp, as one of LABELS. The seed decides
everything: where things stand, their colours, the light, the lens, the sensor's
noise, the camera's compression. Nothing else does.
"""

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

LABELS = ["normal", "high", "alarm-lamp", "blocked-view"]

# Drawn larger and scaled down, so that a needle of one pixel has soft edges.
OVERSAMPLE = 2
# Of the scale: a needle so near to the edge of the red zone is never drawn, since
# nobody could say on which side it is.
UNDECIDED = 0.04


def shade(rng, low, high, tint=12):
    grey = rng.uniform(low, high)
    return tuple(int(np.clip(grey + rng.uniform(-tint, tint), 0, 255)) for _ in range(3))


def polar(centre, radius, degrees):
    """A point on a circle; 0 points right, and degrees grow clockwise."""
    angle = math.radians(degrees)
    return centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)


def disc(draw, centre, radius, **colours):
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), **colours)


def gauge(draw, rng, centre, radius, high):
    """A dial, its scale with a red zone at the upper end, and the needle."""
    dark = rng.random() < 0.25
    face = shade(rng, 15, 50) if dark else shade(rng, 190, 250)
    ink = shade(rng, 200, 250) if dark else shade(rng, 5, 60)
    disc(draw, centre, radius * 1.1, fill=shade(rng, 20, 190))
    disc(draw, centre, radius, fill=face)
    tilt = rng.uniform(-10, 10)
    first, sweep = 135 + tilt, rng.uniform(250, 280)
    red_from = rng.uniform(0.65, 0.8)
    x, y = centre
    band = radius * 0.9
    box = (x - band, y - band, x + band, y + band)
    red = (int(rng.uniform(170, 240)), int(rng.uniform(10, 60)), int(rng.uniform(10, 60)))
    width = max(2, int(radius * rng.uniform(0.1, 0.2)))
    draw.arc(box, first + red_from * sweep, first + sweep, fill=red, width=width)
    if rng.random() < 0.5:
        green = (int(rng.uniform(20, 80)), int(rng.uniform(120, 190)), int(rng.uniform(40, 90)))
        draw.arc(box, first, first + rng.uniform(0.4, red_from) * sweep, fill=green, width=width)
    ticks = int(rng.integers(6, 13))
    for tick in range(ticks):
        at = first + sweep * tick / (ticks - 1)
        ends = polar(centre, radius * 0.72, at), polar(centre, radius * 0.9, at)
        draw.line(ends, fill=ink, width=max(1, int(radius * 0.025)))
    value = rng.uniform(red_from + UNDECIDED, 1) if high else rng.uniform(0, red_from - UNDECIDED)
    needle = ink if rng.random() < 0.6 else (int(rng.uniform(150, 220)), 30, 30)
    at = first + value * sweep
    ends = polar(centre, radius * rng.uniform(0.05, 0.25), at + 180), polar(centre, radius * rng.uniform(0.7, 0.88), at)
    draw.line(ends, fill=needle, width=max(2, int(radius * rng.uniform(0.05, 0.09))))
    disc(draw, centre, radius * 0.09, fill=needle)


def lamp(draw, rng, centre, radius, lit):
    disc(draw, centre, radius * 1.3, fill=shade(rng, 30, 150))
    if lit:
        disc(draw, centre, radius, fill=(int(rng.uniform(225, 255)), int(rng.uniform(20, 80)), int(rng.uniform(10, 60))))
        disc(draw, centre, radius * rng.uniform(0.3, 0.6), fill=(255, int(rng.uniform(150, 230)), int(rng.uniform(120, 210))))
    else:
        disc(draw, centre, radius, fill=(int(rng.uniform(50, 110)), int(rng.uniform(8, 40)), int(rng.uniform(8, 40))))


def panel(rng, size, high, lit):
    """The panel itself, without what the camera makes of it."""
    width, height = (side * OVERSAMPLE for side in size)
    image = Image.new("RGB", (width, height), shade(rng, 50, 200, 25))
    draw = ImageDraw.Draw(image)
    side = min(width, height)
    middle = width / 2, height / 2
    for _ in range(rng.integers(0, 5)):
        # Plates, pipes and labels that mean nothing.
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.03, 0.5) * side, rng.uniform(0.03, 0.2) * side
        draw.rectangle((x, y, x + w, y + h), fill=shade(rng, 30, 220, 30))
    radius = side * rng.uniform(0.22, 0.31)
    shift = lambda amount: rng.uniform(-amount, amount) * side
    centre = middle[0] - side * 0.1 + shift(0.06), middle[1] + shift(0.1)
    gauge(draw, rng, centre, radius, high)
    at = centre[0] + radius * 1.1 + side * rng.uniform(0.07, 0.12), centre[1] + shift(0.15)
    lamp(draw, rng, at, side * rng.uniform(0.035, 0.06), lit)
    if lit:
        return glow(image, at, side * rng.uniform(0.1, 0.2))
    return image


def glow(image, centre, radius):
    halo = Image.new("RGB", image.size)
    disc(ImageDraw.Draw(halo), centre, radius * 0.5, fill=(90, 20, 10))
    halo = halo.filter(ImageFilter.BoxBlur(radius * 0.4))
    return Image.fromarray(np.minimum(np.asarray(image, np.uint16) + np.asarray(halo), 255).astype(np.uint8))


def block(rng, image):
    """Something stands before the camera, lies on the lens, or the light is out."""
    kind = rng.integers(0, 3)
    if kind == 0:
        draw = ImageDraw.Draw(image)
        width, height = image.size
        x, y = rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * height
        reach = min(width, height) * rng.uniform(0.45, 0.9)
        corners = int(rng.integers(4, 12))
        outline = [polar((x, y), reach * rng.uniform(0.75, 1.15), 360 * n / corners) for n in range(corners)]
        draw.polygon(outline, fill=shade(rng, 10, 230, 40))
        for _ in range(rng.integers(0, 6)):
            draw.line((*polar((x, y), reach, rng.uniform(0, 360)), x, y), fill=shade(rng, 10, 230, 30), width=int(rng.integers(2, 20)))
        return image
    if kind == 1:
        smeared = np.asarray(image.filter(ImageFilter.BoxBlur(min(image.size) * rng.uniform(0.08, 0.2))), np.float32)
        veil = rng.uniform(0.3, 0.8)
        return Image.fromarray((smeared * (1 - veil) + rng.uniform(80, 230) * veil).astype(np.uint8))
    return Image.fromarray((np.asarray(image, np.float32) * rng.uniform(0, 0.05)).astype(np.uint8))


def camera(rng, image, size):
    """Light from one side, a lens that is not quite sharp, and a noisy sensor."""
    width, height = size
    image = image.resize(size, Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
    pixels = np.asarray(image, np.float32)
    x, y = np.linspace(-1, 1, width)[None, :, None], np.linspace(-1, 1, height)[:, None, None]
    light = 1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y
    colour = rng.uniform(0.9, 1.1, 3)
    pixels = pixels * light * colour * rng.uniform(0.55, 1.15)
    if rng.random() < 0.3:
        # A reflection in the glass.
        spot = ((x - rng.uniform(-0.7, 0.7)) / rng.uniform(0.05, 0.3)) ** 2 + ((y - rng.uniform(-0.7, 0.7)) / rng.uniform(0.05, 0.3)) ** 2
        pixels = pixels + rng.uniform(20, 80) * np.exp(-spot)
    pixels = pixels + rng.normal(0, rng.uniform(1, 8), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def frame(seed, **saving):
    """One frame as JPEG, and its label; `saving` goes to Pillow."""
    rng = np.random.default_rng(seed)
    label = int(rng.integers(0, len(LABELS)))
    size = [(320, 240), (240, 240), (400, 300), (352, 288), (640, 480)][rng.integers(0, 5)]
    high = rng.random() < 0.5 if label >= 2 else label == 1
    lit = rng.random() < 0.5 if label == 3 else label == 2
    image = panel(rng, size, high, lit)
    if label == 3:
        image = block(rng, image)
    image = camera(rng, image, size)
    if "mode" in saving:
        image = image.convert(saving.pop("mode"))
    file = io.BytesIO()
    image.save(file, "JPEG", **({"quality": int(rng.integers(50, 93))} | saving))
    return file.getvalue(), LABELS[label]
