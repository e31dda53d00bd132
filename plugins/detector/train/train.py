"""Trains the demo's models on the features of its simulated machines.

    python train.py DATA ASSETS

DATA is what `cargo xtask train-data DATA` wrote. ASSETS is host/src/demo/assets:
each machine's model, golden vector and feature list are written there, and
what the models do on runs they have not seen is printed, judged with the
thresholds and the hysteresis of the deployment.

A model is a small dense network: standardise, clip, two layers, softmax. The
scale is part of the model, so that it takes features as they come.
"""

import csv
import json
import pathlib
import sys
import tomllib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Runs with smaller seeds teach, the others judge.
SEEDS_TRAIN = 150
WINDOW_S = 3.0
HIDDEN = 16
EPOCHS = 60
CLIP = 8.0

# Seconds from the answer until a machine counts as calm again.
SETTLE_S = {"pump": 2.5, "press": 2.0, "oven": 0.5}
FAULT = {"pump": "bearing-wear", "press": "blocked-valve", "oven": "sensor-stuck"}


def load(path):
    with open(path, newline="") as file:
        reader = csv.reader(file)
        names = next(reader)[5:]
        rows = list(reader)
    scenario = np.array([row[0] for row in rows])
    numbers = np.array([[float(cell) for cell in row[1:]] for row in rows])
    if not np.isfinite(numbers).all():
        sys.exit(f"{path}: a feature is missing in a run without gaps")
    seed, onset, answer, end = numbers[:, :4].T
    return names, scenario, seed.astype(int), onset, answer, end, numbers[:, 4:]


def label(machine, labels, scenario, onset, answer, end):
    """The class of each window; -1 where it is neither one thing nor the other."""
    start = end - WINDOW_S
    y = np.full(len(end), -1)
    y[(scenario == "healthy") | (scenario == "reduced")] = 0
    wrong = (scenario == "fault") | (scenario == "stuck")
    y[wrong & (end < onset)] = 0
    # Two thirds of a window are enough to tell.
    shown = start >= onset - WINDOW_S / 3
    fault = scenario == "fault"
    y[fault & shown & (end <= answer)] = labels.index(FAULT[machine])
    y[fault & (start >= answer + SETTLE_S[machine])] = 0
    y[(scenario == "stuck") & shown] = labels.index("sensor-stuck")
    return y


def forward(x, layers):
    w1, b1, w2, b2 = layers
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    logits = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    return hidden, p / p.sum(axis=1, keepdims=True)


