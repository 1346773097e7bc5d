"""What the search for a report works with: prices of symbols, the best reports so far, and one matrix's desk."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from sitetwin.learn.csi.hybrid.paths import Found, Grid, room
from sitetwin.learn.csi.hybrid.report import Tables

SPARE = 0.02
"""Bits by which the sum of lengths stays below the report: more than its rounding."""

LIKES = 4
"""References that are tried for each matrix."""


class Prices(NamedTuple):
    """Bits of each symbol, as `report.Tables` has the frequencies; `which` are logarithms of weights."""

    steps: Float32[np.ndarray, " _"]
    zones: Float32[np.ndarray, " _"]
    paths: Float32[np.ndarray, "_ _"]
    kept: Float32[np.ndarray, "_ _"]
    amplitudes: Float32[np.ndarray, "_ _ _"]
    likes: Float32[np.ndarray, " _"]
    coefficients: Float32[np.ndarray, "_ _"]
    which: Float32[np.ndarray, "_ _"]
    cells: Float32[np.ndarray, " _"]
    phases: Float32[np.ndarray, " _"]


class Best(NamedTuple):
    """The best reports so far.

    Attributes:
        error: Squared error of each user.
        symbols: Symbols of each user's report.
    """

    error: Float32[np.ndarray, " _"]
    symbols: Int64[np.ndarray, "_ _"]


class Stages(NamedTuple):
    """The paths of matrices without any zone, as they were found when there were one, two, ... of them.

    Attributes:
        place: (users, stages, paths, 2), delay in taps and angle in beams.
        gain: (users, stages, paths), complex.
        left: (users, stages), energy that the paths leave.
    """

    place: np.ndarray
    gain: np.ndarray
    left: Float64[np.ndarray, "_ _"]


class Task(NamedTuple):
    """What the search needs besides matrices.

    Attributes:
        grid: Taps and beams.
        tables: Frequencies.
        prices: Their bits.
        bits: Bits of a report.
        paths: Most paths.
        chosen: Directions of a zone beside which paths are sought.
    """

    grid: Grid
    tables: Tables
    prices: Prices
    bits: int
    paths: int
    chosen: int


class Desk(NamedTuple):
    """One zone, and what is at hand of the matrix that is searched.

    Attributes:
        zone: Number of the zone; the number of zones for none.
        real: Real part of the zone's basis, a row for each direction; no row for none.
        imaginary: Its imaginary part.
        inside: Coefficients of the matrix.
        continuous: Its paths.
        order: Their numbers, the strongest first.
        rounded: The paths as a report says them.
        left: What is left of the matrix beside a zone.
        map_: Products of the matrix with the paths of all bins.
        weights: Coefficients of what is left.
        wave: One path over taps and beams.
        symbols: Symbols of a report.
        likes: The references that are nearest.
        used: Whether a path of each of them was compared with already.
        which: Their paths beside which those of the matrix are told.
        beside: Bits that places take beside each reference.
    """

    zone: int
    real: Float32[np.ndarray, "_ _"]
    imaginary: Float32[np.ndarray, "_ _"]
    inside: Float32[np.ndarray, "_ _"]
    continuous: Found
    order: Int64[np.ndarray, " _"]
    rounded: Found
    left: Float32[np.ndarray, "_ _"]
    map_: Float32[np.ndarray, "_ _"]
    weights: Float32[np.ndarray, "_ _"]
    wave: Float32[np.ndarray, " _"]
    symbols: Int64[np.ndarray, " _"]
    likes: Int64[np.ndarray, " _"]
    used: np.ndarray
    which: Int64[np.ndarray, "_ _"]
    beside: Float64[np.ndarray, " _"]


def desk_for(
    task: Task,
    zone: int,
    real: Float32[np.ndarray, "rank size"],
    imaginary: Float32[np.ndarray, "rank size"],
    paths: int,
    symbols: int,
) -> Desk:
    """Room for the search of so many paths beside one zone, in reports of so many symbols."""
    rank, size = real.shape
    grid = task.grid
    taps, beams = grid.delays.shape[1], grid.angles.shape[1]
    return Desk(
        zone,
        real,
        imaginary,
        np.zeros((2, rank), np.float32),
        room(paths, taps, beams, rank),
        np.zeros(paths, np.int64),
        room(paths, taps, beams, rank),
        np.zeros((2, size), np.float32),
        np.zeros((2, len(grid.delays) * len(grid.angles)), np.float32),
        np.zeros((2, min(task.chosen, rank)), np.float32),
        np.zeros(size, np.float32),
        np.zeros(symbols, np.int64),
        np.zeros(LIKES, np.int64),
        np.zeros((LIKES, task.tables.which.shape[1]), np.bool_),
        np.zeros((LIKES, max(paths, 1)), np.int64),
        np.zeros(LIKES),
    )


def desk_of_paths(task: Task, paths: int, symbols: int) -> Desk:
    """Room for the search of so many paths without any zone."""
    none = np.zeros((0, task.grid.delays.shape[1] * task.grid.angles.shape[1]), np.float32)
    return desk_for(task, len(task.tables.levels), none, none, paths, symbols)
