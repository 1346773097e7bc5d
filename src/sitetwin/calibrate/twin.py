"""The structured twin: from positions to probabilities of beams, by a geometry that few measured rows calibrate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.effects import Effects
from sitetwin.calibrate.geometry import BeamPriors, Street
from sitetwin.calibrate.modes import Mode, find_modes
from sitetwin.calibrate.readings import GRID_DEG, Patterns, costs, directions, root_powers
from sitetwin.calibrate.track import Track
from sitetwin.calibrate.turns import TURNS_DEG, turn_posterior

_NOISES = (0.7, 1.0, 1.5, 2.2, 3.2)  # times that of the priors
_FEWEST_CHOSEN = 20  # rows: with fewer the priors' sizes stand
_MOST_ROWS = 500  # that a process is of: its cost grows with their cube
_ROUNDS = 2  # of beams after the geometry
_LEAST_NOTICED = 1.0  # units of misfit: with less contrast a row says nothing
_NO_READING_DEG = 100.0
_SURE_DEG = 2.0  # deviation of a reading that the priors' error counts for
_NEAR_DEG = 8.0  # of a reading from the process: farther ones are outliers
_READ_NOISE = 0.12  # of a root power, for the beams' gains and pointings
_ROBUST = 0.3
_FLOOR = 0.02  # of a beam's peak power: below it two beams are equally likely


@dataclass(frozen=True)
class Certainty:
    """How sure a prediction is.

    Attributes:
        fix_m: Error of a fix along the street.
        tie_db: Difference in dB over which two beams are about equally likely.
    """

    fix_m: float = 0.5
    tie_db: float = 1.0


class StructuredTwin:
    """The fitted twin of one array on one street.

    Args:
        patterns: The codebook.
        track: Measured rows.
        power: Linear powers of the rows; NaN where not measured.
        priors: Priors.
    """

    def __init__(
        self,
        patterns: Patterns,
        track: Track,
        power: Float[np.ndarray, "rows beams"],
        priors: BeamPriors | None = None,
    ) -> None:
        told = (power > np.nanmin(power, axis=1, keepdims=True)).any(axis=1)
        if told.any():  # a row of one power has no direction, and would weigh on the geometry like an outlier
            track, power = track.rows(np.flatnonzero(told)), power[told]
        self.street = Street.of(track)
        self._drive, self._seen = track.drive, self.street.seen(track)
        self._few = np.linspace(0, len(track) - 1, min(len(track), _MOST_ROWS)).astype(np.int64)
        self.patterns, self.priors = patterns, priors or BeamPriors()
        for number in range(_ROUNDS + 1):
            self._geometry(power, chosen=number > 0)
            if number < _ROUNDS:
                self.gain, self.pointing_deg = self._beams(patterns, power)
                self.patterns = patterns.changed(self.gain, self.pointing_deg)

    def _geometry(self, power: np.ndarray, chosen: bool) -> None:
        """Modes and their processes; once the noise was chosen it stands."""
        misfit = self.patterns.misfit(power)
        self._cost = costs(misfit)
        self._read, self._unsure = directions(misfit, power.shape[1])
        silent = np.ptp(misfit, axis=1) < _LEAST_NOTICED
        self._silent = silent
        self._find_modes(None if not chosen else self._maxima)
        if not chosen:
            self.priors = self._chosen_priors()
            self._find_modes(self._maxima)
        self.effects = [self._process(mode, self.priors) for mode in self.modes]

    def _find_modes(self, begun: np.ndarray | None) -> None:
        noise = self._noise(self.priors)
        self.modes = find_modes(self.priors, self._seen, self._drive, self._cost, self._read, noise, begun)

    @property
    def _maxima(self) -> np.ndarray:
        """(modes, unknowns)."""
        return np.stack([mode.unknowns for mode in self.modes])

    def _process(self, mode: Mode, priors: BeamPriors) -> Effects:
        few, noise = self._few, self._noise(priors)
        return Effects(priors, mode.unknowns, self._seen.rows(few), (self._read + mode.turn_deg)[few], noise[few])

    def _noise(self, priors: BeamPriors) -> np.ndarray:
        """Errors of the readings, degrees."""
        noise = np.hypot(priors.reading_deg, np.degrees(priors.fix_m / self._seen.range_m))
        noise = np.hypot(noise, np.maximum(self._unsure - _SURE_DEG, 0.0))
        return np.where(self._silent, _NO_READING_DEG, noise)

    def _chosen_priors(self) -> BeamPriors:
        """Errors of rows under which each is most likely given the others."""
        p, mode = self.priors, self.modes[0]
        if len(self._few) < _FEWEST_CHOSEN:
            return p
        tried = [replace(p, reading_deg=p.reading_deg * size, fix_m=p.fix_m * size) for size in _NOISES]
        nats = [
            self._process(mode, one).left_out_nats() - 0.5 * np.log(size) ** 2
            for one, size in zip(tried, _NOISES, strict=True)
        ]
        return tried[int(np.argmax(nats))]

    def _beams(self, patterns: Patterns, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gain (of amplitude, relative) and pointing in degrees of each beam: ridge regression on root powers."""
        p, process, mode = self.priors, self.effects[0], self.modes[0]
        fitted, _, line = process.at(self._seen)
        fitted = fitted - mode.turn_deg
        off = self._read - fitted
        fix = (p.fix_m * line.metre) ** 2
        near = (np.abs(off) < _NEAR_DEG) & ~self._silent
        place = fitted + np.where(near, fix / (fix + p.reading_deg**2) * off, 0.0)
        found = root_powers(power)
        x, root = np.nan_to_num(found), patterns.root
        y = np.stack([np.interp(place, GRID_DEG, column) for column in root.T], axis=1)
        turned = np.stack([np.interp(place, GRID_DEG, np.gradient(c, GRID_DEG)) for c in root.T], axis=1)
        gain = np.clip((x * y).sum(axis=1) / np.maximum((y * y).sum(axis=1), 1e-6), 0.8, 1.5)[:, None]
        left = x - gain * y
        weight = (near[:, None] & np.isfinite(found)) * np.maximum(x, y) / (1 + (left / _ROBUST) ** 2) / _READ_NOISE**2
        by_gain, by_turn = gain * y, gain * turned
        a = (weight * by_gain**2).sum(axis=0) + 1 / p.gain**2
        b = (weight * by_turn**2).sum(axis=0) + 1 / p.pointing_deg**2
        c = (weight * by_gain * by_turn).sum(axis=0)
        u, v = (weight * left * by_gain).sum(axis=0), (weight * left * by_turn).sum(axis=0)
        return (b * u - c * v) / (a * b - c * c), (a * v - c * u) / (a * b - c * c)

    def probabilities(
        self, track: Track, certainty: Certainty | None = None, causal: bool = False
    ) -> Float[np.ndarray, "users beams"]:
        """Probability of each beam to be the best, averaged over modes, turns of the array and errors of fixes.

        Args:
            track: Users.
            certainty: How sure to be.
            causal: Whether the turn of the array in a drive is told from measured rows of this drive and earlier ones
                alone; otherwise later rows tell it too.
        """
        sure = certainty or Certainty()
        level = 10 * np.log10(self.patterns.power.T + _FLOOR)
        of_direction = np.exp((level - level.max(axis=1, keepdims=True)) / sure.tie_db)
        of_direction /= of_direction.sum(axis=1, keepdims=True)
        seen, total = self.street.seen(track), np.zeros((len(track), len(self.patterns.power)))
        for mode, process in zip(self.modes, self.effects, strict=True):
            mean, deviation, line = process.at(seen)
            width = np.hypot(deviation, line.metre * sure.fix_m)
            turns = self._turns(mode, track.drive, causal)
            spread = np.zeros((len(track), len(GRID_DEG)))
            for k in np.flatnonzero(turns.max(axis=0) > 1e-3):
                off = (GRID_DEG - (mean - TURNS_DEG[k])[:, None]) / width[:, None]
                share = np.exp(-0.5 * off**2)
                spread += turns[:, k, None] * share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
            total = total + mode.share * (spread @ of_direction)
        total = total + 1e-9
        return total / total.sum(axis=1, keepdims=True)

    def _turns(self, mode: Mode, drive: np.ndarray, causal: bool) -> np.ndarray:
        """(users, turns) posterior of the array's turn in the drives asked about."""
        if not causal:
            return turn_posterior(self._drive[None], TURNS_DEG, mode.turn_cost[None], drive[None])[0]
        out = np.zeros((len(drive), len(TURNS_DEG)))
        for number in np.unique(drive):
            known, rows = self._drive <= number, drive == number
            share = turn_posterior(
                self._drive[known][None], TURNS_DEG, mode.turn_cost[known][None], np.array([[number]])
            )[0, 0]
            out[rows] = share
        return out

    def direction_deg(self, track: Track, causal: bool = False) -> Float[np.ndarray, " users"]:
        """Direction in which the array sees users in the likeliest mode, turns taken at their posterior mean.

        Args:
            track: Users.
            causal: As for `probabilities`.
        """
        mean: np.ndarray = self.effects[0].at(self.street.seen(track))[0]
        return mean - self._turns(self.modes[0], track.drive, causal) @ TURNS_DEG

    def read_deg(self, power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, " rows"]:
        """Directions that rows of powers tell."""
        return directions(self.patterns.misfit(power), power.shape[1])[0]
