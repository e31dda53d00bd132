"""Writes the network as ONNX, with batch normalisation folded into the weights."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import network
import prepare

# Of each of the 96 x 96 x 3 numbers in the golden vector.
DIGITS = 3
TOLERANCE = 1e-3


def write(path, convolutions, head):
    """Writes the network to `path`; returns a session of ONNX Runtime on it."""
    nodes, weights = [], []

    def constant(name, array):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    x, inputs = "image", {}
    for name, kind, _, out, stride, activated, added in network.layers():
        inputs[name] = x
        w, bias = convolutions[name]
        # To ONNX's order: channels out, channels in, height, width.
        w = {
            "conv": lambda: w.transpose(3, 2, 0, 1),
            "depth": lambda: w.transpose(2, 0, 1)[:, None],
            "point": lambda: w.T[:, :, None, None],
        }[kind]()
        side, pad = (1, 0) if kind == "point" else (3, 1)
        nodes.append(helper.make_node(
            "Conv", [x, constant(f"{name}_w", w), constant(f"{name}_b", bias)], [name],
            kernel_shape=[side, side], strides=[stride, stride], pads=[pad] * 4,
            group=out if kind == "depth" else 1,
        ))
        x = name
        if activated:
            nodes.append(helper.make_node("Clip", [x, "zero", "six"], [f"{name}_clipped"]))
            x = f"{name}_clipped"
        if added:
            nodes.append(helper.make_node("Add", [x, inputs[added]], [f"{name}_added"]))
            x = f"{name}_added"
    constant("zero", 0), constant("six", 6)
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], axis=1))
    gemm = ["flat", constant("head_w", head["w"]), constant("head_b", head["bias"])]
    nodes.append(helper.make_node("Gemm", gemm, ["logits"]))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "panel", [value("image", ["n", 3, prepare.SIDE, prepare.SIDE])],
        [value("logits", ["n", head["bias"].size])], weights,
    )
    model = helper.make_model(
        graph, producer_name="selvedge", opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def golden(path, image, session):
    image = np.round(image, DIGITS).astype(np.float32)
    [logits] = session.run(None, {"image": image})
    tensor = lambda name, array, digits: {
        "name": name, "dimensions": list(array.shape),
        "values": [round(float(v), digits) for v in array.ravel()],
    }
    path.write_text(json.dumps({
        "inputs": [tensor("image", image, DIGITS)],
        "outputs": [tensor("logits", logits, DIGITS + 2)],
        "tolerance": TOLERANCE,
    }, separators=(",", ":")) + "\n")
