"""Networks: our converter against torch, decoders against their definitions, tiles, and the published weights."""

import base64
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera, Detection, Frame, load_detector, load_lines, read_image
from sitetwin.vision.models import RegistryError, fetch_model
from sitetwin.vision.networks.centernet import peaks
from sitetwin.vision.networks.lines import poles, segments
from sitetwin.vision.networks.ssd import anchors, decode, unpack
from sitetwin.vision.networks.tfjs import to_onnx
from sitetwin.vision.tiles import from_tile, merge, overlaps, square_tiles
from sitetwin.vision.voting import HALF, LARGER, look_at, look_whole, vote

RNG = np.random.default_rng(0)


class Graph:
    """A graph of TensorFlow.js in the making."""

    def __init__(self):
        self.nodes, self.entries, self.data = [], [], b""

    def constant(self, name, array, quantised=False):
        array = np.asarray(array)
        self.nodes.append({"name": name, "op": "Const"})
        entry = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        if quantised:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            array = array.astype(np.float16)
        self.entries.append(entry)
        self.data += array.astype(array.dtype.newbyteorder("<")).tobytes()
        return name

    def node(self, op, name, *inputs, **attributes):
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def convolution(self, op, name, source, kernel, stride, fused=(), bias=None, padding="SAME"):
        code = lambda word: base64.b64encode(word.encode()).decode()  # noqa: E731
        inputs = [source, self.constant(f"{name}/kernel", kernel)]
        inputs += [self.constant(f"{name}/bias", bias, quantised=True)] if fused else []
        whole = {"list": {"i": ["1", str(stride), str(stride), "1"]}}
        ones = {"list": {"i": ["1"] * 4}}
        words = {"list": {"s": [code(word) for word in fused]}}
        attributes = {"strides": whole, "dilations": ones, "fused_ops": words}
        attributes |= {"padding": {"s": code(padding)}, "data_format": {"s": code("NHWC")}}
        return self.node(op, name, *inputs, **attributes)

    def files(self):
        content = {"modelTopology": {"node": self.nodes}, "weightsManifest": [{"weights": self.entries}]}
        return json.dumps(content).encode(), self.data


def small_network():
    """Every operation that is translated, once; and the same in torch."""
    graph = Graph()
    size = {"shape": {"dim": [{"size": str(v)} for v in (1, 16, 16, 3)]}}
    graph.node("Placeholder", "in", shape=size)
    first = RNG.normal(size=(3, 3, 3, 4)).astype(np.float32)
    bias = RNG.normal(size=4).astype(np.float16).astype(np.float32)
    deep = RNG.normal(size=(3, 3, 4, 1)).astype(np.float32)
    graph.convolution("_FusedConv2D", "a", "in", first, 2, ("BiasAdd", "Relu"), bias)
    graph.convolution("DepthwiseConv2dNative", "b", "a", deep, 2)
    graph.node("Mean", "m", "b", graph.constant("axes", np.array([1, 2], np.int32)), keep_dims={"b": True})
    graph.node("Mul", "c", "b", "m")
    graph.node("Add", "d", "c", graph.constant("three", np.float32(3)))
    graph.node("Relu6", "e", "d")
    flat = {"align_corners": {"b": False}, "half_pixel_centers": {"b": False}}
    graph.node("ResizeBilinear", "f", "e", graph.constant("size", np.array([8, 8], np.int32)), **flat)
    graph.node("ConcatV2", "g", "f", "a", graph.constant("axis", np.array(3, np.int32)))
    graph.node("Sigmoid", "out", "g")

    def in_torch(image):
        def same(x, kernel, stride, groups=1):
            pad = [max((math.ceil(n / stride) - 1) * stride + 3 - n, 0) for n in x.shape[-1:-3:-1]]
            sides = [side for p in pad for side in (p // 2, p - p // 2)]
            return torch.nn.functional.conv2d(torch.nn.functional.pad(x, sides), kernel, stride=stride, groups=groups)

        kernel = torch.tensor(first.transpose(3, 2, 0, 1).copy())
        a = torch.relu(same(image, kernel, 2) + torch.tensor(bias)[:, None, None])
        b = same(a, torch.tensor(deep.transpose(2, 3, 0, 1).copy()), 2, 4)
        e = torch.clip(b * b.mean(dim=(2, 3), keepdim=True) + 3, 0, 6)
        rows = torch.clamp(torch.arange(2 * e.shape[2]) / 2, max=e.shape[2] - 1)
        columns = torch.clamp(torch.arange(2 * e.shape[3]) / 2, max=e.shape[3] - 1)

        def between(x, at, axis):
            low = at.floor().long()
            high = torch.clamp(low + 1, max=x.shape[axis] - 1)
            shape = [-1 if k == axis else 1 for k in range(4)]
            part = (at - low).reshape(shape)
            return x.index_select(axis, low) * (1 - part) + x.index_select(axis, high) * part

        return torch.sigmoid(torch.cat([between(between(e, rows, 2), columns, 3), a], dim=1))

    return graph, in_torch


@pytest.mark.parametrize("shape", [(16, 16), (32, 16), (48, 64)])
def test_a_translated_network_is_that_of_torch(shape):
    graph, in_torch = small_network()
    session = onnxruntime.InferenceSession(to_onnx(*graph.files(), ["out"], "net"), providers=["CPUExecutionProvider"])
    image = RNG.normal(size=(1, 3, *shape)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"image": image})[0], in_torch(torch.tensor(image)), atol=2e-5)


