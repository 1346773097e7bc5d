"""The coders of a study of rates: each method fitted to each source at each number of bits, networks once for all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.channel import AntennaArray, OfdmGrid, Radio
from sitetwin.learn.cell.coder import CellCoder
from sitetwin.learn.cell.fixed_rate import FixedRateCoder
from sitetwin.learn.cell.generic.omp import strongest_atoms
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.methods import CODEC_KINDS, METHODS, REALS, trained_for
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget, reconstruct
from sitetwin.learn.csi.trained import NeuralCodec
from sitetwin.studies.rates.config import NO_SITE, RatesStudy, trains_by_epochs

Recover = Callable[[Complex[Tensor, "users taps beams"]], tuple[Complex[Tensor, "users taps beams"], float]]
"""Recovers matrices, and says how many bits a report had on average."""


@dataclass(frozen=True, eq=False)
class Opponent:
    """One way to feed channels back.

    Attributes:
        method: Name of the method.
        source: What it was trained on.
        bits: Most bits of a report; None where reals are sent as they are.
        recover: Encodes and decodes.
        costs: Multiply-adds and bytes at both ends, by name; none where reals are sent.
        updated: Makes its `recover` of a codec that also knows measured matrices; None where it cannot be updated, and
            for networks, whose refinement is another study's.
    """

    method: str
    source: str
    bits: int | None
    recover: Recover
    costs: dict[str, Any]
    updated: Callable[[Complex[Tensor, "users taps beams"]], Recover] | None = None

    def refined(self, source: str, measured: Complex[Tensor, "users taps beams"]) -> Opponent | None:
        """The same after an update with measured matrices, under the name of another source."""
        if self.updated is None:
            return None
        return replace(self, source=source, recover=self.updated(measured), costs={}, updated=None)


def opponents(
    study: RatesStudy, sources: dict[str, Tensor], seed: int, methods: tuple[str, ...] | None = None
) -> Iterator[Opponent]:
    """All opponents of some training matrices, one after the other.

    Args:
        study: The configuration.
        sources: Training matrices by source. Methods that know no site take the first to split their bits.
        seed: Seed of the fits.
        methods: Those of the study's methods that are wanted; all by default.
    """
    for method in study.methods if methods is None else methods:
        if not METHODS[method].learns:
            yield from _of_source(study, method, NO_SITE, next(iter(sources.values())), seed)
            continue
        for source, x in sources.items():
            yield from _of_source(study, method, source, x, seed)


def _of_source(study: RatesStudy, method: str, source: str, x: Tensor, seed: int) -> Iterator[Opponent]:
    """A method at all bits, and with the published number of reals that are sent as they are."""
    trained: CsiCodec | None = None
    if method in CODEC_KINDS:
        codec = CODEC_KINDS[method]()
        if trains_by_epochs(method) and study.epochs is not None:
            codec = trained_for(method, codec.budget.bits, study.epochs)
        trained = codec.fit(x, _rng(seed))
        updated = None if _is_fixed(trained) else partial(_updated_reals, trained, seed)
        yield Opponent(method, source, None, _sending_reals(trained), {}, updated)
    elif method == "omp":
        yield Opponent(method, source, None, lambda y: (strongest_atoms(y, REALS // 4), 0.0), {})
    for bits in sorted({*study.bits, study.noise_bits}):
        if trained is not None and trains_by_epochs(method):
            same = copy.copy(trained)
            same.budget = Budget(REALS, bits // REALS)
            coder: CellCoder = FixedRateCoder.of_fitted(same, x)
        else:
            coder = METHODS[method].fit_for(cell_link(study))(x, bits, _rng(seed))
        fixed = not METHODS[method].learns or (trained is not None and _is_fixed(trained))
        updated = None if fixed else partial(_updated_bits, coder, seed)
        yield Opponent(method, source, bits, _sending_bits(coder), _costs(coder.facts()), updated)


def cell_link(study: RatesStudy) -> CellLink:
    """The link of the cell: its linear array, its band, its delay taps."""
    link = study.csi.link
    grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
    return CellLink.of_radio(Radio(AntennaArray.ula(link.antennas)), grid, link.taps)


def _is_fixed(codec: CsiCodec) -> bool:
    """Whether it is not updated here: it has no update, or trains for hours."""
    return type(codec).update is CsiCodec.update or isinstance(codec, NeuralCodec)


def _updated_reals(codec: CsiCodec, seed: int, measured: Tensor) -> Recover:
    return _sending_reals(codec.update(measured, _rng(seed)))


def _updated_bits(coder: CellCoder, seed: int, measured: Tensor) -> Recover:
    return _sending_bits(coder.update(measured, _rng(seed)))


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _sending_reals(codec: CsiCodec) -> Recover:
    return lambda x: (reconstruct(codec, x), 0.0)


def _sending_bits(coder: CellCoder) -> Recover:
    def recover(x: Tensor) -> tuple[Tensor, float]:
        payload, bits = coder.encode(x)
        return coder.decode(payload, bits), float(bits.mean())

    return recover


def _costs(facts: dict[str, Any]) -> dict[str, Any]:
    names = ("multiply_adds_ue", "multiply_adds_bs", "bytes_ue", "bytes_bs")
    return {name: int(facts[name]) for name in names if name in facts}
