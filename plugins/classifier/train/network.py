"""MobileNetV2 at width 0.35 (Sandler et al., 2018, table 2) in JAX, on a CPU.

Inverted residuals with depthwise convolutions and ReLU6. It differs in one
thing: the last convolution has 256 channels instead of 1,280, since there are a
few classes and not a thousand. Convolutions are written as matrix products and
shifted sums, which a CPU trains several times faster than XLA's own.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Expansion, channels at width 0.35 rounded to multiples of 8, repeats, first stride.
BLOCKS = [(1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1)]
STEM, LAST = 16, 256
EPSILON = 1e-3
# Of the running mean and variance that batch normalisation keeps.
MOMENTUM = 0.95


def layers():
    """Each convolution: name, kind, channels in, channels out, stride, activated,
    and the name of the layer whose input is added to its output."""
    found = [("stem", "conv", 3, STEM, 2, True, None)]
    channels = STEM
    for b, (expand, out, repeats, stride) in enumerate(BLOCKS):
        for r in range(repeats):
            name, wide = f"block{b}_{r}", channels * expand
            first = f"{name}_expand" if expand > 1 else f"{name}_depth"
            if expand > 1:
                found.append((first, "point", channels, wide, 1, True, None))
            step = stride if r == 0 else 1
            found.append((f"{name}_depth", "depth", wide, wide, step, True, None))
            added = first if step == 1 and channels == out else None
            found.append((f"{name}_project", "point", wide, out, 1, False, added))
            channels = out
    found.append(("last", "point", channels, LAST, 1, True, None))
    return found


def start(rng, classes):
    """Weights to learn, and the running statistics."""
    params, state = {}, {}
    for name, kind, into, out, *_ in layers():
        shape = {"conv": (3, 3, into, out), "depth": (3, 3, out), "point": (into, out)}[kind]
        fan = {"conv": 9 * into, "depth": 9, "point": into}[kind]
        params[name] = {
            "w": rng.normal(0, np.sqrt(2 / fan), shape).astype(np.float32),
            "scale": np.ones(out, np.float32), "bias": np.zeros(out, np.float32),
        }
        state[name] = {"mean": np.zeros(out, np.float32), "var": np.ones(out, np.float32)}
    params["head"] = {
        "w": rng.normal(0, 0.01, (LAST, classes)).astype(np.float32),
        "bias": np.zeros(classes, np.float32),
    }
    return params, state


def convolve(x, w, kind, stride):
    if kind == "point":
        return x @ w
    size = x.shape[1] // stride
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        padded[:, i : i + stride * size : stride, j : j + stride * size : stride, :]
        for i in range(3) for j in range(3)
    ]
    if kind == "depth":
        return sum(part * w[n // 3, n % 3] for n, part in enumerate(shifted))
    return jnp.concatenate(shifted, axis=-1) @ w.reshape(-1, w.shape[-1])


def forward(params, state, x, training):
    """Logits of a batch, height, width, channel; and the new running statistics."""
    after, inputs = {}, {}
    for name, kind, _, _, stride, activated, added in layers():
        inputs[name] = x
        p, s = params[name], state[name]
        x = convolve(x, p["w"], kind, stride)
        if training:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            keep = lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new
            after[name] = {"mean": keep(s["mean"], mean), "var": keep(s["var"], var)}
        else:
            mean, var = s["mean"], s["var"]
        x = (x - mean) * (jax.lax.rsqrt(var + EPSILON) * p["scale"]) + p["bias"]
        if activated:
            x = jnp.clip(x, 0, 6)
        if added:
            x = x + inputs[added]
    x = x.mean((1, 2))
    return x @ params["head"]["w"] + params["head"]["bias"], after


def folded(params, state):
    """Each convolution with its batch normalisation inside: weights and bias."""
    result = {}
    for name, *_ in layers():
        p, s = params[name], state[name]
        scale = p["scale"] / np.sqrt(s["var"] + EPSILON)
        result[name] = p["w"] * scale, p["bias"] - s["mean"] * scale
    return result
