"""One report of a matrix: its paths and coefficients rounded, and the bits and the error that it has."""

from typing import Any

import numpy as np

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.paths import Found, equations, next_gain, project_path, remainder
from sitetwin.learn.csi.hybrid.report import (
    EACH,
    FIRST,
    GRAIN,
    KEPT,
    LARGEST,
    LIKE,
    NOWHERE,
    PATHS,
    STEP,
    ZONE,
    bits_of_bin,
    cells_of,
    level_of,
    offset_level,
    phases_of,
    step_of,
    top_of,
)
from sitetwin.learn.csi.hybrid.tasks import LIKES, SPARE, Best, Desk, Task
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, kernel_alone

_PRICE = 0.12  # of a bit in squared steps: the slope of the rounding's error over its bits


@compiled(divisions_checked=False)
def attempt(task: Task, desk: Desk, own: np.ndarray, energy: Any, paths: Any, step: Any, best: Best, user: Any) -> Any:
    """Round one report, and keep it if it is the best; returned is its error, infinite where the bits do not do.

    Args:
        task: What the search needs.
        desk: Zone and paths.
        own: The matrix.
        energy: Its energy.
        paths: Paths of the report.
        step: Its step.
        best: The best reports so far, written.
        user: Number of the user.
    """
    rank, rounded, symbols = len(desk.real), desk.rounded, desk.symbols
    bits = task.prices.steps[step] + task.prices.zones[desk.zone] + task.prices.paths[0 if rank else 1, paths]
    symbols[STEP], symbols[ZONE], symbols[PATHS], symbols[KEPT] = step, desk.zone, paths, 0
    bits = _round_places(task, paths, step, bits, desk, symbols)
    if bits > task.bits - SPARE:
        return np.inf
    for path in range(paths):
        at = FIRST + EACH * path
        fine = BINS_PER_TAP * cells_of(symbols[at])
        kernel_alone((symbols[at + 2] + 0.5) / fine - MARGIN, task.grid.subcarriers, rounded.delay[path])
        kernel_alone((symbols[at + 3] + 0.5) / fine, rounded.angle.shape[1], rounded.angle[path])
        if rank:
            project_path(
                desk.real,
                desk.imaginary,
                rank,
                rounded.delay[path],
                rounded.angle[path],
                desk.wave,
                rounded.inside[:, path],
            )
    equations(rounded, paths, desk.weights.shape[1], desk.inside, own)
    _round_gains(paths, step, rounded, symbols)
    error = remainder(rounded, paths, energy)
    if rank:
        error = _round_coefficients(task, desk, paths, step, bits, error)
    if error < best.error[user]:
        best.error[user] = error
        best.symbols[user] = symbols
    return error