def fit(x, y, classes, rng):
    """Adam on cross-entropy, every class weighing the same, with weight decay."""
    inputs = x.shape[1]
    layers = [
        rng.normal(0, np.sqrt(2 / inputs), (inputs, HIDDEN)),
        np.zeros(HIDDEN),
        rng.normal(0, np.sqrt(1 / HIDDEN), (HIDDEN, classes)),
        np.zeros(classes),
    ]
    weight = len(y) / (classes * np.bincount(y, minlength=classes))
    first = [np.zeros_like(layer) for layer in layers]
    second = [np.zeros_like(layer) for layer in layers]
    step = 0
    for epoch in range(EPOCHS):
        rate = 3e-3 * (1 - epoch / EPOCHS) + 1e-4
        order = rng.permutation(len(y))
        for batch in np.array_split(order, max(1, len(y) // 512)):
            xb, yb = x[batch], y[batch]
            hidden, p = forward(xb, layers)
            delta = p * weight[yb][:, None]
            delta[np.arange(len(yb)), yb] -= weight[yb]
            delta /= len(yb)
            back = (delta @ layers[2].T) * (hidden > 0)
            grads = [
                xb.T @ back + 1e-4 * layers[0],
                back.sum(axis=0),
                hidden.T @ delta + 1e-4 * layers[2],
                delta.sum(axis=0),
            ]
            step += 1
            for i, grad in enumerate(grads):
                first[i] = 0.9 * first[i] + 0.1 * grad
                second[i] = 0.999 * second[i] + 0.001 * grad**2
                m = first[i] / (1 - 0.9**step)
                v = second[i] / (1 - 0.999**step)
                layers[i] = layers[i] - rate * m / (np.sqrt(v) + 1e-8)
    return layers


def export(path, machine, mean, std, layers, classes):
    """Writes the network; only operators that every runtime has."""
    f32 = lambda name, array: numpy_helper.from_array(np.asarray(array, np.float32), name)
    w1, b1, w2, b2 = layers
    nodes = [
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], ["clipped"]),
        helper.make_node("Gemm", ["clipped", "w1", "b1"], ["dense"]),
        helper.make_node("Relu", ["dense"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = [
        f32("mean", mean[None]), f32("scale", 1 / std[None]), f32("low", -CLIP), f32("high", CLIP),
        f32("w1", w1), f32("b1", b1), f32("w2", w2), f32("b2", b2),
    ]
    value = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
    graph = helper.make_graph(
        nodes, f"{machine}-health", [value("input", len(mean))],
        [value("probabilities", classes)], weights,
    )
    model = helper.make_model(
        graph, producer_name="selvedge", opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def golden(path, x, p):
    tensor = lambda name, row: {"name": name, "dimensions": [1, len(row)], "values": [float(v) for v in row]}
    path.write_text(json.dumps({
        "inputs": [tensor("input", np.float32(x))],
        "outputs": [tensor("probabilities", np.float32(p))],
        "tolerance": 1e-3,
    }, indent=1) + "\n")


def write_features(path, machine, names, mean, std):
    """Replaces the feature list of the machine's detector, between its markers."""
    begin, end = f"# trained {machine}: begin\n", f"# trained {machine}: end\n"
    before, rest = path.read_text().split(begin)
    _, after = rest.split(end)
    lines = [
        f'  {{ name = "{name}", mean = {m:.6g}, std = {s:.6g} }},\n'
        for name, m, s in zip(names, mean.tolist(), std.tolist())
    ]
    # `6e-05` is a float in TOML, `6` would be an integer: both are numbers to serde.
    path.write_text(before + begin + "features = [\n" + "".join(lines) + "]\n" + end + after)


def changes(p, ends, labels, config):
    """What the detector says of one run: (time, kind), `None` for cleared."""
    enter = config["threshold"]["fixed"]["enter"]
    leave = config["threshold"]["fixed"]["leave"]
    raised, abnormal, normal, said = None, 0, 0, []
    for place, (row, end) in enumerate(zip(p, ends)):
        if place < config["warm_up"]:
            continue
        kind = int(np.argmax(row[1:])) + 1
        if row[kind] >= enter:
            normal = 0
            abnormal = 0 if raised == kind else abnormal + 1
            if abnormal >= config["raise_after"]:
                raised, abnormal = kind, 0
                said.append((end, labels[kind]))
        else:
            abnormal = 0
            normal = normal + 1 if row[kind] < leave else 0
            if raised is not None and normal >= config["clear_after"]:
                raised = None
                said.append((end, None))
    return said


def judge(machine, labels, config, held, p):
    """Prints what the detector would have said on runs not learned from."""
    scenario, seed, onset, answer, end = held
    for name in ["healthy", "reduced", "fault", "stuck"]:
        delays, false, missed, again, uncleared, runs = [], 0, 0, 0, 0, 0
        wanted = {"fault": FAULT[machine], "stuck": "sensor-stuck"}.get(name)
        for number in np.unique(seed):
            rows = (scenario == name) & (seed == number)
            runs += 1
            said = changes(p[rows], end[rows], labels, config)
            at, answered = onset[rows][0], answer[rows][0]
            raised = [(t, kind) for t, kind in said if kind]
            if wanted is None:
                false += len(raised)
                continue
            false += sum(t < at or kind != wanted for t, kind in raised)
            hits = [t - at for t, kind in raised if kind == wanted and t >= at]
            if hits:
                delays.append(hits[0])
                again += len(hits) - 1
            else:
                missed += 1
            if name == "fault" and said and said[-1][1] is not None:
                uncleared += 1
        line = f"  {name:8} {runs} runs, false or wrong {false}"
        if wanted:
            delays = np.array(delays)
            line += f", missed {missed}, raised again {again}"
            line += f", delay median {np.median(delays):.1f} s, max {delays.max():.1f} s"
        if name == "fault":
            line += f", not cleared {uncleared}"
        print(line)


def main(data, assets):
    deployment = tomllib.loads((assets / "demo.toml").read_text())
    for machine in FAULT:
        config = deployment["plugins"][f"detector-{machine}"]["config"]
        labels = config["kinds"]["labels"]
        names, scenario, seed, onset, answer, end, x = load(data / f"{machine}.csv")
        y = label(machine, labels, scenario, onset, answer, end)
        learn = (seed < SEEDS_TRAIN) & (y >= 0)
        healthy = x[learn & (y == 0) & (scenario == "healthy")]
        mean = healthy.mean(axis=0)
        # A fraction that is nearly always 0 in health must not count as extreme
        # at its first point.
        least = np.array([0.1 if name.endswith(".stuck") else 1e-3 for name in names])
        std = np.maximum(healthy.std(axis=0), least)
        scaled = np.clip((x - mean) / std, -CLIP, CLIP)
        layers = fit(scaled[learn], y[learn], len(labels), np.random.default_rng(1))
        _, p = forward(scaled, layers)

        held = seed >= SEEDS_TRAIN
        known = held & (y >= 0)
        print(f"{machine}: {len(names)} features, confusion of {known.sum()} held-out windows")
        for true, name in enumerate(labels):
            found = [int(((y == true) & known & (p.argmax(axis=1) == k)).sum()) for k in range(len(labels))]
            print(f"  {name:14}", *(f"{count:7}" for count in found))
        judge(machine, labels, config, [a[held] for a in (scenario, seed, onset, answer, end)], p[held])

        export(assets / f"{machine}.onnx", machine, mean, std, layers, len(labels))
        # A window in which the model is undecided shows a lost digit best.
        pick = np.flatnonzero(known)[np.argmin(p[known].max(axis=1))]
        golden(assets / f"{machine}.golden.json", x[pick], p[pick])
        write_features(assets / "demo.toml", machine, names, mean, std)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