def test_graphs_that_are_not_translated_are_refused():
    graph, _ = small_network()
    content, data = graph.files()
    for old, new in (
        ("Relu6", "Elu"),
        ('"a"', '"nowhere"'),
        ('"Sigmoid"', '"Tile"'),
        ("float16", "uint8"),
    ):
        with pytest.raises(SiteTwinError, match="net is no network"):
            to_onnx(content.replace(old.encode(), new.encode(), 1), data, ["out"], "net")
    for weights in (data[:-1], data + b"x", b""):
        with pytest.raises(SiteTwinError, match="net is no network"):
            to_onnx(content, weights, ["out"], "net")
    for text in (b"", b"{}", b"[1]", b'{"modelTopology": {"node": [{"name": "out", "op": "Relu", "input": ["out"]}]}}'):
        with pytest.raises(SiteTwinError, match="net"):
            to_onnx(text, b"", ["out"], "net")


def test_a_peak_becomes_one_box():
    heat, size = np.zeros((80, 8, 8), np.float32), np.full((4, 8, 8), 6.0, np.float32)
    heat[2, 3, 5], heat[2, 3, 4], heat[5, 6, 1], heat[11, 1, 1] = 0.9, 0.6, 0.5, 0.9
    found = peaks(heat, size, 0.3)
    assert [(one.name, one.box) for one in found] == [("car", (14, 6, 26, 18)), ("bus", (-2, 18, 10, 30))]
    assert peaks(np.zeros((80, 8, 8), np.float32), size, 0.3) == []


