"""Trains the panel model and writes what the host needs of it.

    python train.py WORK MODEL

WORK keeps frames and checkpoints, so that a run that was stopped goes on. MODEL is
plugins/classifier/model. Seeds below TRAIN teach, those from HELD_OUT on judge.
"""

import multiprocessing
import pathlib
import pickle
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import export
import network
import panel
import prepare

TRAIN, HELD_OUT, JUDGED = 8_000, 1_000_000, 2_000
EPOCHS, BATCH, RATE, DECAY, SMOOTHING = 12, 64, 3e-3, 1e-4, 0.05


def one(seed):
    jpeg, label = panel.frame(seed)
    return prepare.square(jpeg), panel.LABELS.index(label)


def frames(path, seeds):
    """The prepared frames of `seeds`, drawn once and kept."""
    if not path.exists():
        with multiprocessing.get_context("spawn").Pool() as pool:
            drawn = pool.map(one, seeds, chunksize=64)
        np.savez(path, x=np.array([x for x, _ in drawn]), y=np.array([y for _, y in drawn]))
    kept = np.load(path)
    return kept["x"], kept["y"]


def loss(params, state, x, y):
    logits, state = network.forward(params, state, x, True)
    soft = y * (1 - SMOOTHING) + SMOOTHING / y.shape[1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * soft, axis=1)), state


@jax.jit
def step(carry, x, y, rate):
    """One step of Adam with decoupled weight decay."""
    params, state, first, second, n = carry
    (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params, state, x, y)
    n = n + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    update = lambda p, m, v: p - rate * ((m / (1 - 0.9**n)) / (jnp.sqrt(v / (1 - 0.999**n)) + 1e-8) + DECAY * p)
    return (jax.tree.map(update, params, first, second), state, first, second, n), value


def fit(work, x, y, classes):
    params, state = network.start(np.random.default_rng(1), classes)
    zeros = jax.tree.map(np.zeros_like, params)
    carry, begun = (params, state, zeros, zeros, np.float32(0)), 0
    checkpoint = work / "checkpoint.pickle"
    if checkpoint.exists():
        carry, begun = pickle.loads(checkpoint.read_bytes())
    steps = len(x) // BATCH
    targets = np.eye(classes, dtype=np.float32)[y]
    for epoch in range(begun, EPOCHS):
        order, since, total = np.random.default_rng(epoch).permutation(len(x)), time.time(), 0.0
        for number in range(steps):
            part = order[number * BATCH : (number + 1) * BATCH]
            rate = RATE * 0.5 * (1 + np.cos(np.pi * (epoch + number / steps) / EPOCHS))
            batch = np.moveaxis(prepare.normalise(x[part]), 1, -1)
            carry, value = step(carry, batch, targets[part], np.float32(rate))
            total += float(value)
        checkpoint.write_bytes(pickle.dumps((jax.tree.map(np.asarray, carry), epoch + 1)))
        print(f"epoch {epoch + 1}: loss {total / steps:.4f}, {time.time() - since:.0f} s", flush=True)
    return jax.tree.map(np.asarray, carry[:2])


def judge(session, x, y):
    """Prints the confusion of frames not learned from: true by row, found by column."""
    scores = np.concatenate([session.run(None, {"image": prepare.normalise(part[None])})[0] for part in x])
    found = scores.argmax(axis=1)
    print(f"held out: {(found == y).mean():.4f} of {len(y)} right")
    for true, name in enumerate(panel.LABELS):
        row = [int(((y == true) & (found == k)).sum()) for k in range(len(panel.LABELS))]
        print(f"  {name:14}", *(f"{count:5}" for count in row))
    return scores


def main(work, folder):
    work.mkdir(parents=True, exist_ok=True)
    x, y = frames(work / "train.npz", range(TRAIN))
    held_x, held_y = frames(work / "held.npz", range(HELD_OUT, HELD_OUT + JUDGED))
    params, state = fit(work, x, y, len(panel.LABELS))
    session = export.write(folder / "panel.onnx", network.folded(params, state), params["head"])
    scores = judge(session, held_x, held_y)
    # The frame the model is least sure of shows a lost digit best.
    top = np.sort(scores, axis=1)
    pick = int(np.argmin(top[:, -1] - top[:, -2]))
    export.golden(folder / "panel.golden.json", prepare.normalise(held_x[pick][None]), session)
    samples(folder / "frames")


def samples(folder):
    """Held-out frames for the tests: one of each label, and other forms of JPEG; and
    what the model sees of the first, which the plugin must see too."""
    folder.mkdir(exist_ok=True)
    keep = lambda name, seed, **saving: (folder / name).write_bytes(panel.frame(seed, **saving)[0])
    wanted = list(panel.LABELS)
    seed = HELD_OUT + JUDGED
    while wanted:
        label = panel.frame(seed)[1]
        if label in wanted:
            keep(f"{label}.jpg", seed)
            wanted.remove(label)
        seed += 1
    while panel.frame(seed)[1] != "alarm-lamp":
        seed += 1
    keep("progressive.jpg", seed, progressive=True)
    keep("grey.jpg", seed, mode="L")
    keep("cmyk.jpg", seed, mode="CMYK")
    seen = prepare.square((folder / "normal.jpg").read_bytes())
    (folder / "normal.rgb").write_bytes(seen.tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
