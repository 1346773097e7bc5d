"""What stands in a report, in which order, and how finely: the walk that writer and reader share.

A report says the step, the zone (or none), how many paths and coefficients follow, then the paths, the strongest first,
and the coefficients of the zone. The amplitude of a path is a whole number of steps. The larger it is, the finer are
delay, angle and phase told: each adds about as much error as a coefficient's rounding.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.range_coder import TOTAL, begin, begin_reading, code, code_flat, finish

STEPS = 24
"""Steps that a report can choose: -6 dB of the unit norm and downwards, 1.5 dB apart."""

LARGEST = 127
"""Most steps of an amplitude or a coefficient."""

OCTAVE = 8
"""Levels of standard deviation in an octave of amplitude."""

LOWEST, HIGHEST = -24, 56
"""Levels of a standard deviation over a step."""

STEP, ZONE, PATHS, KEPT, LIKE, FIRST = 0, 1, 2, 3, 4, 5
"""Places of the symbols: step, zone, number of paths, number of coefficients, reference; then five for each path."""

EACH = 5
"""Symbols of a path: amplitude, path of the reference, cells of delay and angle, phase."""

GRAIN = 64
"""Parts of a bin in which the places of references are kept."""

NOWHERE = -(1 << 30)
"""Place of a reference's path that is none."""

_FINE, _PHASES = 14, 100  # sixteenths: cells of a bin and of a turn for each step of amplitude

# 3 * 2^(n / 4) is the unit norm and a half in steps; whole numbers, because both ends choose frequencies by it
_TOPS = np.array([min(LARGEST, math.isqrt(math.isqrt(81 << n)) + 1) for n in range(STEPS)])


class Tables(NamedTuple):
    """Cumulative frequencies of all symbols, and the levels of the coefficients.

    Attributes:
        steps: Steps.
        zones: Zones; the last one is none.
        paths: Number of paths, in a zone and without one.
        kept: Number of coefficients, for each number of paths.
        ratios: Weights of classes of each path's amplitude over the one before it.
        amplitudes: Amplitude of each path, for the one before it; of the first path, for the largest possible one.
        places: Bins of delay and angle.
        around: Weights of how many bins a path lies behind an earlier one of its report, and beside it; no row where
            that says nothing.
        rows: Its sums over the angles.
        within: Its sums within the grid, for each delay of the earlier path.
        likes: References; the last one is none.
        references: Delay and angle of the paths of each reference, in parts of a bin.
        which: Weights of a reference's paths, and of none of them, for each path of a report.
        spreads: Levels of how far delay and angle lie from a reference's, in bins.
        finer: Levels by which the cells of each amplitude are finer than bins.
        coefficients: Coefficients in steps, for each level.
        columns: Bins of angle.
        points: Where a coefficient lies on average, in steps, for each level.
        levels: Level of each zone's coefficients.
        shifts: What is added to it, for each number of paths.
    """

    steps: Int64[np.ndarray, " _"]
    zones: Int64[np.ndarray, " _"]
    paths: Int64[np.ndarray, "_ _"]
    kept: Int64[np.ndarray, "_ _"]
    ratios: Int64[np.ndarray, "_ _"]
    amplitudes: Int64[np.ndarray, "_ _ _"]
    places: Int64[np.ndarray, " _"]
    around: Int64[np.ndarray, "_ _"]
    rows: Int64[np.ndarray, " _"]
    within: Int64[np.ndarray, " _"]
    likes: Int64[np.ndarray, " _"]
    references: Int64[np.ndarray, "_ _ _"]
    which: Int64[np.ndarray, "_ _"]
    spreads: Int64[np.ndarray, " _"]
    finer: Int64[np.ndarray, " _"]
    coefficients: Int64[np.ndarray, "_ _"]
    columns: int
    points: Float32[np.ndarray, "_ _"]
    levels: Int64[np.ndarray, "_ _"]
    shifts: Int64[np.ndarray, "_ _"]


def surroundings(around: Int64[np.ndarray, "behind beside"]) -> dict[str, Any]:
    """The fields of `Tables` for weights of places beside earlier paths, of twice the delays but one, or of none."""
    rows = around.sum(axis=1)
    delays = (len(around) + 1) // 2
    within = np.array([rows[delays - 1 - at : 2 * delays - 1 - at].sum() for at in range(delays)], np.int64)
    return {"around": around, "rows": rows, "within": within}


@compiled(divisions_checked=False)
def step_of(number: Any) -> Any:
    """A step: -6 dB for the first one, then 1.5 dB less each."""
    return 2.0 ** (-1.0 - number / 4.0)


