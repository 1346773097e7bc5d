"""The fitted model of a hybrid codec, and what it makes of matrices: symbols of reports, and matrices again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float32, Float64, Int64
from torch import Tensor

from sitetwin.learn.csi.hybrid.frequencies import (
    RATIOS,
    amplitude_tables,
    coefficient_tables,
    cumulative,
    flat_ratios,
    lengths,
)
from sitetwin.learn.csi.hybrid.paths import Grid
from sitetwin.learn.csi.hybrid.range_coder import TOTAL
from sitetwin.learn.csi.hybrid.references import KNOWN, last_of, nearest, parts_of, staged
from sitetwin.learn.csi.hybrid.report import (
    EACH,
    FIRST,
    GRAIN,
    KEPT,
    LARGEST,
    LIKE,
    OCTAVE,
    PATHS,
    STEP,
    STEPS,
    ZONE,
    Tables,
    cells_of,
    level_of,
    phases_of,
    step_of,
    surroundings,
    top_of,
)
from sitetwin.learn.csi.hybrid.search import BESIDE_ZONES, search_paths, search_zone
from sitetwin.learn.csi.hybrid.tasks import LIKES, Best, Prices, Stages, Task, desk_for, desk_of_paths
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, Waves, kernel
from sitetwin.learn.csi.hybrid.zones import Zones

MOST_WEIGHT = 1 << 16
"""Largest sum of the weights of a reference's paths: far below the frequencies' total, so that each has a share."""

MOST_BITS = 1 << 14
"""Most bits of a report, far more than paths and coefficients fill."""

_HOPE = 0.5  # share of the best report's error that a zone's directions may leave where the zone is tried
_FEW = 30  # offsets that say nothing of their spread
_HARD = 0.7  # power of its error with which a report counts: a bit saved lessens the error by a share of it
_BESIDE = 4  # times that a path lies beside an earlier one, against once at a place of its own
_MOST_HEARD = 20.0  # times the median, of one report


@dataclass(frozen=True)
class HybridConfig:
    """How a hybrid codec is fitted and used.

    Attributes:
        zones: Most zones; 0 for none, which leaves paths alone.
        members: Training matrices for each zone, at least and on average.
        rank: Most coefficients of a report.
        chosen: Directions by which a zone is chosen, and beside which paths are sought.
        paths: Most free paths of a report; 0 for none.
        candidates: Zones that are tried for each matrix.
        floor: Share of the training energy that the common front-end may lose.
        references: Whether paths are told beside those of the training matrices.
        posed: Whether an update estimates heading and delay first.
        errors: How far the world's paths lie from the twin's, standard deviations: delay in taps, angle in beams,
            heading in rad, gain in dB; last the share of the paths that the twin does not know.
        learned: Whether the frequencies of steps, counts and places are those of the training matrices, in place of
            equal ones.
    """

    zones: int = 256
    members: int = 16
    rank: int = 40
    chosen: int = 15
    paths: int = 8
    candidates: int = 1
    floor: float = 1e-4
    references: bool = True
    posed: bool = True
    errors: tuple[float, float, float, float, float] = (0.02, 0.15, 0.012, 3.0, 0.2)
    learned: bool = True


@dataclass(frozen=True, eq=False)
class HybridModel:
    """What both ends hold.

    Attributes:
        config: How it was fitted.
        waves: The grid of taps and beams.
        bits: Bits of a report.
        zones: Subspaces in which paths are real, see `Waves.turned`.
        tables: Frequencies.
    """

    config: HybridConfig
    waves: Waves
    bits: int
    zones: Zones
    tables: Tables

    @cached_property
    def task(self) -> Task:
        """What the search needs."""
        t = self.tables
        alphabets = (t.steps, t.zones, t.paths, t.kept, t.amplitudes, t.likes, t.coefficients)
        flat = ([0.0, *(math.log2(count(q)) for q in range(1, LARGEST + 1))] for count in (cells_of, phases_of))
        which = np.log2(t.which).astype(np.float32)
        prices = Prices._make([*map(lengths, alphabets), which, *(np.array(bits, np.float32) for bits in flat)])
        grid = Grid(self.waves.subcarriers, *self.waves.tables())
        return Task(grid, t, prices, self.bits, self.config.paths, self.config.chosen)

    @property
    def silence(self) -> Int64[np.ndarray, " symbols"]:
        """The symbols of the report that says nothing: no zone and no path."""
        symbols = np.zeros(self.symbols, np.int64)
        symbols[ZONE], symbols[LIKE] = len(self.zones.bases), len(self.tables.references)
        return symbols

    @property
    def least_bits(self) -> float:
        """Bits of that report."""
        prices = self.task.prices
        return float(prices.steps[0] + prices.zones[-1] + prices.paths[1, 0] + prices.likes[-1])

    @property
    def symbols(self) -> int:
        """Places for the symbols of one report."""
        return FIRST + EACH * self.config.paths + 2 * self.zones.bases.shape[2]

    def searched(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[Int64[np.ndarray, "users symbols"], Float32[np.ndarray, " users"]]:
        """The symbols of the best reports, and their squared errors."""
        real_paths = self.waves.turned(x)
        flat, parts = real_paths.flatten(1), parts_of(real_paths)
        energy = (parts.astype(np.float64) ** 2).sum((1, 2))
        best = Best((energy * (1 + 1e-6) + 1e-12).astype(np.float32), np.tile(self.silence, (len(x), 1)))
        if self.config.paths:
            stages = staged(self.task, parts, max(self.config.paths, KNOWN if len(self.tables.references) else 0))
            desk = desk_of_paths(self.task, self.config.paths, self.symbols)
            search_paths(self.task, desk, parts, stages, self.likes(stages), best)
        if len(self.zones.bases):
            self._search_zones(flat, parts, energy, best)
        return best.symbols, best.error

    def _search_zones(
        self, flat: Complex[Tensor, "users size"], parts: np.ndarray, energy: np.ndarray, best: Best
    ) -> None:
        """Improve the best reports by those of zones, where a zone holds more of a matrix than they do."""
        config, coordinates = self.config, self.zones.coordinates(flat)
        near = self.zones.nearest(coordinates, config.chosen, config.candidates).numpy()
        for zone in np.unique(near):
            own = np.flatnonzero((near == zone).any(axis=1))
            inside = coordinates[torch.from_numpy(own)] @ self.zones.bases[zone].conj()
            left = energy[own] - inside.abs().square().sum(dim=1).numpy()
            own = own[left < _HOPE * best.error[own]]
            if not len(own):
                continue
            basis = self.zones.basis(int(zone))
            real, imaginary = (np.ascontiguousarray(part.numpy()) for part in (basis.real, basis.imag))
            desk = desk_for(self.task, int(zone), real, imaginary, min(config.paths, BESIDE_ZONES), self.symbols)
            search_zone(self.task, desk, parts, own, best)

    def likes(self, stages: Stages) -> Int64[np.ndarray, "users few"]:
        """The references of matrices whose paths were found; the number of references where there are none."""
        table = self.tables.references
        if not len(table):
            return np.zeros((len(stages.left), LIKES), np.int64)
        return nearest(table, *last_of(stages, KNOWN), 2.0 ** (self.tables.spreads / OCTAVE))[0]

    def rebuilt(self, symbols: Int64[np.ndarray, "users symbols"]) -> Complex[Tensor, "users taps beams"]:
        """The matrices of symbols."""
        paths = torch.from_numpy(self.paths_of(symbols))
        flat = paths.flatten(1)
        coefficients = torch.from_numpy(self.coefficients_of(symbols))
        for zone in np.unique(symbols[:, ZONE]).tolist():
            if zone < len(self.zones.bases):
                rows = torch.from_numpy((symbols[:, ZONE] == zone).nonzero()[0])
                flat[rows] += coefficients[rows] @ self.zones.basis(zone)
        return self.waves.turned_back(flat.unflatten(1, (self.waves.taps, self.waves.beams)))

    def paths_of(self, symbols: Int64[np.ndarray, "users symbols"]) -> np.ndarray:
        """(users, taps, beams) complex64, the sum of the paths of reports."""
        waves = self.waves
        x = np.zeros((len(symbols), waves.taps, waves.beams), np.complex64)
        d, b = np.zeros((3, waves.taps)), np.zeros((3, waves.beams))
        for user, one in enumerate(symbols):
            for path in range(one[PATHS]):
                q, _, delay, angle, phase = one[FIRST + EACH * path : FIRST + EACH * (path + 1)]
                cells = cells_of(q)
                kernel((delay + 0.5) / cells / BINS_PER_TAP - MARGIN, waves.subcarriers, *d)
                kernel((angle + 0.5) / cells / BINS_PER_TAP, waves.beams, *b)
                gain = q * step_of(one[STEP]) * np.exp(2j * np.pi * phase / phases_of(q))
                x[user] += (gain * d[0][:, None] * b[0]).astype(np.complex64)
        return x

    def coefficients_of(self, symbols: Int64[np.ndarray, "users symbols"]) -> np.ndarray:
        """(users, rank) complex64, the coefficients of reports."""
        rank, at = self.zones.bases.shape[2], FIRST + EACH * self.config.paths
        values = np.zeros((len(symbols), rank, 2), np.float32)
        for user, one in enumerate(symbols):
            size = step_of(one[STEP])
            for k in range(one[KEPT]):
                level = level_of(self.tables, one[ZONE], one[PATHS], k, one[STEP])
                values[user, k] = self.tables.points[level, one[at + 2 * k : at + 2 * k + 2] + LARGEST] * size
        return values.view(np.complex64)[..., 0]


def _first_which(paths: int) -> Int64[np.ndarray, "most known_and_none"]:
    """Weights of a reference's paths before anything was learned: as strong as the path, or none of them."""
    rank = np.arange(KNOWN)
    weights = np.array([[*(2.0 ** -np.abs(rank - path)), 0.4] for path in range(max(paths, 1))])
    return np.round(1000 * weights).astype(np.int64) + 1


