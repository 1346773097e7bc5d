"""Both ends of a hybrid codec as modules of real arithmetic; the search for paths and the bits stay outside.

The encoder gives what the search begins with: the zone and the matrix's coefficients in it, and the products of the
matrix with the paths of all bins of delay and angle, with the number of the strongest one. The decoder puts paths and
coefficients together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sitetwin.learn.cell.coder import Graph
from sitetwin.learn.cell.graphs import CSI, INDEX, RECOVERED, VALUES, side_by_side, times_conjugate, times_transpose
from sitetwin.learn.csi.hybrid.model import HybridModel

PRODUCTS, STRONGEST, PLACES, GAINS = "products", "strongest", "places", "gains"
"""Names of what the graphs take and give besides coefficients and zone."""

_EXAMPLES = 200  # reports by which the decoder is checked


def hybrid_encoder(model: HybridModel) -> Graph:
    """``csi`` to ``values`` and ``index`` of the zone, and to ``products`` and ``strongest`` of the paths."""
    names = [
        *((VALUES, INDEX) if len(model.zones.bases) else ()),
        *((PRODUCTS, STRONGEST) if model.config.paths else ()),
    ]
    example = torch.randn(3, 2, model.waves.taps, model.waves.beams, generator=torch.Generator().manual_seed(0))
    return Graph(_Encoder(model).eval(), (CSI,), tuple(names), (example / example.flatten(1).norm(),))


def hybrid_decoder(model: HybridModel) -> Graph:
    """``places`` and ``gains`` of paths, and ``values`` and ``index`` of the zone, to ``recovered``."""
    rng, (zones, _, rank) = torch.Generator().manual_seed(0), model.zones.bases.shape
    paths, waves = model.config.paths, model.waves
    names: list[str] = []
    inputs: list[Tensor] = []
    if paths:
        size = torch.tensor([float(waves.taps), float(waves.beams)])
        names += [PLACES, GAINS]
        inputs += [
            torch.rand(_EXAMPLES, paths, 2, generator=rng) * size,
            torch.randn(_EXAMPLES, paths, 2, generator=rng) / 4,
        ]
    if zones:
        names += [VALUES, INDEX]
        inputs += [torch.randn(_EXAMPLES, 2 * rank, generator=rng) / 10, torch.arange(_EXAMPLES) % (zones + 1)]
    return Graph(_Decoder(model).eval(), tuple(names), (RECOVERED,), tuple(inputs))


class _Encoder(nn.Module):
    """Coefficients in the zone that holds most of a matrix, and products with paths."""

    turn: Tensor
    front: Tensor
    chosen: Tensor
    bases: Tensor
    delays: Tensor
    angles: Tensor

    def __init__(self, model: HybridModel) -> None:
        super().__init__()
        bases, waves = model.zones.bases, model.waves
        self.zones, _, self.rank = bases.shape
        self.few = min(model.config.chosen, self.rank)
        self.paths = model.config.paths > 0
        self.register_buffer(
            "turn", _parts(waves.turned(torch.ones(1, waves.taps, waves.beams, dtype=torch.complex64)))
        )
        self.register_buffer("front", side_by_side(model.zones.front))
        stacked = bases[:, :, : self.few].permute(1, 0, 2).reshape(bases.shape[1], self.zones * self.few)
        self.register_buffer("chosen", side_by_side(stacked))
        self.register_buffer("bases", torch.cat([bases.real, bases.imag], dim=2).contiguous())
        delays, angles = waves.tables()
        self.register_buffer("delays", torch.from_numpy(delays))
        self.register_buffer("angles", torch.from_numpy(angles))

    def forward(self, csi: Tensor) -> tuple[Tensor, ...]:
        """(N, 2, T, B) -> (N, 2 rank), (N,) and (N, 2, bins), (N,), those that the codec has."""
        x = _times(csi, self.turn)
        found: list[Tensor] = []
        if self.zones:
            coordinates = times_conjugate(x.flatten(2), self.front)
            within = times_conjugate(coordinates, self.chosen).unflatten(2, (self.zones, self.few))
            zone = within.square().sum(dim=(1, 3)).argmax(dim=1)
            products = coordinates @ self.bases[zone]
            real, imaginary = products[:, :, : self.rank], products[:, :, self.rank :]
            own = torch.stack([real[:, 0] + imaginary[:, 1], real[:, 1] - imaginary[:, 0]], dim=2)
            found += [own.flatten(1), zone]
        if self.paths:
            products = (self.delays @ x @ self.angles.T).flatten(2)
            found += [products, products.square().sum(dim=1).argmax(dim=1)]
        return tuple(found)


class _Decoder(nn.Module):
    """The sum of paths, and of coefficients in a zone; the number of zones is none."""

    turn: Tensor
    front: Tensor
    bases: Tensor

    def __init__(self, model: HybridModel) -> None:
        super().__init__()
        bases, waves = model.zones.bases, model.waves
        self.zones, _, self.rank = bases.shape
        self.paths, self.shape, self.subcarriers = model.config.paths > 0, (waves.taps, waves.beams), waves.subcarriers
        self.register_buffer(
            "turn", _parts(waves.turned(torch.ones(1, waves.taps, waves.beams, dtype=torch.complex64)))
        )
        self.register_buffer("front", side_by_side(model.zones.front))
        padded = torch.cat([bases, torch.zeros_like(bases[:1])]) if self.zones else bases
        self.register_buffer("bases", torch.cat([padded.real, padded.imag], dim=2).contiguous())

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, P, 2), (N, P, 2) and (N, 2 rank), (N,), those that the codec has -> (N, 2, T, B)."""
        given = list(inputs)
        x = torch.zeros(1, 2, *self.shape)
        if self.paths:
            places, gains = given.pop(0), given.pop(0)
            delays = _waves(places[:, :, :1], self.subcarriers, self.shape[0])
            angles = _waves(places[:, :, 1:], self.shape[1], self.shape[1])
            weighted = gains.transpose(1, 2)[:, :, None] * delays.transpose(1, 2)[:, None]  # (N, 2, T, P)
            x = x + weighted @ angles[:, None]
        if self.zones:
            values, zone = given
            own = values.unflatten(1, (-1, 2))
            beside = torch.stack([-own[:, :, 1], own[:, :, 0]], dim=2)  # times j, for the imaginary parts of the basis
            products = self.bases[zone] @ torch.cat([own, beside], dim=1)
            x = x + times_transpose(products.transpose(1, 2), self.front).unflatten(2, self.shape)
        return torch.stack(
            [x[:, 0] * self.turn[0] + x[:, 1] * self.turn[1], x[:, 1] * self.turn[0] - x[:, 0] * self.turn[1]], dim=1
        )


