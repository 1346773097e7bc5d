"""Likely pairs of permittivity and thickness of all slabs: where a climb begins, and how far apart its ends may lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sitetwin.calibrate.channels.likelihood import Contamination
from sitetwin.calibrate.channels.parameters import Parameter, Stage
from sitetwin.calibrate.channels.properties import paths_meeting
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.calibrate.channels.slabs import PairAxes, Peak, SlabScan, placed

_MOST = 5  # peaks of a slab that are weighed
_WITHIN = 12.0  # nats below the highest
_SAME = 0.5  # posterior standard deviations within which a peak is the one that was found
_BETTER = 0.5  # nats by which another peak must be higher to begin anew from there
_RESTARTS = 2
_SEARCHED = ("relative_permittivity", "thickness", "conductivity")
_SWEEPS = {"materials": 2, "buildings": 1}  # buildings begin near their classes


@dataclass(frozen=True)
class Slab:
    """A material with a thickness.

    Attributes:
        entries: Its entries of the split site.
        permittivity: Number of the parameter of its permittivity; None where that is held.
        thickness: Number of the parameter of its thickness; None where that is held.
        conductivity: Number of the parameter of its conductivity; None where that is held.
        name: Name of the material.
    """

    entries: tuple[int, ...]
    permittivity: int | None
    thickness: int | None
    conductivity: int | None
    name: str


@dataclass(frozen=True)
class OtherMode:
    """Another likely pair of a slab, beside the one that was found.

    Attributes:
        slab: Name of the material.
        permittivity: Relative permittivity.
        thickness: Metres.
        weight: Its probability.
    """

    slab: str
    permittivity: float
    thickness: float
    weight: float


def slabs_of(scorer: Scorer, parameters: Sequence[Parameter], stage: Stage) -> list[Slab]:
    """The slabs whose parameters are those of a stage, the ones that most paths meet first."""
    table = scorer.twin.table
    numbers: dict[tuple[int, ...], dict[str, int]] = {}
    for at, one in enumerate(parameters):
        if one.what in _SEARCHED and one.stage == stage:
            numbers.setdefault(one.entries, {})[one.what] = at
    found = []
    for entries, known in numbers.items():
        if not np.isfinite(table.nominal["thickness"][list(entries)]).all():
            continue
        first = parameters[min(known.values())]
        name = first.name.removeprefix(f"{first.what} of ")
        permittivity, thickness, conductivity = (known.get(what) for what in _SEARCHED)
        found.append(Slab(entries, permittivity, thickness, conductivity, name))
    paths = scorer.twin.paths
    weight = [float(paths_meeting(paths, table.site, s.entries).sum()) for s in found]
    return [found[i] for i in np.argsort(-np.array(weight), kind="stable")]


def scanned(
    scorer: Scorer,
    parameters: list[Parameter],
    theta: np.ndarray,
    nuisance: Contamination,
    dispersion: float,
    stage: Stage,
) -> np.ndarray:
    """Changes with the most likely pair of each slab of a stage, one slab after the other."""
    moved = theta.copy()
    slabs = slabs_of(scorer, parameters, stage)
    for _ in range(_SWEEPS[stage] if len(slabs) > 1 else 1):
        for slab in slabs:
            peaks = _peaks(scorer, parameters, moved, nuisance, dispersion, slab, 1)
            if peaks:
                moved = _with(parameters, moved, slab, peaks[0])
    return moved


def among_modes(scorer: Scorer, fit: Fit) -> tuple[Fit, tuple[OtherMode, ...]]:
    """Compare a fit with the other likely pairs of its slabs; begin anew from a better one, and widen the posterior.

    A slab's pair is then a mixture: the variance about the best pair is that of its own peak, and the weighted squares
    of the distances of the others.
    """
    better, modes, spread = _compare(scorer, fit)
    for _ in range(_RESTARTS):
        if better is None:
            break
        again = scorer.fit(fit.parameters, better, fit.nuisance)
        if again.log_posterior <= fit.log_posterior:
            break
        fit = again
        better, modes, spread = _compare(scorer, fit)
    return replace(fit, covariance=fit.covariance + spread), tuple(modes)


def _compare(scorer: Scorer, fit: Fit) -> tuple[np.ndarray | None, list[OtherMode], np.ndarray]:
    """A better start, or None; the other modes; and (J, J) what they add to the covariance."""
    parameters = list(fit.parameters)
    spread, modes = np.zeros_like(fit.covariance), []
    here = scorer.objective(parameters, fit.theta, fit.nuisance, fit.dispersion)
    best, start = here + _BETTER, None
    stages = {p.stage for p in parameters}
    for stage in ("materials", "buildings"):
        for slab in slabs_of(scorer, parameters, stage) if stage in stages else []:
            others = []
            for peak in _peaks(scorer, parameters, fit.theta, fit.nuisance, fit.dispersion, slab, _MOST):
                moved = _with(parameters, fit.theta, slab, peak)
                away = ((moved - fit.theta) / np.sqrt(np.diag(fit.covariance)))[_pair(slab)]
                if np.abs(away).max() < _SAME:
                    continue
                there = scorer.objective(parameters, moved, fit.nuisance, fit.dispersion)
                others.append((peak, moved - fit.theta, there - here))
                if there > best:
                    best, start = there, moved
            weights = np.exp(np.array([0.0, *(min(o[2], 50.0) for o in others)]))
            weights /= weights.sum()
            for (peak, away, _gain), weight in zip(others, weights[1:].tolist(), strict=True):
                spread += weight * np.outer(away, away)
                modes.append(OtherMode(slab.name, peak.permittivity, peak.thickness, weight))
    return start, modes, spread


def _pair(slab: Slab) -> list[int]:
    """Numbers of the parameters that tell one mode from another."""
    pair = [at for at in (slab.permittivity, slab.thickness) if at is not None]
    return pair or [at for at in (slab.conductivity,) if at is not None]


def _peaks(
    scorer: Scorer,
    parameters: list[Parameter],
    theta: np.ndarray,
    nuisance: Contamination,
    dispersion: float,
    slab: Slab,
    most: int,
) -> list[Peak]:
    scan = SlabScan(scorer, parameters, theta, nuisance, list(slab.entries))
    if not len(scan.observed):
        return []
    return scan.peaks(axes_of(parameters, theta, slab), dispersion, most, _WITHIN)


def axes_of(parameters: Sequence[Parameter], theta: np.ndarray, slab: Slab) -> PairAxes:
    """The parameters of a slab, with what its class gives already."""
    known = [None if at is None else parameters[at] for at in (slab.permittivity, slab.thickness, slab.conductivity)]
    centre = [0.0 if one is None else _of_class(parameters, theta, one) for one in known[:2]]
    return PairAxes(known[0], known[1], (centre[0], centre[1]), known[2])


def _of_class(parameters: Sequence[Parameter], theta: np.ndarray, one: Parameter) -> float:
    return sum(float(v) for p, v in zip(parameters, theta, strict=True) if one.within and p.name == one.within)


def _with(parameters: Sequence[Parameter], theta: np.ndarray, slab: Slab, peak: Peak) -> np.ndarray:
    moved = theta.copy()
    for at, value in (
        (slab.permittivity, peak.permittivity),
        (slab.thickness, peak.thickness),
        (slab.conductivity, peak.conductivity),
    ):
        if at is not None:
            moved[at] = placed(parameters[at], value) - _of_class(parameters, theta, parameters[at])
    return moved
