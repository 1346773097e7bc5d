"""Encoder and decoder of a codec as ONNX graphs, checked against torch before they are kept."""

from __future__ import annotations

import io
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.cell.coder import Graph
from sitetwin.learn.csi.metrics import to_db
from sitetwin.store.outputs import new_folder

ENCODER, SMALL, DECODER, ABOUT = "encoder.onnx", "encoder_int8.onnx", "decoder.onnx", "codec.json"
"""Files of an exported codec: for the user equipment, also in int8, for the base station, and what both must know."""

MOST_ERROR, LEAST_SAME = 1e-5, 0.999
"""How far numbers may lie from torch's, and the least share of users with the same index."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_PHASE = {
    "corner": " and by the phase of its element [0, 0]",
    "largest": " and by the phase of its largest element",
    "none": "",
}
_CHECKED = 256  # users
_RUNS = 15
_USERS = "users"


@dataclass(frozen=True)
class GraphCheck:
    """How an exported graph compares with torch.

    Attributes:
        users: Matrices that were compared.
        same_index: Share of them with the same index; 1 without an index.
        largest_error: Largest difference of a number where the index is the same.
    """

    users: int
    same_index: float
    largest_error: float

    @property
    def in_words(self) -> str:
        """How far numbers are apart."""
        return f"numbers within {self.largest_error:.0e}"


@dataclass(frozen=True)
class Int8Check:
    """What the int8 encoder loses, and what it costs on this machine's core.

    Attributes:
        users: Matrices that were compared.
        same_index: Share of them for which each index is that of the encoder in single precision.
        loss_db: Energy of the difference of all numbers over theirs, where the index is the same, dB.
        bytes: Size of the file.
        bytes_float: Size of the encoder in single precision.
        ms_a_matrix: Time of one matrix alone, milliseconds, the median of some runs.
        ms_a_matrix_float: The same in single precision.
    """

    users: int
    same_index: float
    loss_db: float
    bytes: int
    bytes_float: int
    ms_a_matrix: float
    ms_a_matrix_float: float

    @property
    def in_words(self) -> str:
        """Loss, size and time."""
        return (
            f"numbers off by {self.loss_db:.1f} dB; {self.bytes / 1e6:.2f} MB and {self.ms_a_matrix:.2f} ms a matrix, "
            f"in single precision {self.bytes_float / 1e6:.2f} MB and {self.ms_a_matrix_float:.2f} ms"
        )


def export_onnx(codec: CellCodec, folder: Path | str) -> dict[str, GraphCheck | Int8Check]:
    """Write the encoder for users, also in int8, and the decoder for the base station as ONNX graphs into a new folder.

    The graphs hold the dense part: from a normalised matrix to numbers and an index, and back. ``codec.json`` says what
    stays outside: the link, the normalisation, the quantiser and the hash of the codec; and what the int8 encoder costs
    and loses (`Int8Check`).

    Args:
        codec: A fitted codec.
        folder: Folder to make.

    Returns:
        How encoder and decoder compare with torch, and the int8 encoder with the encoder, by the name of the file.

    Raises:
        SiteTwinError: A package is missing (``pip install 'sitetwin[onnx]'``), the codec has no graphs, a graph gives
            other results than torch, or the disk cannot be written.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SiteTwinError(f"ONNX needs the package {missing[0]}; install it with pip install 'sitetwin[onnx]'")
    encoder, decoder = codec.coder.encoder_graph(), codec.coder.decoder_graph()
    x = _matrices(codec)
    code = _of_torch(encoder, (x,))
    graphs = {
        ENCODER: (encoder, (x,)),
        DECODER: (decoder, code if decoder.inputs == encoder.outputs else decoder.example),
    }
    checks: dict[str, GraphCheck | Int8Check] = {}
    with new_folder(Path(folder)) as place:
        for name, (graph, inputs) in graphs.items():
            _write(graph, place / name, {"sitetwin.codec": codec.hash, "sitetwin.version": str(codec.version)})
            checks[name] = check = compared(graph, place / name, inputs)
            _refuse(name, check)
        checks[SMALL] = quantised(encoder, place / ENCODER, place / SMALL, x)
        about = {
            **codec.facts(),
            **_outside(codec),
            "checks": {name: asdict(one) for name, one in checks.items()},
        }
        (place / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return checks


def compared(graph: Graph, file: Path, inputs: tuple[Tensor, ...]) -> GraphCheck:
    """Run a file by onnxruntime and a graph by torch on the same inputs.

    Args:
        graph: The graph.
        file: The file that was exported of it.
        inputs: What it takes, users first.
    """
    theirs = run_onnx(file, dict(zip(graph.inputs, inputs, strict=True)))
    mine = [tensor.numpy() for tensor in _of_torch(graph, inputs)]
    same = np.ones(len(mine[0]), dtype=bool)
    for a, b in zip(mine, theirs, strict=True):
        same &= (a == b) if a.dtype.kind == "i" else True
    errors = [np.abs(a - b)[same].max(initial=0.0) for a, b in zip(mine, theirs, strict=True) if a.dtype.kind == "f"]
    return GraphCheck(len(same), float(same.mean()), float(max(errors)))


def quantised(graph: Graph, file: Path, small: Path, x: Tensor) -> Int8Check:
    """Write the int8 form of an encoder's file, and compare both.

    Weights of products are int8, a scale for each column; what they multiply is rounded to 8 bits for each batch.

    Args:
        graph: The encoder.
        file: Its file.
        small: File to write.
        x: Matrices for the comparison.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(file, small, ["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8)
    one = {graph.inputs[0]: x[:1]}
    exact, rounded = (run_onnx(path, {graph.inputs[0]: x}) for path in (file, small))
    same = np.ones(len(x), dtype=bool)
    for a, b in zip(exact, rounded, strict=True):
        same &= (a == b) if a.dtype.kind == "i" else True
    numbers = [(a[same], b[same]) for a, b in zip(exact, rounded, strict=True) if a.dtype.kind == "f"]
    lost = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in numbers)
    whole = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in numbers)
    return Int8Check(
        len(x),
        float(same.mean()),
        round(to_db(max(lost, 1e-30) / whole), 2) if whole else 0.0,
        small.stat().st_size,
        file.stat().st_size,
        _milliseconds(small, one),
        _milliseconds(file, one),
    )


def _milliseconds(file: Path, inputs: dict[str, Tensor]) -> float:
    """Time of one run, the median of some."""
    session = _session(file)
    given = {name: tensor.numpy() for name, tensor in inputs.items()}
    times = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        session.run(None, given)
        times.append(1e3 * (time.perf_counter() - begun))
    return round(float(np.median(times)), 4)


def _session(file: Path) -> Any:
    """A graph in onnxruntime, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def run_onnx(file: Path, inputs: dict[str, Tensor]) -> list[np.ndarray]:
    """What a graph gives in onnxruntime, on one core."""
    found: list[np.ndarray] = _session(file).run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    return found


@torch.no_grad()
def _of_torch(graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    found: Any = graph.module(*inputs)
    return found if isinstance(found, tuple) else (found,)


def _matrices(codec: CellCodec) -> Tensor:
    """Matrices for the comparison: mixtures of a few plane waves with delays, unlike those of the training."""
    rng = torch.Generator().manual_seed(1)
    taps, beams = codec.coder.shape

    def waves(size: int) -> Tensor:
        turns = torch.rand(_CHECKED, 3, 1, generator=rng) * torch.arange(size)
        return torch.fft.fft(torch.polar(torch.ones_like(turns), 2 * torch.pi * turns), dim=2)

    gains = torch.randn(_CHECKED, 3, dtype=torch.complex64, generator=rng)
    x = torch.einsum("np,npt,npb->ntb", gains, waves(taps), waves(beams))
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return torch.view_as_real(x).permute(0, 3, 1, 2).contiguous()


def _write(graph: Graph, file: Path, about: dict[str, str]) -> None:
    """Export one graph whose number of users is free."""
    users = torch.export.Dim(_USERS, min=1, max=1 << 20)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Named(graph.module),
            graph.example,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=(tuple({0: users} for _ in graph.example),),
            dynamo=True,
        )
    assert program is not None
    program.model.metadata_props.update(about)
    program.save(str(file), external_data=False)


class _Named(nn.Module):
    """A module with any number of inputs under one signature."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        """As the module."""
        return self.module(*inputs)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its steps on the screen; what matters is compared afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", None)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _refuse(name: str, check: GraphCheck) -> None:
    if check.same_index < LEAST_SAME or check.largest_error > MOST_ERROR:
        raise SiteTwinError(
            f"{name} gives other results than torch: the same index for {check.same_index:.2%} of {check.users} "
            f"matrices, and numbers {check.largest_error:.1e} apart; nothing was written: export another codec"
        )


def _outside(codec: CellCodec) -> dict[str, Any]:
    """What the ends do outside of the graphs."""
    return {
        "input": "csi (users, 2, taps, beams) float32: real and imaginary part of the delay-angle matrix, divided by "
        f"its Frobenius norm{_PHASE[codec.link.phase_reference]}",
        "outside_of_graphs": codec.coder.outside_of_graphs(),
    }