def _parts(turn: Tensor) -> Tensor:
    """(1, T, B) complex as (2, T, B) real."""
    return torch.cat([turn.real, turn.imag]).contiguous()


def _times(x: Tensor, by: Tensor) -> Tensor:
    """(N, 2, T, B) times (2, T, B)."""
    return torch.stack([x[:, 0] * by[0] - x[:, 1] * by[1], x[:, 1] * by[0] + x[:, 0] * by[1]], dim=1)


def _waves(places: Tensor, size: int, count: int) -> Tensor:
    """``f_size(n - place)`` (`sitetwin.learn.csi.hybrid.waves`) of (N, P, 1) for n = 0 ... count - 1: (N, P, count)."""
    n = torch.arange(count, dtype=torch.float32)
    whole = torch.floor(places + 0.5)
    odd = torch.remainder(n - whole, 2.0)  # 0 or 1
    above = (2 * odd - 1) * torch.sin(math.pi * (places - whole))
    x = n - places
    period = torch.floor(x / size + 0.5)
    near = x - size * period  # from the nearest period
    sign = 1 - 2 * torch.remainder(period * (size + 1), 2.0)  # of sin(pi x) over that of sin(pi near), and below
    below = size * torch.sin(math.pi / size * near)
    small = near.abs() < 1e-4
    exact = above * (1 - 2 * torch.remainder(period, 2.0)) / torch.where(small, torch.ones_like(below), below)
    return torch.where(small, sign.expand_as(exact), exact)