def first_tables(
    config: HybridConfig, waves: Waves, zones: Zones, references: Int64[np.ndarray, "references known 2"]
) -> Tables:
    """Tables before anything was learned of reports: equal frequencies, but those of zones and coefficients."""
    count, rank = zones.levels.shape
    coefficients, points = coefficient_tables()
    usage = np.concatenate([zones.usage.double().numpy() + 1, [max(1.0, 0.02 * float(zones.usage.sum()))]])
    levels = np.round(OCTAVE / 2 * np.log2(np.maximum(zones.levels.double().numpy() / 2, 1e-12))).astype(np.int64)
    return Tables(
        steps=cumulative(np.ones(STEPS)),
        zones=cumulative(usage),
        paths=cumulative(np.ones((2, config.paths + 1))),
        kept=cumulative(np.ones((config.paths + 1, rank + 1))),
        ratios=(ratios := flat_ratios(max(config.paths, 1))),
        amplitudes=amplitude_tables(ratios),
        places=cumulative(np.ones(waves.delay_bins * waves.angle_bins)),
        **surroundings(np.zeros((0, waves.angle_bins), np.int64)),
        likes=cumulative(np.ones(len(references) + 1)),
        references=references,
        which=_first_which(config.paths),
        spreads=np.array([-24, -8], np.int64),
        finer=np.array([0, *(round(OCTAVE * math.log2(cells_of(q))) for q in range(1, LARGEST + 1))], np.int64),
        columns=waves.angle_bins,
        coefficients=coefficients,
        points=points,
        levels=levels.reshape(count, rank),
        shifts=np.zeros((config.paths + 1, rank), np.int64),
    )


