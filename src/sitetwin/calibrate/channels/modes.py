"""Likely pairs of permittivity and thickness of all slabs: where a climb begins, and how far apart its ends may lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sitetwin.calibrate.channels.climbs import Climb, Peak, peaks_of
from sitetwin.calibrate.channels.likelihood import Contamination
from sitetwin.calibrate.channels.parameters import Parameter, Stage
from sitetwin.calibrate.channels.properties import paths_meeting
from sitetwin.calibrate.channels.samples import sampled
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.calibrate.channels.slabs import PairAxes, SlabScan, placed

_MOST = 8  # peaks of a slab that are weighed
_WITHIN = 12.0  # nats below the highest
_SAME = 0.5  # posterior standard deviations within which a peak is the one that was found
_BETTER = 0.5  # nats by which another peak must be higher to begin anew from there
_RESTARTS = 2
_STILL: tuple[Stage, ...] = ("pose", "pattern")  # held while a fit begins anew, as when materials were fitted
_SEARCHED = ("relative_permittivity", "thickness", "conductivity")
_SWEEPS: dict[Stage, int] = {"materials": 3, "buildings": 1}  # buildings begin near their classes
_ENOUGH = 1.0  # nats that a sweep must gain for another one
_FLATTEST = 2.0
"""Largest dispersion of a search. Wrong slabs make errors that neighbours share, and a dispersion that is estimated
with them lets the prior decide; the misfit flattens the likelihood as far as the twin is wrong already."""

_KEPT: tuple[Stage, ...] = ("pose", "pattern", "scattering")  # between sweeps, for speed
_ROUNDS = 2  # of the climb after a sweep
_TRIED = 3  # peaks of a slab that are compared with all taps
_FOLLOWED: dict[Stage, int] = {"materials": 2, "buildings": 1}  # other peaks of a slab that all parameters follow
_NEAR = 5.0  # nats of the mass of the found peak below which a pair is not worth its time


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

    @property
    def searched(self) -> list[int]:
        """Numbers of the parameters that are searched."""
        return [at for at in (self.permittivity, self.thickness, self.conductivity) if at is not None]


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
    """Changes with the most likely pairs of the slabs of a stage.

    One slab is scanned after the other, again and again as long as that gains: pairs of one slab are judged well only
    when the others are right. A scan knows some taps; of its peaks the one is taken that all taps find most likely.
    """
    moved, spread = theta.copy(), min(dispersion, _FLATTEST)
    slabs = slabs_of(scorer, parameters, stage)
    if not slabs:
        return moved
    here, nuisance = _height(scorer, parameters, moved, nuisance, spread)
    for _ in range(_SWEEPS[stage]):
        began = here
        moved, here, nuisance = _swept(scorer, parameters, (moved, here, nuisance), spread, slabs)
        if here == began:
            break
        fit = scorer.fit(parameters, moved, nuisance, _KEPT, _ROUNDS)
        there, found = _height(scorer, parameters, fit.theta, fit.nuisance, spread)
        if there > here:
            moved, here, nuisance = fit.theta, there, found
        if here < began + _ENOUGH:
            break
    return moved


_Place = tuple[np.ndarray, float, Contamination]
"""Changes, their log-posterior, and the most likely misfit and outliers there."""


def _swept(scorer: Scorer, parameters: list[Parameter], place: _Place, spread: float, slabs: Sequence[Slab]) -> _Place:
    """The place with each slab in turn at the pair that all taps find most likely."""
    for slab in slabs:
        moved, _, nuisance = place
        for peak in _peaks(scorer, parameters, moved, nuisance, spread, slab)[:_TRIED]:
            tried = _with(parameters, place[0], slab, peak)
            there, found = _height(scorer, parameters, tried, nuisance, spread)
            if there > place[1]:
                place = tried, there, found
    return place


def _height(
    scorer: Scorer, parameters: Sequence[Parameter], theta: np.ndarray, nuisance: Contamination, dispersion: float
) -> tuple[float, Contamination]:
    """Log-posterior with the most likely misfit and outliers, and these."""
    found = scorer.refit_nuisance(parameters, theta, nuisance)
    return scorer.objective(parameters, theta, found, dispersion), found


@dataclass(frozen=True, eq=False)
class Mode:
    """Another mode of the posterior, in which one slab lies elsewhere.

    Attributes:
        theta: (J,) changes.
        gain: Nats by which it is higher than the mode that was found.
        share: Its share of the posterior.
    """

    theta: np.ndarray
    gain: float
    share: float


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What one slab's posterior holds beside the normal law at the mode that was found.

    Attributes:
        slab: The slab.
        modes: Its other modes.
        moment: (K, K) mean squares of the changes about the mode that was found, of the parameters that are searched.
        own: (K, K) covariance of that mode's peak, all other parameters kept.
    """

    slab: Slab
    modes: tuple[Mode, ...]
    moment: np.ndarray
    own: np.ndarray


