"""Trains a model that says how far a window lies from health.

    python health.py OUT --name NAME --version VERSION --deployment LINE.toml DATA...

DATA is of healthy time, captured or archived (data.py says how). The window that
the model is fed is the one that LINE.toml configures. OUT gets model.onnx, its
golden vectors and model.toml; LINE.toml gets the feature list of its detector,
between its markers. No labels are used, and the same data make the same files.

The model is a Gaussian with a shrunk covariance (Ledoit and Wolf): its output
`score` is the squared Mahalanobis distance by the number of features, so 1 is
usual. It has three sizes of matrix and nothing that a runtime could lack.
"""

import argparse
import json
import pathlib
import sys
import tomllib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.covariance import LedoitWolf

import data

INPUT = "input"
# Windows of which fewer make no covariance.
WINDOWS_MIN = 100
BEGIN, END = "# trained: begin\n", "# trained: end\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path, nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--deployment", type=pathlib.Path, required=True)
    parser.add_argument("--window", default="window", help="the window plugin in it")
    parser.add_argument("--column", action="append", default=[], metavar="COLUMN=RECORD",
                        help="what a column of the archives is called in readings")
    parser.add_argument("--rows", type=int, help="of each archive, only the first so many")
    parser.add_argument("--licenses", help="SPDX expression, for model.toml")
    parser.add_argument("--origin", help="where the data are from, for model.toml")
    return parser.parse_args()


def fit(table):
    """Mean, scale, and a square root of the precision of what is scaled by them."""
    mean, scale = table.mean(axis=0), table.std(axis=0)
    if not (scale > 0).all():
        sys.exit("a feature never changes: nothing can be learned of it")
    fitted = LedoitWolf().fit((table - mean) / scale)
    # The sign and order of eigenvectors are a matter of taste; of this they are not.
    return mean, scale, np.linalg.cholesky(fitted.precision_)


def graph(mean, scale, root):
    """The network; only operators that every runtime has."""
    count = len(mean)
    f32 = lambda name, array: numpy_helper.from_array(np.asarray(array, np.float32), name)
    nodes = [
        helper.make_node("Sub", [INPUT, "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "root"], ["white"]),
        helper.make_node("Mul", ["white", "white"], ["squares"]),
        helper.make_node("MatMul", ["squares", "parts"], ["score"]),
    ]
    weights = [
        f32("mean", mean[None]), f32("scale", 1 / scale[None]), f32("root", root),
        f32("parts", np.full((count, 1), 1 / count)),
    ]
    value = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
    made = helper.make_graph(nodes, "health", [value(INPUT, count)], [value("score", 1)], weights)
    model = helper.make_model(
        made, producer_name="selvedge", opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def score(rows, mean, scale, root):
    white = (rows.astype(np.float32).astype(float) - mean) / scale @ root
    return (white**2).mean(axis=1)


def golden(row, answer):
    tensor = lambda name, values: {"name": name, "dimensions": [1, len(values)], "values": values}
    return json.dumps({
        "inputs": [tensor(INPUT, [float(value) for value in np.float32(row)])],
        "outputs": [tensor("score", [float(answer)])],
        "tolerance": 1e-3,
    }, indent=1) + "\n"


def manifest(args, names, goldens):
    text = lambda value: json.dumps(value, ensure_ascii=False)
    lines = [
        f"name = {text(args.name)}",
        f"version = {text(args.version)}",
        'description = "How far a window lies from health; 1 is usual"',
    ]
    lines += [f"{key} = {text(value)}" for key, value in
              [("licenses", args.licenses), ("origin", args.origin)] if value]
    lines += [
        f"golden = {text(goldens)}",
        "", "[model]", 'file = "model.onnx"',
        "", "[run]", "threads = 1",
        "", "[[inputs]]", f"name = {text(INPUT)}", f"shape = [1, {len(names)}]",
        "", "[[outputs]]", 'name = "score"', "shape = [1, 1]",
        "", "[metadata]", f"features = {text(json.dumps(names))}",
    ]
    return "\n".join(lines) + "\n"


def write_features(path, names, mean, scale):
    """Replaces the detector's feature list, between its markers."""
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{path}: no `{BEGIN.strip()}` and `{END.strip()}`: its features stay")
        return
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    lines = [
        f'  {{ name = "{name}", mean = {m:.6g}, std = {s:.6g} }},\n'
        for name, m, s in zip(names, mean.tolist(), scale.tolist())
    ]
    path.write_text(before + BEGIN + "features = [\n" + "".join(lines) + "]\n" + END + after)


def main():
    args = arguments()
    document = tomllib.loads(args.deployment.read_text())
    window = document["plugins"][args.window]["config"]
    names, table = data.read(args.data, data.Reading(
        window, INPUT, args.rows, dict(pair.split("=", 1) for pair in args.column)))
    if len(table) < WINDOWS_MIN:
        sys.exit(f"{len(table)} windows are too few to learn from: {WINDOWS_MIN} at least")
    mean, scale, root = fit(table)
    scores = score(table, mean, scale, root)

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph(mean, scale, root))
    # One usual window, the least usual one, and one that is far out.
    order = np.argsort(scores, kind="stable")
    rows = {"usual": table[order[len(order) // 2]], "unusual": table[order[-1]],
            "far": mean + 10 * scale}
    for name, row in rows.items():
        answer = score(row[None], mean, scale, root)[0]
        (args.out / f"{name}.golden.json").write_text(golden(row, answer))
    goldens = [f"{name}.golden.json" for name in rows]
    (args.out / "model.toml").write_text(manifest(args, names, goldens))
    write_features(args.deployment, names, mean, scale)
    print(f"{len(table)} windows of {len(names)} features; scores: "
          f"median {np.median(scores):.3g}, largest {scores.max():.3g}")


if __name__ == "__main__":
    try:
        main()
    except (data.Unreadable, data.features.Unsupported, OSError, KeyError) as error:
        sys.exit(f"health.py: {type(error).__name__}: {error}")
