"""Fitting and updating of hybrid models."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.hybrid.model import HybridConfig, HybridModel, first_tables, learned
from sitetwin.learn.csi.hybrid.waves import Waves
from sitetwin.learn.csi.hybrid.zones import Zones, fit_zones

_LISTENERS = 800  # matrices by whose reports frequencies are learned, at most, and a tenth of all
_SHARE = 0.1
_WEIGHT = 3.0  # of a measured matrix against one of the twin
_FEWEST = 40  # matrices of whom a part can be kept apart


def fit_model(
    config: HybridConfig,
    waves: Waves,
    bits: int,
    x: Complex[Tensor, "users taps beams"],
    weights: Float[Tensor, " users"],
    rng: torch.Generator,
) -> HybridModel:
    """Fit a model to matrices.

    The zones are fitted to most of them, and the frequencies are those of the reports of the others, because zones
    expect less of new matrices than they hold of their own.

    Args:
        config: How it is fitted.
        waves: The grid of taps and beams.
        bits: Bits of a report.
        x: Normalised training matrices.
        weights: Their weights.
        rng: Source of all random numbers.

    Raises:
        SiteTwinError: The bits are too few for any report.
    """
    if not config.zones:
        return _checked(HybridModel(config, waves, bits, _none(waves), first_tables(config, waves, _none(waves))))
    order = torch.randperm(len(x), generator=rng)
    few = min(_LISTENERS, int(_SHARE * len(x))) if len(x) >= _FEWEST else 0
    others = order[few:]
    flat = waves.turned(x).flatten(1)
    count = max(1, min(config.zones, len(others) // config.members))
    zones = fit_zones(flat[others], weights[others], count, config.rank, config.chosen, config.floor, rng)
    model = _checked(HybridModel(config, waves, bits, zones, first_tables(config, waves, zones)))
    if not config.learned:
        return model
    listeners = x[order[:few]] if few else x
    return _checked(learned(learned(model, listeners), listeners))


def updated_model(
    model: HybridModel,
    training: Complex[Tensor, "users taps beams"],
    weights: Float[Tensor, " users"],
    measured: Complex[Tensor, "more taps beams"],
    rng: torch.Generator,
) -> tuple[HybridModel, Tensor, Tensor]:
    """A model of the training matrices and measured ones; with it the matrices and their weights."""
    x = torch.cat([training, measured])
    w = torch.cat([weights, torch.full((len(measured),), _WEIGHT)])
    return fit_model(model.config, model.waves, model.bits, x, w, rng), x, w


def _none(waves: Waves) -> Zones:
    """No zones."""
    front = torch.zeros(waves.taps * waves.beams, 0, dtype=torch.complex64)
    return Zones(front, torch.zeros(0, 0, 0, dtype=torch.complex64), torch.zeros(0, 0), torch.zeros(0))


def _checked(model: HybridModel) -> HybridModel:
    """The model, whose reports can say at least that there is nothing.

    Raises:
        SiteTwinError: They cannot.
    """
    if model.least_bits > model.bits:
        raise SiteTwinError(
            f"{model.bits} bits are too few for a report of this method; give at least {int(model.least_bits) + 1}"
        )
    return model
