"""Encoders and decoders of codecs as modules of real arithmetic, which formats of other programs can hold.

Matrices are (users, 2, taps, beams): real and imaginary parts of normalised delay-angle matrices. Products with complex
matrices are products with their real and imaginary parts side by side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import Graph
from sitetwin.learn.csi.adaptive import AdaptiveDecoder, AdaptiveEncoder, normal_equations
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.controls import TwinLookupCodec
from sitetwin.learn.csi.klt import KltCodec
from sitetwin.learn.csi.mixture import Mixture
from sitetwin.learn.csi.neural import unit_norm
from sitetwin.learn.csi.trained import NeuralCodec

CSI, VALUES, INDEX, RECOVERED = "csi", "values", "index", "recovered"
"""Names of what the graphs take and give."""

_USERS = 3  # of the example; not two, which is the number of parts


def encoder_graph(codec: CsiCodec) -> Graph:
    """The encoder of a fitted codec: ``csi`` to ``values`` and, where the codec has one, ``index``.

    Raises:
        SiteTwinError: The codec has no such graph.
    """
    example = torch.randn(_USERS, 2, *codec.fitted_shape, generator=torch.Generator().manual_seed(0))
    outputs = (VALUES,) if codec.report_sizes[1] is None else (VALUES, INDEX)
    return Graph(_encoder(codec).eval(), (CSI,), outputs, (example / example.flatten(1).norm(),))


def decoder_graph(codec: CsiCodec) -> Graph:
    """The decoder of a fitted codec: ``values`` and, where the codec has one, ``index`` to ``recovered``.

    Raises:
        SiteTwinError: The codec has no such graph.
    """
    reals, choices = codec.report_sizes
    values = torch.randn(_USERS, reals, generator=torch.Generator().manual_seed(0)) / 10
    index = () if choices is None else (torch.arange(_USERS) % choices,)
    names = (VALUES,) if choices is None else (VALUES, INDEX)
    return Graph(_decoder(codec).eval(), names, (RECOVERED,), (values, *index))


def _encoder(codec: CsiCodec) -> nn.Module:
    if isinstance(codec, KltCodec):
        return _KltEncoder(codec.mixture)
    if isinstance(codec, TwinLookupCodec):
        return _LookupEncoder(codec.entries)
    if isinstance(codec, NeuralCodec):
        network = codec.network.encoder
        return _AdaptiveEncoder(network) if isinstance(network, AdaptiveEncoder) else network
    raise _no_graph(codec)


def _decoder(codec: CsiCodec) -> nn.Module:
    if isinstance(codec, KltCodec):
        return _KltDecoder(codec.mixture)
    if isinstance(codec, TwinLookupCodec):
        return _LookupDecoder(codec.entries)
    if isinstance(codec, NeuralCodec):
        network = codec.network.decoder
        return network if isinstance(network, AdaptiveDecoder) else _UnitNorm(network)
    raise _no_graph(codec)


def _no_graph(codec: CsiCodec) -> SiteTwinError:
    return SiteTwinError(f"the {codec.kind} codec has no encoder or decoder that could be exported; choose another")


def side_by_side(matrix: Tensor) -> Tensor:
    """(a, b) complex as (a, 2 b) real: real parts, then imaginary parts."""
    return torch.cat([matrix.real, matrix.imag], dim=1).contiguous()


def times_conjugate(x: Tensor, basis: Tensor) -> Tensor:
    """``x @ basis.conj()``: (N, 2, a) with (a, 2 b) from `side_by_side` gives (N, 2, b)."""
    products = x @ basis
    real, imaginary = products.chunk(2, dim=2)
    return torch.stack([real[:, 0] + imaginary[:, 1], real[:, 1] - imaginary[:, 0]], dim=1)


def times_transpose(x: Tensor, basis: Tensor) -> Tensor:
    """``x @ basis.T``: (N, 2, b) with (a, 2 b) from `side_by_side` gives (N, 2, a)."""
    real, imaginary = (x @ part.T for part in basis.chunk(2, dim=1))
    return torch.stack([real[:, 0] - imaginary[:, 1], real[:, 1] + imaginary[:, 0]], dim=1)


def _turned(x: Tensor, by: Tensor) -> Tensor:
    """(N, 2, n) times the conjugate of (N, 2), which is scaled to magnitude one; a zero turns nothing."""
    size = by.square().sum(dim=1, keepdim=True).sqrt()
    unit = torch.where(size > 0, by / size.clamp_min(1e-30), torch.tensor([1.0, 0.0]))
    real, imaginary = unit[:, 0:1], unit[:, 1:2]
    return torch.stack([x[:, 0] * real + x[:, 1] * imaginary, x[:, 1] * real - x[:, 0] * imaginary], dim=1)


class _KltEncoder(nn.Module):
    """Coordinates, coefficients in all zones, and those of the zone that explains most."""

    front: Tensor
    bases: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.zones, self.rank, self.first_is_real = mixture.zones, mixture.rank, mixture.config.phase == "reference"
        self.register_buffer("front", side_by_side(mixture.front))
        stacked = mixture.bases.permute(1, 0, 2).reshape(-1, self.zones * self.rank)
        self.register_buffer("bases", side_by_side(stacked))

    def forward(self, csi: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2, T, B) -> (N, reals), (N,)."""
        coordinates = times_conjugate(csi.flatten(2), self.front)
        all_zones = times_conjugate(coordinates, self.bases).unflatten(2, (self.zones, self.rank))
        zone = all_zones.square().sum(dim=(1, 3)).argmax(dim=1)
        place = zone[:, None, None, None].expand(-1, 2, 1, self.rank)
        own = all_zones.gather(2, place)[:, :, 0]
        if self.first_is_real:
            own = _turned(own, own[:, :, 0])
        values = own.transpose(1, 2).flatten(1)
        return (torch.cat([values[:, :1], values[:, 2:]], dim=1) if self.first_is_real else values), zone