def test_an_anchor_without_offset_is_its_box():
    shapes = anchors()
    assert shapes.shape == (1917, 4)
    boxes = decode(np.zeros((1917, 4)))
    np.testing.assert_allclose(0.5 * (boxes[:, :2] + boxes[:, 2:]), shapes[:, 1::-1])
    moved = decode(np.tile([0.0, 10.0, 0.0, 5 * math.log(2)], (1917, 1)))
    np.testing.assert_allclose(moved[:, 2] - moved[:, 0], 2 * shapes[:, 3])
    np.testing.assert_allclose(0.5 * (moved[:, 0] + moved[:, 2]), shapes[:, 1] + shapes[:, 3])
    with pytest.raises(SiteTwinError, match="no network"):
        unpack(b"Car\nPerson\n")


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(50, 1000))
def test_tiles_cover_the_image(width, height, side):
    tiles = square_tiles(width, height, max(side, max(width, height) // 12))
    seen = np.zeros((height // 10 + 1, width // 10 + 1), bool)
    for left, upper, right, lower in tiles:
        assert 0 <= left < right <= width
        assert 0 <= upper < lower <= height
        assert right - left == lower - upper
        seen[-(-upper // 10) : lower // 10 + 1, -(-left // 10) : right // 10 + 1] = True
    assert seen[: height // 10, : width // 10].all()


def test_boxes_of_tiles_become_one_of_each_object():
    car = Detection((100.0, 50.0, 160.0, 90.0), "car", 0.8)
    truck = Detection((102.0, 51.0, 158.0, 92.0), "truck", 0.6)
    person = Detection((110.0, 50.0, 150.0, 90.0), "person", 0.7)
    other = Detection((150.0, 50.0, 230.0, 90.0), "car", 0.5)
    assert merge([truck, other, person, car]) == [car, person, other]
    inner = from_tile([Detection((0.0, 10.0, 40.0, 30.0), "car")], (200, 0, 500, 300), (1.0, 1.0), (960, 540))
    outer = from_tile([Detection((0.0, 10.0, 40.0, 30.0), "car")], (0, 0, 300, 300), (2.0, 1.0), (960, 540))
    assert inner == []
    assert outer == [Detection((0.0, 10.0, 80.0, 30.0), "car")]
    union, smaller = overlaps(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10], [2.0, 2, 4, 4]]))
    np.testing.assert_allclose(union, [[1 / 3, 0.04]])
    np.testing.assert_allclose(smaller, [[0.5, 1.0]])


def test_looks_that_agree_make_a_box_certain():
    one, two = Detection((100.0, 50.0, 160.0, 90.0), "car", 0.2), Detection((104.0, 50.0, 164.0, 90.0), "van", 0.1)
    alone, both = vote([[one], [], []], 540), vote([[one], [two], [one]], 540)
    assert alone[0].box == one.box
    assert both[0].score > alone[0].score
    assert both[0].name == "car"
    assert both[0].box[0] == pytest.approx(100 + 0.4 / 0.5)
    mean = 0.5 / 3
    half = HALF * (50 / math.sqrt(60 * 40)) ** LARGER
    assert both[0].score == pytest.approx(mean / (mean + half))
    assert vote([[one]], 1080)[0].score < vote([[one]], 540)[0].score  # small in a large image
    person = replace(one, name="person")
    assert vote([[person]], 540)[0].score < vote([[one]], 540)[0].score
    assert len(vote([[one], [person]], 540)) == 2
    assert vote([[], []], 540) == []
    fine = vote([[one], [two]], 540, weights=[1.0, 4.0])
    assert fine[0].box[0] == pytest.approx(100 + 4 * 0.4 / 0.6)


def test_a_mirrored_look_gives_boxes_of_the_image():
    def bright(image):
        rows, columns = np.nonzero(image[..., 0] > 200)
        if not len(rows):
            return []
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return [Detection(tuple(map(float, edges)), "car")]

    image = np.zeros((200, 400, 3), np.uint8)
    image[60:100, 240:300] = 255
    for share in (0.0, 1.0, 0.6):
        for mirrored in (False, True):
            found = look_at(image, bright, 100, share, mirrored)
            np.testing.assert_allclose(found[0].box, (240, 60, 300, 100), atol=4)
    for shorter in (100, 150, 300):
        for mirrored in (False, True):
            found = look_whole(image, bright, shorter, mirrored)
            np.testing.assert_allclose(found[0].box, (240, 60, 300, 100), atol=4)


def test_a_network_is_shown_whole_images_in_multiples_of_its_cell():
    shown = []

    def network(image):
        shown.append(image.shape[:2])
        return [Detection((0.0, 0.0, float(image.shape[1]), float(image.shape[0])), "car")]

    for height, width in ((540, 960), (375, 1242), (1920, 1080), (20, 3), (40, 8000)):
        for shorter in (256, 544):
            (found,) = look_whole(np.zeros((height, width, 3), np.uint8), network, shorter)
            assert found.box == pytest.approx((0, 0, width, height))
    assert all(rows % 32 == 0 and columns % 32 == 0 and max(rows, columns) <= 2592 for rows, columns in shown)
    assert shown[:2] == [(256, 448), (544, 960)]


def test_two_edges_are_one_pole_and_a_slanted_line_is_none():
    camera = Camera.from_view(Pose((0.0, 0.0, 5.0), 0.0, 0.2))
    foot = np.array([[12.0, y, z] for y in (3.0, 3.15) for z in (0.0, 6.0)])
    pixels, _ = camera.project(foot)
    ends = np.concatenate([pixels.reshape(2, 4), [[200.0, 200.0, 400.0, 420.0], [700.0, 5.0, 700.0, 60.0]]])
    found = poles(ends, np.array([0.9, 0.8, 0.9, 0.9]), camera)
    assert [one.name for one in found] == ["pole"]
    assert found[0].contact == pytest.approx(pixels[[0, 2]].mean(axis=0), abs=1.5)
    assert poles(np.zeros((0, 4)), np.zeros(0), camera) == []
    offsets, scores = np.zeros((256, 256, 4), np.float32), np.zeros((256, 256), np.float32)
    scores[100, 50], offsets[100, 50] = 0.7, (-10, 0, 10, 4)
    np.testing.assert_allclose(segments(offsets, scores, 0.3)[0], [[80, 200, 120, 208]])


@pytest.fixture(scope="module")
def weights():
    try:
        return [fetch_model(name) for name in ("ssd-open-images", "centernet", "mlsd")]
    except RegistryError as error:
        pytest.skip(f"no registry answers: {error}")


def windows():
    """A grey front with dark windows, by rectangles."""
    image = np.full((540, 960, 3), (150, 140, 130), np.uint8)
    for left in range(320, 660, 62):
        cv2.rectangle(image, (left, 205), (left + 48, 270), (40, 50, 60), -1)
    return image


def test_the_published_networks_see_a_person_and_lines(weights):
    photograph = read_image(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")  # 512 x 600
    for name in ("centernet", "ssd-open-images", "both"):
        found = load_detector(name).detect(Frame(photograph))
        assert found[0].name == "person"
        np.testing.assert_allclose(found[0].box, (6, 40, 506, 600), atol=60)
    ends, scores = load_lines().lines(Frame(windows()))
    upright = ends[np.abs(ends[:, 0] - ends[:, 2]) < 3]
    edges = np.sort([x for left in range(320, 660, 62) for x in (left, left + 48)])
    assert max(np.abs(upright[:, 0] - edge).min() for edge in edges) < 4
    assert (np.diff(scores) <= 0).all()


def test_nothing_is_seen_in_a_black_image(weights):
    assert load_detector("both").detect(Frame(np.zeros((540, 960, 3), np.uint8))) == []
    with pytest.raises(SiteTwinError, match="no detector"):
        load_detector("yolo")