@compiled(divisions_checked=False)
def _round_places(task: Task, paths: Any, step: Any, bits: Any, desk: Desk, symbols: np.ndarray) -> Any:
    """Round delay and angle of the paths, the strongest first; returned are the bits with all that is said of them."""
    prices, size, found = task.prices, step_of(step), desk.continuous
    known, count = task.tables.references.shape[1], len(task.tables.references)
    before, freely, least = top_of(step), 0.0, 0.0
    bare, limit = len(desk.real) == 0, task.bits - SPARE
    for k in range(LIKES):
        desk.beside[k] = prices.likes[desk.likes[k]] if bare and desk.likes[k] < count else np.inf
        desk.used[k] = False
    angle_bins = len(task.grid.angles)
    for path in range(paths):
        source = desk.order[path]
        amplitude = min(max(int(np.floor(abs(found.gain[source]) / size + 0.5)), 1), before)
        bits += prices.amplitudes[path, before, amplitude - 1] + prices.phases[amplitude]
        before = amplitude
        cells = cells_of(amplitude)
        delay = min(int((found.place[source, 0] + MARGIN) * BINS_PER_TAP * cells), len(task.grid.delays) * cells - 1)
        angle = min(int(found.place[source, 1] * BINS_PER_TAP * cells), angle_bins * cells - 1)
        at = FIRST + EACH * path
        symbols[at], symbols[at + 1], symbols[at + 2], symbols[at + 3] = amplitude, known, delay, angle
        place = bits_of_bin(task.tables, symbols, path, delay // cells, angle // cells) + 2 * prices.cells[amplitude]
        freely += place
        least = freely
        for k in range(LIKES):
            if desk.beside[k] < np.inf:
                desk.beside[k] += _beside(task, desk, k, path, place)
                least = min(least, desk.beside[k])
        if bits + least > limit:
            return np.inf
    freely += prices.likes[count] if bare and count else 0.0
    nearest = np.argmin(desk.beside)
    helped = desk.beside[nearest] < freely
    symbols[LIKE] = desk.likes[nearest] if helped else count
    for path in range(paths):
        symbols[FIRST + EACH * path + 1] = desk.which[nearest, path] if helped else known
    return bits + min(desk.beside[nearest], freely)


@compiled(divisions_checked=False)
def _beside(task: Task, desk: Desk, number: Any, path: Any, freely: Any) -> Any:
    """Bits of a place beside that path of a reference that makes it cheapest, or beside none."""
    tables, like, used = task.tables, desk.likes[number], desk.used[number]
    known, logarithms, at = tables.references.shape[1], task.prices.which[path], FIRST + EACH * path
    amplitude, delay, angle = desk.symbols[at], desk.symbols[at + 2], desk.symbols[at + 3]
    cells = cells_of(amplitude)
    delays = task.prices.coefficients[offset_level(tables, 0, amplitude)]
    angles = task.prices.coefficients[offset_level(tables, 1, amplitude)]
    total, least, which = tables.which[path, known], freely - logarithms[known], known
    for k in range(known):
        if used[k] or tables.references[like, k, 0] == NOWHERE:
            continue
        total += tables.which[path, k]
        away = delay - tables.references[like, k, 0] * cells // GRAIN
        aside = angle - tables.references[like, k, 1] * cells // GRAIN
        if abs(away) <= LARGEST and abs(aside) <= LARGEST:
            bits = delays[away + LARGEST] + angles[aside + LARGEST] - logarithms[k]
            if bits < least:
                least, which = bits, k
    desk.which[number, path] = which
    if which < known:
        used[which] = True
    return least + np.log2(total + 0.0)


@compiled(divisions_checked=False)
def _round_gains(paths: Any, step: Any, rounded: Found, symbols: np.ndarray) -> None:
    """Round the phases one after another; the gains that follow make up for it."""
    size = step_of(step)
    for path in range(paths):
        next_gain(rounded, paths, path)
        at = FIRST + EACH * path
        phases = phases_of(symbols[at])
        turn = np.angle(rounded.gain[path]) / (2 * np.pi)
        symbols[at + 4] = int(np.floor(turn * phases + 0.5)) % phases
        angle = 2 * np.pi * symbols[at + 4] / phases
        rounded.gain[path] = symbols[at] * size * complex(np.cos(angle), np.sin(angle))


@compiled(divisions_checked=False)
def _round_coefficients(task: Task, desk: Desk, paths: Any, step: Any, bits: Any, error: Any) -> Any:
    """Round the zone's coefficients, and keep as many as give the least error within the bits."""
    tables, prices, size = task.tables, task.prices, step_of(step)
    zone, inside, rounded, symbols = desk.zone, desk.inside, desk.rounded, desk.symbols
    at = FIRST + EACH * task.paths
    rank = inside.shape[1]
    least, kept = np.inf, 0
    limit = task.bits - SPARE
    for count in range(rank + 1):
        if bits + prices.kept[paths, count] <= limit and error < least:
            least, kept = error, count
        if count == rank or bits > limit:
            break
        level = level_of(tables, zone, paths, count, step)
        for part in range(2):
            value = inside[part, count]
            for path in range(paths):
                c = complex(rounded.inside[0, path, count], rounded.inside[1, path, count]) * rounded.gain[path]
                value -= c.real if part == 0 else c.imag
            value /= size
            nearest = min(max(int(np.floor(value + 0.5)), -LARGEST), LARGEST)
            chosen, cost = nearest, np.inf
            for other in (nearest, nearest - 1 if nearest > 0 else nearest + 1 if nearest < 0 else 0):
                point = tables.points[level, other + LARGEST]
                this = (value - point) ** 2 + _PRICE * prices.coefficients[level, other + LARGEST]
                if this < cost:
                    chosen, cost = other, this
            symbols[at + 2 * count + part] = chosen
            bits += prices.coefficients[level, chosen + LARGEST]
            error += ((value - tables.points[level, chosen + LARGEST]) ** 2 - value**2) * size * size
    symbols[KEPT] = kept
    return least