@compiled(divisions_checked=False)
def top_of(number: Any) -> Any:
    """Largest amplitude in steps: a path has no more than the unit norm, or little more beside another one."""
    return _TOPS[number]


@compiled(divisions_checked=False)
def cells_of(amplitude: Any) -> Any:
    """Cells of delay, and of angle, within a bin."""
    return max(1, (amplitude * _FINE + 8) // 16)


@compiled(divisions_checked=False)
def phases_of(amplitude: Any) -> Any:
    """Cells of phase within a turn."""
    return max(3, (amplitude * _PHASES + 8) // 16)


@compiled(divisions_checked=False)
def level_of(tables: Tables, zone: Any, paths: Any, coefficient: Any, step: Any) -> Any:
    """Level of a coefficient over the step."""
    level = tables.levels[zone, coefficient] + tables.shifts[paths, coefficient] + OCTAVE + 2 * step
    return min(max(level, LOWEST), HIGHEST) - LOWEST


@compiled(divisions_checked=False)
def _walk(state: np.ndarray, report: np.ndarray, reading: Any, tables: Tables, symbols: np.ndarray) -> None:
    """Write all symbols, or read them."""
    step = symbols[STEP] = code(state, report, reading, tables.steps, symbols[STEP])
    zone = symbols[ZONE] = code(state, report, reading, tables.zones, symbols[ZONE])
    bare = 1 if zone == len(tables.levels) else 0
    paths = symbols[PATHS] = code(state, report, reading, tables.paths[bare], symbols[PATHS])
    kept = 0 if bare else code(state, report, reading, tables.kept[paths], symbols[KEPT])
    symbols[KEPT] = kept
    count = len(tables.references)
    like = code(state, report, reading, tables.likes, symbols[LIKE]) if bare and count else count
    symbols[LIKE] = like
    before = top_of(step)
    left = np.zeros(tables.which.shape[1], np.int64)
    for path in range(paths):
        at = FIRST + EACH * path
        edges = tables.amplitudes[path, before, : before + 1]
        before = code(state, report, reading, edges, symbols[at] - 1) + 1
        symbols[at] = before
        _walk_place(state, report, reading, tables, like, path, symbols, left)
        symbols[at + 4] = code_flat(state, report, reading, phases_of(before), symbols[at + 4])
    at = FIRST + EACH * (tables.paths.shape[1] - 2)
    for k in range(2 * kept):
        edges = tables.coefficients[level_of(tables, zone, paths, k // 2, step)]
        symbols[at + k] = code(state, report, reading, edges, symbols[at + k] + LARGEST) - LARGEST


@compiled(divisions_checked=False)
def _walk_place(
    state: np.ndarray,
    report: np.ndarray,
    reading: Any,
    tables: Tables,
    like: Any,
    path: Any,
    report_symbols: np.ndarray,
    left: np.ndarray,
) -> None:
    """Write where a path lies, or read it: beside a path of the reference, or anywhere."""
    symbols = report_symbols[FIRST + EACH * path : FIRST + EACH * (path + 1)]
    known, cells = tables.references.shape[1], cells_of(symbols[0])
    which = known
    if like < len(tables.references):
        total = weights_of(tables, like, path, left)
        edges = np.zeros(known + 2, np.int64)
        sum_ = 0
        for k in range(known + 1):
            sum_ += left[k] if left[k] > 0 else 0
            edges[k + 1] = sum_ * TOTAL // total
        which = code(state, report, reading, edges, symbols[1])
        if which < known:
            left[which] = -1
    symbols[1] = which
    columns = tables.columns
    if which < known:
        for axis in range(2):
            edges = tables.coefficients[offset_level(tables, axis, symbols[0])]
            centre = tables.references[like, which, axis] * cells // GRAIN
            offset = code(state, report, reading, edges, symbols[2 + axis] - centre + LARGEST) - LARGEST
            symbols[2 + axis] = centre + offset
    else:
        bin_ = (symbols[2] // cells) * columns + symbols[3] // cells
        if path and len(tables.around):
            bin_ = _walk_bin(state, report, reading, tables, report_symbols, path, bin_)
        else:
            bin_ = code(state, report, reading, tables.places, bin_)
        delay = code_flat(state, report, reading, cells, symbols[2] % cells)
        angle = code_flat(state, report, reading, cells, symbols[3] % cells)
        symbols[2], symbols[3] = (bin_ // columns) * cells + delay, (bin_ % columns) * cells + angle


@compiled(divisions_checked=False)
def _walk_bin(
    state: np.ndarray, report: np.ndarray, reading: Any, tables: Tables, symbols: np.ndarray, path: Any, bin_: Any
) -> Any:
    """Write the bin of a path that no reference has, or read it: first its delay, then its angle."""
    columns, rows = tables.columns, len(tables.within)
    weights = np.zeros(rows, np.int64)
    for d in range(rows):
        weights[d] = path * (tables.places[(d + 1) * columns] - tables.places[d * columns])
    for earlier in range(path):
        at, _ = bin_of(tables, symbols, earlier)
        for d in range(rows):
            weights[d] += tables.rows[d - at + rows - 1]
    delay = code(state, report, reading, _edges(weights), bin_ // columns)
    weights = np.zeros(columns, np.int64)
    for a in range(columns):
        weights[a] = path * (tables.places[delay * columns + a + 1] - tables.places[delay * columns + a])
    for earlier in range(path):
        at, angle = bin_of(tables, symbols, earlier)
        for a in range(columns):
            weights[a] += tables.around[delay - at + rows - 1, (a - angle) % columns]
    return delay * columns + code(state, report, reading, _edges(weights), bin_ % columns)


@compiled(divisions_checked=False)
def _edges(weights: np.ndarray) -> np.ndarray:
    """Cumulative frequencies of whole weights, each symbol with at least one."""
    count = len(weights)
    total, sum_ = weights.sum(), 0
    edges = np.zeros(count + 1, np.int64)
    for k in range(count):
        sum_ += weights[k]
        edges[k + 1] = sum_ * (TOTAL - count) // total + k + 1
    edges[count] = TOTAL
    return edges


@compiled(divisions_checked=False)
def bin_of(tables: Tables, symbols: np.ndarray, path: Any) -> Any:
    """Bins of delay and angle of a path of a report."""
    at = FIRST + EACH * path
    cells = cells_of(symbols[at])
    return min(max(symbols[at + 2] // cells, 0), len(tables.within) - 1), (symbols[at + 3] // cells) % tables.columns


@compiled(divisions_checked=False)
def bits_of_bin(tables: Tables, symbols: np.ndarray, path: Any, delay: Any, angle: Any) -> Any:
    """Bits of the bin of a path that no reference has, behind the paths before it; a little more than it takes."""
    columns, rows = tables.columns, len(tables.within)
    bin_ = delay * columns + angle
    count = path if path and rows else 1
    weight, total = count * (tables.places[bin_ + 1] - tables.places[bin_]), count * TOTAL
    if rows:
        for earlier in range(path):
            at, beside = bin_of(tables, symbols, earlier)
            weight += tables.around[delay - at + rows - 1, (angle - beside) % columns]
            total += tables.within[at]
    return np.log2(total / weight)


@compiled(divisions_checked=False)
def weights_of(tables: Tables, like: Any, path: Any, left: np.ndarray) -> Any:
    """Write the weights of a reference's paths that no path was compared with yet; returned is their sum."""
    known, total = tables.references.shape[1], 0
    for k in range(known + 1):
        if path == 0:
            left[k] = 0
        if left[k] >= 0:
            there = k == known or tables.references[like, k, 0] != NOWHERE
            left[k] = tables.which[path, k] if there else 0
            total += left[k]
    return total


@compiled(divisions_checked=False)
def offset_level(tables: Tables, axis: Any, amplitude: Any) -> Any:
    """Level of how far a path lies from a reference's, over its cells."""
    return min(max(tables.spreads[axis] + tables.finer[amplitude], LOWEST), HIGHEST) - LOWEST


@compiled(divisions_checked=False)
def write_reports(tables: Tables, symbols: np.ndarray, length: Any, reports: np.ndarray) -> Any:
    """Write the reports of users; returned is whether each one holds all its symbols.

    Args:
        tables: Frequencies.
        symbols: (users, symbols) int64.
        length: Bits of a report.
        reports: (users, bytes) uint8, written.
    """
    fits = np.zeros(len(symbols), np.bool_)
    state = np.zeros(5, np.int64)
    for user in range(len(symbols)):
        begin(state, length)
        _walk(state, reports[user], False, tables, symbols[user])
        fits[user] = finish(state, reports[user])
    return fits


@compiled(divisions_checked=False)
def read_reports(tables: Tables, reports: np.ndarray, length: Any, symbols: np.ndarray) -> None:
    """Read the symbols of reports, each of which is a report of some matrix.

    Args:
        tables: Frequencies.
        reports: (users, bytes) uint8.
        length: Bits of a report.
        symbols: (users, symbols) int64 zeros, written.
    """
    state = np.zeros(5, np.int64)
    for user in range(len(symbols)):
        begin_reading(state, length, reports[user])
        _walk(state, reports[user], True, tables, symbols[user])