def among_modes(scorer: Scorer, fit: Fit) -> tuple[Fit, tuple[OtherMode, ...]]:
    """Compare a fit with the other likely pairs of its slabs; begin anew from a higher one, and widen the posterior.

    All other parameters but pose and pattern follow the likeliest other pairs of a slab. The posterior is then a
    mixture of these modes, each weighed by its height and its volume; the values remain those of the highest, and the
    covariance is the mixture's about it.
    """
    fit = _scanned_again(scorer, fit)
    around = _around(scorer, fit)
    for _ in range(_RESTARTS):
        best = max((mode for one in around for mode in one.modes), key=lambda mode: mode.gain, default=None)
        if best is None or best.gain < _BETTER:
            break
        again = scorer.fit(fit.parameters, best.theta, fit.nuisance, _STILL)
        again = scorer.fit(again.parameters, again.theta, again.nuisance, rounds=0)
        if not _higher(scorer, again, fit):
            break
        fit = again
        around = _around(scorer, fit)
    return mixture(fit, around)


def _scanned_again(scorer: Scorer, fit: Fit) -> Fit:
    """A fit from the pairs of another scan, as long as that is higher: the first one knew misfit and poses badly."""
    parameters = list(fit.parameters)
    for _ in range(_RESTARTS):
        start = scanned(scorer, parameters, fit.theta, fit.nuisance, fit.dispersion, "materials")
        again = _begun_anew(scorer, fit, start)
        if again is fit:
            break
        fit = again
    return fit


def _begun_anew(scorer: Scorer, fit: Fit, start: np.ndarray) -> Fit:
    """A fit from other changes if that is higher, or else the one that is known."""
    parameters = list(fit.parameters)
    heights = [_height(scorer, parameters, at, fit.nuisance, fit.dispersion)[0] for at in (fit.theta, start)]
    if heights[1] < heights[0] + _BETTER:
        return fit
    again = scorer.fit(parameters, start, fit.nuisance, _STILL)
    again = scorer.fit(parameters, again.theta, again.nuisance, rounds=0)
    return again if _higher(scorer, again, fit) else fit


def _higher(scorer: Scorer, one: Fit, other: Fit) -> bool:
    """Whether a fit is more likely than another, both judged with the smaller of their dispersions."""
    spread = min(one.dispersion, other.dispersion)
    heights = [scorer.objective(f.parameters, f.theta, f.nuisance, spread) for f in (one, other)]
    return heights[0] > heights[1]