class _KltDecoder(nn.Module):
    """Coefficients in the basis of the zone, and the common directions."""

    front: Tensor
    bases: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.shape, self.config = mixture.shape, mixture.config
        self.register_buffer("front", side_by_side(mixture.front))
        self.register_buffer("bases", torch.cat([mixture.bases.real, mixture.bases.imag], dim=2).contiguous())

    def forward(self, values: Tensor, index: Tensor) -> Tensor:
        """(N, reals), (N,) -> (N, 2, T, B)."""
        if self.config.phase == "reference":
            values = torch.cat([values[:, :1], torch.zeros_like(values[:, :1]), values[:, 1:]], dim=1)
        own = values.unflatten(1, (-1, 2))
        beside = torch.stack([-own[:, :, 1], own[:, :, 0]], dim=2)  # times j, for the imaginary parts of the basis
        products = self.bases[index] @ torch.cat([own, beside], dim=1)
        x = times_transpose(products.transpose(1, 2), self.front)
        if self.config.phase == "reference" and self.config.reference != "none":
            size = x.square().sum(dim=1)
            first = torch.zeros_like(size[:, :1], dtype=torch.int64)
            place = first if self.config.reference == "corner" else size.argmax(dim=1, keepdim=True)
            x = _turned(x, x.gather(2, place[:, None].expand(-1, 2, 1))[:, :, 0])
        return x.unflatten(2, self.shape)


class _LookupEncoder(nn.Module):
    """The most correlated entry and its gain."""

    table: Tensor

    def __init__(self, entries: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", side_by_side(entries.flatten(1).T))

    def forward(self, csi: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2, T, B) -> (N, 2), (N,)."""
        inner = times_conjugate(csi.flatten(2), self.table)
        best = inner.square().sum(dim=1).argmax(dim=1)
        return inner.gather(2, best[:, None, None].expand(-1, 2, 1))[:, :, 0], best


class _LookupDecoder(nn.Module):
    """The entry times its gain."""

    entries: Tensor

    def __init__(self, entries: Tensor) -> None:
        super().__init__()
        self.register_buffer("entries", torch.stack([entries.real, entries.imag], dim=1).contiguous())

    def forward(self, values: Tensor, index: Tensor) -> Tensor:
        """(N, 2), (N,) -> (N, 2, T, B)."""
        entry, (real, imaginary) = self.entries[index], (values[:, k, None, None] for k in range(2))
        parts = [entry[:, 0] * real - entry[:, 1] * imaginary, entry[:, 0] * imaginary + entry[:, 1] * real]
        return torch.stack(parts, dim=1)


class _UnitNorm(nn.Module):
    """A decoder whose output gets unit norm."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, values: Tensor) -> Tensor:
        """(N, reals) -> (N, 2, T, B)."""
        return unit_norm(self.decoder(values))


class _AdaptiveEncoder(nn.Module):
    """The adaptive encoder, whose normal equations are solved step by step: graphs have no Cholesky factors."""

    def __init__(self, encoder: AdaptiveEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, csi: Tensor) -> Tensor:
        """(N, 2, T, B) -> (N, reals)."""
        y = self.encoder.front.project(csi)
        state = self.encoder.state(y)
        basis: Any = self.encoder.generator(state)
        system, right = normal_equations(basis, y)
        return torch.cat([state, _solved(system, right)], dim=1)


def _solved(system: Tensor, right: Tensor) -> Tensor:
    """Solution of positive definite (N, n, n) systems by elimination after Gauss and Jordan, in float64."""
    size = system.shape[1]
    table = torch.cat([system, right[:, :, None]], dim=2).to(torch.float64)
    unit = torch.eye(size, dtype=torch.float64)
    for k in range(size):
        row = table[:, k : k + 1] / table[:, k : k + 1, k : k + 1]
        table = table - (table[:, :, k : k + 1] - unit[:, k : k + 1]) * row
    return table[:, :, size].to(torch.float32)
