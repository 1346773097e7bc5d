"""A measured scenario on a set of beams with its splits of one kind: what every method of the study is run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
import xarray as xr

from sitetwin.calibrate import Track
from sitetwin.learn import BeamSet
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.studies.beams.config import HEADLINE, BeamStudy
from sitetwin.studies.beams.scores import Tally
from sitetwin.studies.beams.twin import StreetTwin

Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class Bench:
    """A scenario on a set of beams, and its splits of one kind.

    Attributes:
        study: The configuration.
        data: The scenario.
        track: Its positions, speeds and drives.
        axis_rad: Direction across the street and away from the station, from east, counter-clockwise.
        east_north: (N, 2) metres.
        power: (N, B) on the beams in use.
        pattern: (B, A) of these beams.
        azimuth: (A,) radians.
        beams: (B,) official numbers.
        uniform: (B,) azimuths of these beams, were the codebook even between its outermost working beams; radians.
        split: "random" or "drives".
        splits: In order; a repeat is one random split, or the folds of one deal of the drives.
        per_repeat: Splits of one repeat.
        twin: The twin of the street, or None.
        lanes: (M, 2) metres, users of the published twin, where the scenario has them.
    """

    study: BeamStudy
    data: xr.Dataset
    track: Track
    axis_rad: float
    east_north: np.ndarray
    power: np.ndarray
    pattern: np.ndarray
    azimuth: np.ndarray
    beams: np.ndarray
    uniform: np.ndarray
    split: str
    splits: list[BeamSplit]
    per_repeat: int
    twin: StreetTwin | None
    lanes: np.ndarray | None = None
    _kept: dict[tuple[str | int, ...], Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def fewest(self) -> int:
        """Rows of the smallest pool."""
        return min(len(split.pool) for split in self.splits)

    @property
    def most(self) -> int:
        """Rows of the largest pool: what a method that takes whole pools has seen at most."""
        return max(len(split.pool) for split in self.splits)

    def sizes(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of measured rows that every pool has."""
        return tuple(size for size in asked if size <= self.fewest)

    @property
    def real_sizes(self) -> tuple[int, ...]:
        """Numbers of measured rows for the structured twin and its references."""
        return self.sizes(self.study.real_sizes if self.split == "random" else self.study.drive_sizes)

    def tally(self, scores: Callable[[int, BeamSplit], np.ndarray], probability: bool = False) -> Tally:
        """Judge a method, given as what it answers on the test rows of split number i."""
        tally = Tally.empty()
        for first in range(0, len(self.splits), self.per_repeat):
            numbers = range(first, first + self.per_repeat)
            rows = np.concatenate([self.splits[i].test for i in numbers])
            answer = np.concatenate([scores(i, self.splits[i]) for i in numbers])
            tally.add(answer, self.power[rows], self.track.drive[rows], probability)
        return tally

    def once(self, key: tuple[str | int, ...], make: Callable[[], Kept]) -> Kept:
        """What several methods share: made when it is first asked for, then kept."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: Kept = self._kept[key]
        return kept

    def rows(self, index: np.ndarray) -> BeamSet:
        """Positions and powers of some rows."""
        return BeamSet(self.east_north[index], self.power[index])

    def generator(self, part: int) -> torch.Generator:
        """Random numbers of one part of the study."""
        return torch.Generator().manual_seed(self.study.seed + part)

    def method(self, name: str, n_real: int, tally: Tally, **more: Any) -> dict[str, Any]:
        """A row of the list of methods."""
        figures = tally.summary(self.study.bootstrap_draws, self.study.seed)
        return {
            "name": name,
            "n_real": n_real,
            "split": self.split,
            "beams": len(self.beams),
            "headline": name == HEADLINE,
            **figures,
            **more,
        }
