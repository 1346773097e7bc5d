"""Graphs of TensorFlow.js as ONNX, without TensorFlow: the operations of convolutional networks, channels first."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import parse_json

_PLAIN = {"Mul": "Mul", "Add": "Add", "AddV2": "Add", "Relu": "Relu", "Sigmoid": "Sigmoid", "Identity": "Identity"}
_CONVOLUTIONS = ("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")
_OPSET, _IR = 17, 8


def to_onnx(graph: bytes, weights: bytes, outputs: Sequence[str], what: str) -> bytes:
    """Write a TensorFlow.js graph model as an ONNX model.

    The ONNX model has one input "image", (1, 3, height, width) with height and width of any multiple of the network's
    stride, and channels-first outputs; a layer that enlarges by a fixed size becomes one that enlarges by the factor.

    Args:
        graph: The `model.json`.
        weights: The one file of weights that belongs to it.
        outputs: Names of the nodes whose values are wanted.
        what: Kind and name of the file, for messages.

    Raises:
        SiteTwinError: The graph is damaged, or holds an operation or a form of one that is not translated.
    """
    try:
        return _Translation(parse_json(graph, what, "fetch it again"), weights).model(outputs)
    except SiteTwinError:
        raise
    except Exception as error:  # whatever a damaged graph leads to: KeyError, ValueError, RecursionError, ...
        raise SiteTwinError(
            f"{what} is no network that can be translated ({type(error).__name__}: {error}); fetch it again"
        ) from error


class _Translation:
    """One graph on its way into ONNX."""

    def __init__(self, content: Any, weights: bytes) -> None:
        self._nodes = {node["name"]: node for node in content["modelTopology"]["node"]}
        self._weights = _arrays(content["weightsManifest"], weights)
        self._out: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._scale: dict[str, float] = {}  # size of a layer as a share of the image's

    def model(self, outputs: Sequence[str]) -> bytes:
        from onnx import TensorProto, checker, helper

        for name in outputs:
            self._visit(name)
        float_type = TensorProto.FLOAT
        graph = helper.make_graph(
            self._out,
            "network",
            [helper.make_tensor_value_info("image", float_type, [1, 3, "height", "width"])],
            [helper.make_tensor_value_info(name, float_type, [1, None, None, None]) for name in outputs],
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        checker.check_model(model)
        return model.SerializeToString()

    def _visit(self, name: str) -> None:
        """Translate what a node needs, then the node; without recursion, since networks are deep."""
        waiting = [name]
        while waiting:
            current = waiting[-1]
            if current in self._scale or current in self._weights:
                waiting.pop()
                continue
            missing = [i for i in self._inputs(current) if i not in self._scale and i not in self._weights]
            if missing:
                if len(waiting) > len(self._nodes):
                    raise ValueError("its nodes go in a circle")
                waiting.extend(missing)
                continue
            self._translate(current)
            waiting.pop()

    def _inputs(self, name: str) -> list[str]:
        return list(self._nodes[name].get("input", []))

    def _translate(self, name: str) -> None:
        node = self._nodes[name]
        kind, inputs = node["op"], self._inputs(name)
        scales = [self._scale[i] for i in inputs if i in self._scale]
        self._scale[name] = max(scales, default=1.0)
        if kind == "Placeholder":
            self._emit("Identity", ["image"], name)
            size = node["attr"]["shape"]["shape"]["dim"][1]["size"]
            self._placeholder = int(size)
        elif kind in _PLAIN:
            self._emit(_PLAIN[kind], [self._value(i) for i in inputs], name)
        elif kind == "Relu6":
            self._emit("Clip", [inputs[0], self._constant(np.float32(0)), self._constant(np.float32(6))], name)
        elif kind in _CONVOLUTIONS:
            self._convolution(name, node, inputs)
        elif kind == "Mean":
            self._mean(name, node, inputs)
        elif kind == "ConcatV2":
            if int(self._weights[inputs[-1]]) not in (3, -1):
                raise ValueError("it joins layers along another axis than the channels")
            self._emit("Concat", inputs[:-1], name, axis=1)
        elif kind == "ResizeBilinear":
            self._resize(name, node, inputs)
        else:
            raise ValueError(f"it has the operation {str(kind)[:40]}")

    def _convolution(self, name: str, node: Any, inputs: list[str]) -> None:
        attributes = node["attr"]
        strides = [int(v) for v in attributes["strides"]["list"]["i"]][1:3]
        dilations = [int(v) for v in attributes["dilations"]["list"]["i"]][1:3]
        kernel = self._weights[inputs[1]]
        padded = _text(attributes["padding"]) == "SAME" or kernel.shape[:2] == (1, 1)
        if _text(attributes["data_format"]) != "NHWC" or not padded:
            raise ValueError("a convolution is not of the form NHWC and SAME")
        if "Depthwise" in node["op"]:
            rows, columns, channels, times = kernel.shape
            kernel, groups = kernel.reshape(rows, columns, 1, channels * times), channels
        else:
            groups = 1
        fused = [_text(s) for s in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
        if fused not in ([], ["BiasAdd"], ["BiasAdd", "Relu"]):
            raise ValueError(f"a convolution is fused with {fused}")
        values = [inputs[0], self._constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))]
        values += [self._constant(self._weights[inputs[2]])] if fused else []
        target = f"{name}/sum" if "Relu" in fused else name
        self._emit("Conv", values, target, strides=strides, dilations=dilations, group=groups, auto_pad="SAME_UPPER")
        if "Relu" in fused:
            self._emit("Relu", [target], name)
        self._scale[name] = self._scale[inputs[0]] / strides[0]

    def _mean(self, name: str, node: Any, inputs: list[str]) -> None:
        axes = self._weights[inputs[1]].ravel().tolist()
        if sorted(axes) != [1, 2] or not node["attr"]["keep_dims"].get("b"):
            raise ValueError("it takes a mean over other axes than height and width")
        self._emit("GlobalAveragePool", [inputs[0]], name)
        self._scale[name] = 0.0  # one value for the whole image fits every layer

    def _resize(self, name: str, node: Any, inputs: list[str]) -> None:
        if node["attr"]["align_corners"].get("b") or node["attr"].get("half_pixel_centers", {}).get("b"):
            raise ValueError("it enlarges a layer by another rule than TensorFlow's first")
        size = self._weights[inputs[1]].ravel()
        before = self._scale[inputs[0]] * self._placeholder
        factor = float(size[0]) / before
        if size[0] != size[1] or factor != round(factor):
            raise ValueError("it enlarges a layer by no whole number")
        scales = self._constant(np.array([1, 1, factor, factor], np.float32))
        self._emit("Resize", [inputs[0], "", scales], name, mode="linear", coordinate_transformation_mode="asymmetric")
        self._scale[name] = self._scale[inputs[0]] * factor

    def _value(self, name: str) -> str:
        """A layer, or a constant as it stands beside layers with channels first."""
        if name in self._scale:
            return name
        array = self._weights[name]
        if array.ndim > 1:
            raise ValueError("a constant of several axes stands beside a layer")
        return self._constant(array.reshape(-1, 1, 1) if array.ndim else array)

    def _constant(self, array: np.ndarray | np.generic) -> str:
        from onnx import numpy_helper

        name = f"constant-{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def _emit(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> None:
        from onnx import helper

        self._out.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))


def _text(value: Any) -> str:
    return base64.b64decode(value["s"] if isinstance(value, dict) else value).decode()


def _arrays(manifest: Any, data: bytes) -> dict[str, np.ndarray]:
    """Constants by name; halves become single precision, as TensorFlow.js loads them."""
    arrays, at = {}, 0
    for group in manifest:
        for entry in group["weights"]:
            shape = tuple(int(v) for v in entry["shape"])
            if min(shape, default=0) < 0:
                raise ValueError("a constant has a negative length")
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            if stored not in (np.float16, np.float32, np.int32):
                raise ValueError(f"a constant is stored as {stored}")
            count = math.prod(shape)
            if at + count * stored.itemsize > len(data):
                raise ValueError("its weights are cut short")
            array = np.frombuffer(data, stored.newbyteorder("<"), count, at).reshape(shape)
            arrays[entry["name"]] = array.astype(np.float32 if stored.kind == "f" else np.int32)
            at += count * stored.itemsize
    if at != len(data):
        raise ValueError("its weights are longer than its constants")
    return arrays
