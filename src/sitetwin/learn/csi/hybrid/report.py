"""What stands in a report, in which order, and how finely: the walk that writer and reader share.

A report says the step, the zone (or none), how many paths and coefficients follow, then the paths, the strongest first,
and the coefficients of the zone. The amplitude of a path is a whole number of steps. The larger it is, the finer are
delay, angle and phase told: each adds about as much error as a coefficient's rounding.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.range_coder import begin, begin_reading, code, code_flat, finish

STEPS = 24
"""Steps that a report can choose: -6 dB of the unit norm and downwards, 1.5 dB apart."""

LARGEST = 127
"""Most steps of an amplitude or a coefficient."""

OCTAVE = 8
"""Levels of standard deviation in an octave of amplitude."""

LOWEST, HIGHEST = -24, 56
"""Levels of a standard deviation over a step."""

STEP, ZONE, PATHS, KEPT, FIRST = 0, 1, 2, 3, 4
"""Places of the symbols: step, zone, number of paths, number of coefficients; then five for each path."""

EACH = 5  # symbols of a path: amplitude, place, delay and angle within the place, phase
_FINE, _PHASES = 14, 100  # sixteenths: cells of a bin and of a turn for each step of amplitude


class Tables(NamedTuple):
    """Cumulative frequencies of all symbols, and the levels of the coefficients.

    Attributes:
        steps: Steps.
        zones: Zones; the last one is none.
        paths: Number of paths, in a zone and without one.
        kept: Number of coefficients, for each number of paths.
        first: Amplitude of the first path below each largest one.
        next: Amplitude of another path, for each one before it.
        places: Bins of delay and angle.
        coefficients: Coefficients in steps, for each level.
        points: Where a coefficient lies on average, in steps, for each level.
        levels: Level of each zone's coefficients.
        shifts: What is added to it, for each number of paths.
    """

    steps: Int64[np.ndarray, " edges"]
    zones: Int64[np.ndarray, " zone_edges"]
    paths: Int64[np.ndarray, "two path_edges"]
    kept: Int64[np.ndarray, "counts kept_edges"]
    first: Int64[np.ndarray, "before amplitude_edges"]
    next: Int64[np.ndarray, "before amplitude_edges"]
    places: Int64[np.ndarray, " place_edges"]
    coefficients: Int64[np.ndarray, "levels value_edges"]
    points: Float32[np.ndarray, "levels values"]
    levels: Int64[np.ndarray, "zones rank"]
    shifts: Int64[np.ndarray, "counts rank"]


@compiled(divisions_checked=False)
def step_of(number):
    """A step: -6 dB for the first one, then 1.5 dB less each."""
    return 2.0 ** (-1.0 - number / 4.0)


@compiled(divisions_checked=False)
def top_of(number):
    """Largest amplitude in steps: a path has no more than the unit norm, or little more beside another one."""
    return min(LARGEST, int(1.5 / step_of(number)) + 1)


@compiled(divisions_checked=False)
def cells_of(amplitude):
    """Cells of delay, and of angle, within a bin."""
    return max(1, (amplitude * _FINE + 8) // 16)


@compiled(divisions_checked=False)
def phases_of(amplitude):
    """Cells of phase within a turn."""
    return max(3, (amplitude * _PHASES + 8) // 16)


@compiled(divisions_checked=False)
def level_of(tables, zone, paths, coefficient, step):
    """Level of a coefficient over the step."""
    level = tables.levels[zone, coefficient] + tables.shifts[paths, coefficient] + OCTAVE + 2 * step
    return min(max(level, LOWEST), HIGHEST) - LOWEST


@compiled(divisions_checked=False)
def _walk(state, report, reading, tables, symbols):
    """Write all symbols, or read them."""
    step = symbols[STEP] = code(state, report, reading, tables.steps, symbols[STEP])
    zone = symbols[ZONE] = code(state, report, reading, tables.zones, symbols[ZONE])
    bare = 1 if zone == len(tables.levels) else 0
    paths = symbols[PATHS] = code(state, report, reading, tables.paths[bare], symbols[PATHS])
    kept = 0 if bare else code(state, report, reading, tables.kept[paths], symbols[KEPT])
    symbols[KEPT] = kept
    before = top_of(step)
    for path in range(paths):
        at = FIRST + EACH * path
        edges = tables.first[before] if path == 0 else tables.next[before]
        before = code(state, report, reading, edges[: before + 1], symbols[at] - 1) + 1
        symbols[at] = before
        symbols[at + 1] = code(state, report, reading, tables.places, symbols[at + 1])
        cells = cells_of(before)
        symbols[at + 2] = code_flat(state, report, reading, cells, symbols[at + 2])
        symbols[at + 3] = code_flat(state, report, reading, cells, symbols[at + 3])
        symbols[at + 4] = code_flat(state, report, reading, phases_of(before), symbols[at + 4])
    at = FIRST + EACH * (tables.paths.shape[1] - 2)
    for k in range(2 * kept):
        edges = tables.coefficients[level_of(tables, zone, paths, k // 2, step)]
        symbols[at + k] = code(state, report, reading, edges, symbols[at + k] + LARGEST) - LARGEST


@compiled(divisions_checked=False)
def write_reports(tables, symbols, length, reports):
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
def read_reports(tables, reports, length, symbols):
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