def _around(scorer: Scorer, fit: Fit) -> list[Surroundings]:
    """The other modes of each slab, and how wide its posterior is."""
    parameters, found = list(fit.parameters), []
    here, _ = _height(scorer, parameters, fit.theta, fit.nuisance, fit.dispersion)
    slabs = [(slab, most) for stage, most in _FOLLOWED.items() for slab in slabs_of(scorer, parameters, stage)]
    slopes = scorer.signal_slopes(parameters, fit.theta) if slabs else np.zeros((0, 0))
    still = [at for at, one in enumerate(parameters) if one.stage in _STILL]
    for slab, most in slabs:
        scan = SlabScan(scorer, parameters, fit.theta, fit.nuisance, list(slab.entries))
        if not len(scan.observed):
            continue
        climb = Climb(scan, axes_of(parameters, fit.theta, slab), fit.dispersion)
        peaks = peaks_of(climb, _MOST, _WITHIN)
        places = [_with(parameters, fit.theta, slab, peak) for peak in peaks]
        away = [_away(fit, slab, place) for place in places]
        own = peaks[int(np.argmin(away))]
        changes, others = np.zeros(len(peaks)), {}
        far_off = [i for i, peak in enumerate(peaks) if peak is not own and away[i] >= _SAME]
        for i in sorted(far_off, key=lambda i: -peaks[i].log_mass)[:most]:
            peak = peaks[i]
            if peak.log_mass < own.log_mass - _NEAR:
                break
            theta = scorer.settled(
                parameters, places[i], fit.nuisance, fit.dispersion, slopes, [*still, *slab.searched]
            )
            gain = _height(scorer, parameters, theta, fit.nuisance, fit.dispersion)[0] - here
            changes[i] = np.clip(gain - (peak.log_posterior - own.log_posterior), -_WITHIN, _WITHIN)
            others[i] = theta, gain
        sample = sampled(climb, peaks)
        weight = sample.weights(changes)
        far = sample.at - (fit.theta[slab.searched] + _classes(parameters, fit.theta, slab))
        modes = tuple(Mode(theta, gain, float(weight[sample.peak == i].sum())) for i, (theta, gain) in others.items())
        found.append(Surroundings(slab, modes, (far.T * weight) @ far, own.covariance))
    return found


def _classes(parameters: Sequence[Parameter], theta: np.ndarray, slab: Slab) -> np.ndarray:
    """(K,) changes that the class of a building gives already."""
    return np.array([_of_class(parameters, theta, parameters[at]) for at in slab.searched])


def _pair(slab: Slab) -> list[int]:
    """Numbers of the parameters that tell one mode from another."""
    pair = [at for at in (slab.permittivity, slab.thickness) if at is not None]
    return pair or slab.searched


def _away(fit: Fit, slab: Slab, theta: np.ndarray) -> float:
    """How far the pair of a slab lies from that of a fit, in standard deviations."""
    return float((np.abs(theta - fit.theta) / np.sqrt(np.diag(fit.covariance)))[_pair(slab)].max())


def mixture(fit: Fit, around: Sequence[Surroundings]) -> tuple[Fit, tuple[OtherMode, ...]]:
    """The fit with the covariance of the whole posterior about its values; slabs are taken as independent."""
    covariance, modes = fit.covariance.copy(), []
    for one in around:
        told = np.zeros_like(covariance)
        for mode in one.modes:
            told += mode.share * np.outer(mode.theta - fit.theta, mode.theta - fit.theta)
            modes.append(OtherMode(one.slab.name, *_pair_values(fit.parameters, one.slab, mode.theta), mode.share))
        block = np.ix_(one.slab.searched, one.slab.searched)
        told[block] += _positive(one.moment - one.own - told[block])
        covariance += told
    return replace(fit, covariance=covariance), tuple(modes)


def _positive(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix without its negative part."""
    size, axes = np.linalg.eigh(matrix)
    kept: np.ndarray = (axes * np.maximum(size, 0.0)) @ axes.T
    return kept


def _peaks(
    scorer: Scorer,
    parameters: list[Parameter],
    theta: np.ndarray,
    nuisance: Contamination,
    dispersion: float,
    slab: Slab,
) -> list[Peak]:
    scan = SlabScan(scorer, parameters, theta, nuisance, list(slab.entries))
    if not len(scan.observed):
        return []
    return peaks_of(Climb(scan, axes_of(parameters, theta, slab), dispersion), _MOST, _WITHIN)


def _pair_values(parameters: Sequence[Parameter], slab: Slab, theta: np.ndarray) -> tuple[float, float]:
    """Permittivity and thickness of a slab; NaN for one that is held."""
    values = []
    for at in (slab.permittivity, slab.thickness):
        change = np.nan if at is None else float(theta[at]) + _of_class(parameters, theta, parameters[at])
        values.append(np.nan if at is None else parameters[at].value(change))
    return values[0], values[1]


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
