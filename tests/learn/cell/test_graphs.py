"""ONNX graphs of every codec: what onnxruntime gives is what the codec gives."""

import numpy as np
import pytest
import torch
from tests.learn.cell.conftest import AXES, LINK

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    AdaptiveCodec,
    AdaptiveConfig,
    Budget,
    CellCodec,
    CsiNetPlus,
    GlobalKltCodec,
    KltCodec,
    KltConfig,
    MixerCodec,
    MixerConfig,
    Schedule,
    TwinLookupCodec,
    export_onnx,
)
from sitetwin.learn.cell import onnx_export
from sitetwin.learn.cell.graphs import decoder_graph, encoder_graph
from sitetwin.learn.cell.onnx_export import run_onnx
from sitetwin.learn.csi.codec import Code
from sitetwin.learn.csi.data import to_complex, to_real

BRIEF = Schedule(steps=20)
CODECS = {
    "klt": lambda: KltCodec(KltConfig(zones=64)),
    "klt-reference": lambda: KltCodec(KltConfig(zones=16, phase="reference")),
    "klt-largest": lambda: KltCodec(KltConfig(zones=16, phase="reference", reference="largest")),
    "global": GlobalKltCodec,
    "lookup": TwinLookupCodec,
    "adaptive": lambda: AdaptiveCodec(AdaptiveConfig(front_rank=32, hidden=32, generator_hidden=16), BRIEF),
    "mixer": lambda: MixerCodec(MixerConfig(1, 8, 8), BRIEF),
    "csinet+": lambda: CsiNetPlus(BRIEF, budget=Budget(16, 8), refinements=1),
}


@pytest.fixture(scope="module", params=CODECS)
def fitted(request, channels):
    return CellCodec(CODECS[request.param]()).fit(channels[:200], axes=AXES, link=LINK)


def test_graphs_do_what_the_codec_does(fitted, others):
    """In real arithmetic, before any export."""
    codec, x = fitted.coder.codec, fitted.matrices(others, axes=AXES).csi.x
    expected = codec.encode(x)
    with torch.no_grad():
        found = encoder_graph(codec).module(to_real(x))
        values, index = found if isinstance(found, tuple) else (found, None)
        recovered = decoder_graph(codec).module(values, *(() if index is None else (index,)))
    same = torch.ones(len(x), dtype=torch.bool)
    if expected.index is not None:
        same = expected.index == index
        assert float(same.float().mean()) >= 0.99  # of 120: one may lie at a border
    assert float((values - expected.values)[same].abs().max()) < 1e-5
    assert float((to_complex(recovered) - codec.decode(Code(values, index))).abs().max()) < 1e-5


@pytest.mark.slow  # five seconds a codec; tests/cli/test_codec.py exports one each time
def test_onnxruntime_gives_the_same(fitted, others, tmp_path):
    checks = export_onnx(fitted, tmp_path / "onnx")
    exact = [checks[name] for name in ("encoder.onnx", "decoder.onnx")]
    assert all(one.same_index >= 0.999 and one.largest_error <= 1e-5 for one in exact)
    assert (tmp_path / "onnx" / "encoder_int8.onnx").is_file()
    codec, x = fitted.coder.codec, fitted.matrices(others, axes=AXES).csi.x
    code = codec.encode(x)
    for few in (x[:1], x):  # the number of users is free
        found = run_onnx(tmp_path / "onnx" / "encoder.onnx", {"csi": to_real(few)})
        same = np.ones(len(few), dtype=bool) if code.index is None else found[1] == code.index[: len(few)].numpy()
        assert same.mean() >= 0.99
        assert np.abs(found[0] - code.values[: len(few)].numpy())[same].max() < 1e-5


def test_a_graph_that_differs_is_refused(codec, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "MOST_ERROR", -1.0)
    with pytest.raises(SiteTwinError, match=r"other results than torch: .* nothing was written"):
        export_onnx(codec, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_a_missing_package_is_named(codec, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(
        SiteTwinError, match=r"needs the package onnxscript; install it with pip install 'sitetwin\[onnx\]'"
    ):
        export_onnx(codec, tmp_path / "onnx")