def learned(model: HybridModel, x: Complex[Tensor, "users taps beams"]) -> HybridModel:
    """The model with the frequencies that reports of some matrices have; those with large errors count more."""
    symbols, errors = model.searched(x)
    t, config, waves = model.tables, model.config, model.waves
    count = len(model.zones.bases)
    heard = _heard(errors)
    bare = (symbols[:, ZONE] == count).astype(np.int64)
    steps = np.convolve(np.bincount(symbols[:, STEP], heard, STEPS), (1, 2, 1), "same") + 0.5
    paths = np.full((2, config.paths + 1), 0.5)
    np.add.at(paths, (bare, symbols[:, PATHS]), heard)
    rank = t.levels.shape[1]
    kept = np.full((config.paths + 1, rank + 1), 0.05)
    within = bare == 0
    np.add.at(kept, (symbols[within, PATHS], symbols[within, KEPT]), heard[within])
    kept += kept.sum(axis=0) * (4 / max(float(heard[within].sum()), 4))
    kernel_ = np.array([1, 2, 3, 2, 1]) / 9
    kept = np.apply_along_axis(lambda row: np.convolve(np.pad(row, 2), kernel_, "valid") + 1e-3, 1, kept)
    none = float(np.average(bare, weights=heard))
    zones = np.diff(t.zones).astype(np.float64)
    zones = zones / zones[:-1].sum() * (1 - none) if count else zones
    zones[-1] = max(none, 0.005) if count else 1.0
    places = np.zeros((waves.delay_bins, waves.angle_bins))
    around = np.zeros((2 * waves.delay_bins - 1, waves.angle_bins))
    which = t.which / t.which.sum(axis=1, keepdims=True) * 10
    offsets: list[np.ndarray] = []
    earlier: list[tuple[int, int]]
    ratios = flat_ratios(len(t.which)) / 1250
    for one, weight in zip(symbols, heard, strict=True):
        before, earlier = top_of(one[STEP]), []
        for path in range(one[PATHS]):
            q, k, delay, angle, _ = one[FIRST + EACH * path : FIRST + EACH * (path + 1)]
            cells = cells_of(q)
            ratios[path, min(int((q - 0.25) / before * RATIOS), RATIOS - 1)] += weight
            before = q
            places[delay // cells, angle // cells] += weight
            if one[LIKE] < len(t.references):
                which[path, k] += weight
            for at, beside in earlier if k == KNOWN else ():
                offset = delay // cells - at + waves.delay_bins - 1, (angle // cells - beside) % waves.angle_bins
                around[offset] += weight / path
            earlier.append((delay // cells, angle // cells))
            if k < KNOWN:
                offsets.append((np.array([delay, angle]) + 0.5) / cells - t.references[one[LIKE], k] / GRAIN)
    places = _smoothed(places)
    places = 0.85 * places / max(places.sum(), 1e-9) + 0.15 / places.size
    tables = t._replace(
        steps=cumulative(steps),
        zones=cumulative(zones),
        paths=cumulative(paths),
        kept=cumulative(kept),
        ratios=(ratios := _smoothed_ratios(ratios)),
        amplitudes=amplitude_tables(ratios),
        places=cumulative(places.ravel()),
        **surroundings(_around(around)),
        likes=_likes(symbols[bare == 1, LIKE], heard[bare == 1], len(t.references)),
        which=np.round(MOST_WEIGHT / 2 * which / which.sum(axis=1, keepdims=True)).astype(np.int64) + 1,
        spreads=_spreads(offsets, t.spreads),
        shifts=_shifts(model, x, symbols),
    )
    return replace(model, tables=tables)


def _heard(errors: Float32[np.ndarray, " users"]) -> Float64[np.ndarray, " users"]:
    """How much the report of each matrix counts: the mean error is that of few users with many paths."""
    sizes = (errors.astype(np.float64) + 1e-6) ** _HARD
    sizes = np.minimum(sizes, _MOST_HEARD * np.median(sizes))
    return sizes / sizes.mean()


def _smoothed_ratios(ratios: np.ndarray) -> Int64[np.ndarray, "most classes"]:
    """Whole weights of counts."""
    k = np.array([1, 2, 1]) / 4
    ratios = np.apply_along_axis(lambda row: np.convolve(np.pad(row, 1, "edge"), k, "valid"), 1, ratios)
    return np.round(1000 * ratios).astype(np.int64) + 1


def _likes(found: np.ndarray, heard: np.ndarray, count: int) -> np.ndarray:
    """Frequencies of references, all alike, and of none."""
    none = max(float(np.average(found == count, weights=heard)) if len(found) else 1.0, 0.02)
    return cumulative(np.array([*np.full(count, (1 - min(none, 0.98)) / max(count, 1)), none]))


def _spreads(offsets: list[np.ndarray], before: np.ndarray) -> np.ndarray:
    """Levels of the offsets' spread, without the widest ones."""
    if len(offsets) < _FEW:
        return before
    sizes = np.sort(np.abs(np.array(offsets)), axis=0)[: int(0.97 * len(offsets))]
    return np.round(OCTAVE / 2 * np.log2((sizes**2).mean(axis=0) * 1.3 + 1e-6)).astype(np.int64)


def _around(found: np.ndarray) -> Int64[np.ndarray, "behind beside"]:
    """Whole weights of where paths lie beside earlier ones: few of those seen say little."""
    k = np.array([1, 2, 1]) / 4
    smooth = np.apply_along_axis(lambda row: np.convolve(row, k, "same"), 0, found)
    smooth = np.apply_along_axis(lambda row: np.convolve(np.pad(row, 1, "wrap"), k, "valid"), 1, smooth)
    weights = 0.98 * smooth / (smooth.sum() + _FEW) + 0.02 / smooth.size
    return np.round(_BESIDE * TOTAL * weights).astype(np.int64)


def _smoothed(places: np.ndarray) -> np.ndarray:
    k = np.array([1, 2, 3, 2, 1]) / 9
    places = np.apply_along_axis(lambda row: np.convolve(row, k, "same"), 0, places)
    return np.apply_along_axis(lambda row: np.convolve(np.pad(row, 2, "wrap"), k, "valid"), 1, places)


def _shifts(model: HybridModel, x: Tensor, symbols: np.ndarray) -> np.ndarray:
    """By how many levels coefficients beside so many paths are stronger than the zone's."""
    levels = model.tables.levels
    count, rank = levels.shape
    sums, weights = np.zeros((model.config.paths + 1, rank)), np.zeros(model.config.paths + 1)
    left = model.waves.turned(x).flatten(1) - torch.from_numpy(model.paths_of(symbols)).flatten(1)
    for zone in np.unique(symbols[:, ZONE]).tolist():
        if zone == count:
            continue
        rows = (symbols[:, ZONE] == zone).nonzero()[0]
        power = (left[torch.from_numpy(rows)] @ model.zones.basis(zone).conj().T).abs().square().double().numpy() / 2
        ratio = power / 2.0 ** (2 * levels[zone] / OCTAVE)
        np.add.at(sums, symbols[rows, PATHS], np.minimum(ratio, 50.0))
        np.add.at(weights, symbols[rows, PATHS], 1.0)
    whole = (sums.sum(0) + 4) / (weights.sum() + 4)
    ratios = (sums + 8 * whole) / (weights[:, None] + 8)
    return np.round(OCTAVE / 2 * np.log2(ratios)).astype(np.int64).clip(-40, 40)
