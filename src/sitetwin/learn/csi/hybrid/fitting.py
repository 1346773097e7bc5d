"""Fitting and updating of hybrid models."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float, Int64
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.hybrid.frequencies import cumulative
from sitetwin.learn.csi.hybrid.model import MOST_BITS, HybridConfig, HybridModel, first_tables, learned
from sitetwin.learn.csi.hybrid.range_coder import TOTAL
from sitetwin.learn.csi.hybrid.references import (
    KNOWN,
    PathList,
    Pose,
    placed,
    pose_of,
    randomised,
    resolved,
    table_of,
    together,
)
from sitetwin.learn.csi.hybrid.tasks import SPARE
from sitetwin.learn.csi.hybrid.waves import Waves
from sitetwin.learn.csi.hybrid.zones import Zones, fit_zones

_LISTENERS = 800  # matrices by whose reports frequencies are learned, at most, and a tenth of all
_SHARE = 0.1
_WEIGHT = 3.0  # of a measured matrix against one of the twin
NO_REFERENCES = np.zeros((0, KNOWN, 2), np.int64)

_WIDEST_SPACING = 0.6  # wavelengths; a beam of a wider array is that of several directions, and tells no heading
_TURN_LEFT = 0.002  # rad, of a heading that was estimated
_HEARD = 0.5  # share of the measured matrices among those whose reports are counted, over the twin's
_MOST_REFERENCES = 1 << 18
_GROUPED = 5120  # most matrices to which zones are fitted; more of them are references alone
_FEWEST = 40  # matrices of whom a part can be kept apart


def fit_model(
    config: HybridConfig,
    waves: Waves,
    bits: int,
    x: Complex[Tensor, "users taps beams"],
    rng: torch.Generator,
) -> HybridModel:
    """Fit a model to matrices of a twin.

    The zones are fitted to most of them, and the frequencies are those of the reports of the others, because zones
    expect less of new matrices than they hold of their own. The others are changed first, as a world may differ.

    Args:
        config: How it is fitted.
        waves: The grid of taps and beams.
        bits: Bits of a report.
        x: Normalised training matrices.
        rng: Source of all random numbers.

    Raises:
        SiteTwinError: The bits are too few for any report, or too many; or the grid is too large.
    """
    if bits > MOST_BITS:
        raise SiteTwinError(f"a report of this method has at most {MOST_BITS:,} bits, and {bits:,} were asked for")
    if waves.delay_bins * waves.angle_bins > TOTAL // 2:
        raise SiteTwinError(
            f"{waves.taps} delay taps of {waves.beams} beams are too many places for paths; keep fewer taps"
        )
    if not config.learned:
        zones = _none(waves)
        return _checked(HybridModel(config, waves, bits, zones, first_tables(config, waves, zones, NO_REFERENCES)))
    return _fitted(config, waves, bits, x, torch.ones(len(x)), None, config.errors, rng)


def updated_model(
    model: HybridModel,
    twin: Complex[Tensor, "users taps beams"],
    measured: Complex[Tensor, "more taps beams"],
    rng: torch.Generator,
) -> tuple[HybridModel, Pose]:
    """A model of a twin's matrices, moved to where measured ones have their paths, and of these; with it the pose."""
    waves = model.waves
    theirs = resolved(model.task, waves, waves.turned(twin))
    ours = resolved(model.task, waves, waves.turned(measured))
    posed = model.config.posed and waves.spacing <= _WIDEST_SPACING
    pose = pose_of(waves, theirs, ours) if posed else Pose()
    moved = PathList(placed(waves, theirs.places, pose), theirs.gains, theirs.left)
    x = waves.turned_back(together(waves, moved))
    x = torch.cat([x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True), measured])
    w = torch.cat([torch.ones(len(twin)), torch.full((len(measured),), _WEIGHT)])
    delay, angle, turn, gain, elsewhere = model.config.errors
    errors = (delay, angle, _TURN_LEFT if posed else turn, gain, elsewhere)
    return _fitted(model.config, waves, model.bits, x, w, measured, errors, rng), pose


def _fitted(
    config: HybridConfig,
    waves: Waves,
    bits: int,
    x: Complex[Tensor, "users taps beams"],
    weights: Float[Tensor, " users"],
    measured: Complex[Tensor, "more taps beams"] | None,
    errors: tuple[float, float, float, float, float],
    rng: torch.Generator,
) -> HybridModel:
    """A model of matrices, of which measured ones are the last."""
    certain = len(x) - (0 if measured is None else len(measured))
    order = torch.randperm(certain, generator=rng)
    few = min(_LISTENERS, int(_SHARE * certain)) if certain >= _FEWEST else 0
    others = torch.cat([order[few:], torch.arange(certain, len(x))])
    zones = _zones(config, waves, x[others[-_GROUPED:]], weights[others[-_GROUPED:]], rng)
    bare = _checked(HybridModel(config, waves, bits, zones, first_tables(config, waves, zones, NO_REFERENCES)))
    heard = order[:few] if few else order
    if not config.references:
        listeners = x[heard] if measured is None else torch.cat([x[heard], measured])
        return _checked(learned(learned(bare, listeners), listeners))
    paths = resolved(bare.task, waves, waves.turned(x))
    table = table_of(paths)
    rows = heard.numpy()
    mine = PathList(paths.places[rows], paths.gains[rows], paths.left[heard])
    changed = waves.turned_back(together(waves, randomised(waves, mine, errors, rng)))
    changed = changed / torch.linalg.vector_norm(changed, dim=(1, 2), keepdim=True)
    if measured is not None:
        repeated = max(1, round(_HEARD * len(changed) / len(measured)))
        changed = torch.cat([changed, measured.repeat(repeated, 1, 1)])
    model = replace(bare, tables=first_tables(config, waves, zones, table[order[few:].numpy()]))
    model = learned(learned(model, changed), changed)
    return _checked(_with_references(model, table))


def _zones(
    config: HybridConfig,
    waves: Waves,
    x: Complex[Tensor, "users taps beams"],
    weights: Float[Tensor, " users"],
    rng: torch.Generator,
) -> Zones:
    """The zones of matrices."""
    if not config.zones:
        return _none(waves)
    count = max(1, min(config.zones, len(x) // config.members))
    flat = waves.turned(x).flatten(1)
    return fit_zones(flat, weights, count, config.rank, config.chosen, config.floor, rng)


def _with_references(model: HybridModel, table: Int64[np.ndarray, "references known 2"]) -> HybridModel:
    """The model with other references, all alike; each needs a share of the frequencies."""
    table = table[-_MOST_REFERENCES:]
    shares = np.diff(model.tables.likes).astype(np.float64)
    none = shares[-1] / shares.sum()
    likes = cumulative(np.array([*np.full(len(table), (1 - none) / len(table)), none]))
    return replace(model, tables=model.tables._replace(references=table, likes=likes))


def _none(waves: Waves) -> Zones:
    """No zones."""
    front = torch.zeros(waves.taps * waves.beams, 0, dtype=torch.complex64)
    return Zones(front, torch.zeros(0, 0, 0, dtype=torch.complex64), torch.zeros(0, 0), torch.zeros(0))


def _checked(model: HybridModel) -> HybridModel:
    """The model, whose reports can say at least that there is nothing.

    Raises:
        SiteTwinError: They cannot.
    """
    least = model.least_bits + SPARE
    if least > model.bits:
        raise SiteTwinError(
            f"{model.bits} bits are too few for a report of this method; give at least {math.ceil(least)}"
        )
    return model
