"""Coders of equal length for all users: the numbers of a codec, each in its own count of bits, behind its index."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Int, UInt8
from torch import Tensor

from sitetwin.learn.cell.coder import CellCoder, Graph, refuse_bits
from sitetwin.learn.cell.graphs import decoder_graph, encoder_graph
from sitetwin.learn.cell.reports import pack, unpack
from sitetwin.learn.csi.adaptive import AdaptiveCodec
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Code, UniformQuantiser
from sitetwin.learn.csi.controls import TwinLookupCodec
from sitetwin.learn.csi.csinet import CsiNetPlus
from sitetwin.learn.csi.klt import GlobalKltCodec, KltCodec
from sitetwin.learn.csi.mixer import MixerCodec
from sitetwin.learn.model_files import ModelFile

CODECS: dict[str, type[CsiCodec]] = {
    codec.kind: codec for codec in (KltCodec, GlobalKltCodec, TwinLookupCodec, AdaptiveCodec, CsiNetPlus, MixerCodec)
}
"""Codecs whose numbers are sent, by kind."""

_CODEC, _QUANTISER = "codec.", "quantiser."
_MOST_BITS = 24  # of one number: as exact as its float32


class FixedRateCoder(CellCoder):
    """A codec and the quantiser of its numbers.

    Bits go to the numbers of largest variance; ranges are fitted to the codes of the training matrices.

    Args:
        codec: A fitted codec.
        quantiser: The quantiser of its numbers.
    """

    kind: ClassVar[str] = "fixed-rate"

    def __init__(self, codec: CsiCodec, quantiser: UniformQuantiser) -> None:
        self.codec, self.quantiser = codec, quantiser
        self.shape = codec.fitted_shape
        _, choices = codec.report_sizes
        index_bits = 0 if choices is None else codec.budget.index_bits(choices)
        self._bits = np.concatenate([[index_bits], quantiser.bits.numpy()]).astype(np.int64)

    @classmethod
    def fit(cls, codec: CsiCodec, x: Complex[Tensor, "users taps beams"], rng: torch.Generator) -> FixedRateCoder:
        """A coder of training matrices.

        Args:
            codec: A codec that is not fitted; it stays as it is.
            x: Normalised training matrices.
            rng: Source of all random numbers.

        Raises:
            SiteTwinError: The codec cannot be fitted to these matrices.
        """
        return cls.of_fitted(copy.deepcopy(codec).fit(x, rng), x)

    @classmethod
    def of_fitted(cls, codec: CsiCodec, x: Complex[Tensor, "users taps beams"]) -> FixedRateCoder:
        """A coder of a codec that is fitted: its numbers are quantised to the bits of its budget.

        Args:
            codec: The codec, which is held, not copied.
            x: Its training matrices, whose codes give the ranges.
        """
        return cls(codec, _quantiser(codec, x))

    def encode(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
        """See `CellCoder.encode`."""
        code = self.codec.encode(x)
        cells = self.quantiser.cells(code.values).to(torch.int64).numpy()
        index = np.zeros(len(x), np.int64) if code.index is None else code.index.numpy()
        return pack(np.column_stack([index, cells]), self._bits)

    def decode(
        self, payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
    ) -> Complex[Tensor, "users taps beams"]:
        """See `CellCoder.decode`."""
        refuse_bits(bits, int(self._bits.sum()), f"the {self.codec.kind} codec")
        numbers = torch.from_numpy(unpack(payload, len(bits), self._bits))
        values = self.quantiser.centres(numbers[:, 1:].to(torch.float32))
        _, choices = self.codec.report_sizes
        return self.codec.decode(Code(values, None if choices is None else numbers[:, 0].contiguous()))

    def update(self, x: Complex[Tensor, "users taps beams"], rng: torch.Generator) -> FixedRateCoder:
        """See `CellCoder.update`; the ranges of the quantiser are fitted anew."""
        codec = self.codec.update(x, rng)
        known = codec.training_matrices()
        everything = x if known is None else torch.cat([known, x])
        return FixedRateCoder(codec, _quantiser(codec, everything))

    def encoder_graph(self) -> Graph:
        """The codec's encoder: from matrices to numbers and index; the quantiser stays outside."""
        return encoder_graph(self.codec)

    def decoder_graph(self) -> Graph:
        """The codec's decoder: from numbers and index to matrices."""
        return decoder_graph(self.codec)

    def outside_of_graphs(self) -> dict[str, Any]:
        """The order of the bits, and the quantiser of each number."""
        q = self.quantiser
        return {
            "order": "index first, then the numbers, each with its highest bit first; zeros fill the last byte",
            "index_bits": int(self._bits[0]),
            "cell": "floor((value - low) / step) within 0 to 2^bits - 1, step = (high - low) / 2^bits; its value is "
            "low + (cell + 0.5) step",
            "bits": q.bits.tolist(),
            "low": [float(f"{x:.9g}") for x in q.low.tolist()],
            "high": [float(f"{x:.9g}") for x in q.high.tolist()],
        }

    def facts(self) -> dict[str, Any]:
        """See `CellCoder.facts`."""
        costs = self.codec.costs()
        reals, choices = self.codec.report_sizes
        return {
            "codec": self.codec.kind,
            "bits": int(self._bits.sum()),
            "numbers": reals,
            "bits_of_each": self.quantiser.bits.tolist(),
            "index_of": choices or 0,
            "multiply_adds_ue": costs.macs_ue,
            "multiply_adds_bs": costs.macs_bs,
            "bytes_ue": costs.bytes_ue,
            "bytes_bs": costs.bytes_bs,
        }

    def parameters(self) -> dict[str, Any]:
        """See `CellCoder.parameters`."""
        return {"codec": self.codec.kind, "parameters": self.codec.content()[0]}

    def arrays(self) -> Mapping[str, Tensor]:
        """See `CellCoder.arrays`."""
        own = {_CODEC + name: tensor for name, tensor in self.codec.content()[1].items()}
        q = self.quantiser
        return {**own, **{_QUANTISER + name: getattr(q, name) for name in ("bits", "low", "high")}}

    @classmethod
    def restored(cls, file: ModelFile, shape: tuple[int, int]) -> FixedRateCoder:
        """See `CellCoder.restored`."""
        kind, parameters = file.parameter("codec", str), file.parameter("parameters", dict)
        if kind not in CODECS:
            raise file.refusal(f"there is no codec '{kind[:40]}'")
        own = {name.removeprefix(_CODEC): t for name, t in file.arrays.items() if name.startswith(_CODEC)}
        codec = CODECS[kind].of_file(ModelFile(file.path, parameters, own))
        bits = file.array(_QUANTISER + "bits", "numbers", torch.int64)
        low, high = (file.array(_QUANTISER + name, "numbers", torch.float32) for name in ("low", "high"))
        if codec.fitted_shape != shape or len(bits) != codec.report_sizes[0]:
            raise file.refusal("its codec and its quantiser are not of the size of its matrices")
        if bool((bits < 0).any() or (bits > _MOST_BITS).any() or (high < low).any()):
            raise file.refusal("its quantiser is none")
        return cls(codec, UniformQuantiser(bits, low, high))


def _quantiser(codec: CsiCodec, x: Tensor) -> UniformQuantiser:
    """The quantiser of a codec's numbers; bits that a few numbers cannot use are saved."""
    if codec.value_bounds is not None:
        return _bounded(codec, *codec.value_bounds)
    found = UniformQuantiser.fit(codec, x, "variance")
    return UniformQuantiser(found.bits.clamp_max(_MOST_BITS), found.low, found.high)


def _bounded(codec: CsiCodec, low: float, high: float) -> UniformQuantiser:
    """A quantiser between known bounds, the same bits for each number."""
    numbers, choices = codec.report_sizes
    index_bits = 0 if choices is None else codec.budget.index_bits(choices)
    each = min((codec.budget.bits - index_bits) // numbers, _MOST_BITS)
    ends = (torch.full((numbers,), end) for end in (low, high))
    return UniformQuantiser(torch.full((numbers,), each, dtype=torch.int64), *ends)
