"""The choice of a report: zone, paths, step and coefficients with the least error within the bits."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.paths import (
    Found,
    Grid,
    add_path,
    equations,
    project,
    project_path,
    refine,
    remainder,
    room,
    solve,
    strongest,
    subtract,
)
from sitetwin.learn.csi.hybrid.report import (
    EACH,
    FIRST,
    GRAIN,
    KEPT,
    LARGEST,
    LIKE,
    PATHS,
    STEP,
    STEPS,
    ZONE,
    Tables,
    cells_of,
    level_of,
    offset_level,
    phases_of,
    step_of,
    top_of,
    weights_of,
)
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, kernel

SPARE = 0.02  # bits by which the sum of lengths stays below the report: more than its rounding
_PRICE = 0.12  # of a bit in squared steps: the slope of the rounding's error over its bits
_PATIENCE = 2  # more paths are tried so often without gain
_BESIDE_ZONES = 3  # most paths beside a zone's coefficients: with more of them, coefficients say nothing
LIKES = 4
"""References that are tried for each matrix."""

_TRIES = 2  # and other steps: errors of roundings are noisy, those of few paths most


class Prices(NamedTuple):
    """Bits of each symbol, as `report.Tables` has the frequencies."""

    steps: Float32[np.ndarray, " _"]
    zones: Float32[np.ndarray, " _"]
    paths: Float32[np.ndarray, "_ _"]
    kept: Float32[np.ndarray, "_ _"]
    amplitudes: Float32[np.ndarray, "_ _ _"]
    places: Float32[np.ndarray, " _"]
    likes: Float32[np.ndarray, " _"]
    coefficients: Float32[np.ndarray, "_ _"]
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
        rounded: Its paths as a report says them.
        left: What is left of it.
        weights: Coefficients of what is left.
        wave: One path over taps and beams.
        symbols: Symbols of a report.
        likes: The references that are nearest.
        spare: Room for the weights of their paths.
        which: Their paths beside which those of the matrix are told.
        beside: Bits that places take beside each reference.
    """

    zone: int
    real: Float32[np.ndarray, "_ _"]
    imaginary: Float32[np.ndarray, "_ _"]
    inside: Float32[np.ndarray, "_ _"]
    continuous: Found
    rounded: Found
    left: Float32[np.ndarray, "_ _"]
    weights: Float32[np.ndarray, "_ _"]
    wave: Float32[np.ndarray, " _"]
    symbols: Int64[np.ndarray, " _"]
    likes: Int64[np.ndarray, " _"]
    spare: Int64[np.ndarray, "_ _"]
    which: Int64[np.ndarray, "_ _"]
    beside: Float64[np.ndarray, " _"]


@compiled(divisions_checked=False)
def search(
    task: Task,
    x: np.ndarray,
    users: np.ndarray,
    likes: np.ndarray,
    zone: Any,
    real: np.ndarray,
    imaginary: np.ndarray,
    best: Best,
) -> None:
    """Improve the best reports of some users by reports of one zone, or of none.

    Args:
        task: What the search needs.
        x: (users, 2, taps * beams) float32.
        users: Numbers of the users whose reports are sought.
        likes: (users, `LIKES`) the references of each user; the number of references for none.
        zone: Number of the zone; the number of zones for none.
        real: (rank, taps * beams) float32, real part of the zone's basis; no row for none.
        imaginary: Its imaginary part.
        best: Written.
    """
    rank = len(real)
    desk = _desk(task, zone, real, imaginary, task.paths, best.symbols.shape[1])
    for user in users:
        own = x[user]
        desk.likes[:] = likes[user]
        project(real, imaginary, rank, own, desk.inside)
        step, since = STEPS // 2, 0
        for paths in range(0 if rank else 1, (min(task.paths, _BESIDE_ZONES) if rank else task.paths) + 1):
            _look(task, desk, own, paths)
            before = best.error[user]
            step = _descend(task, desk, own, paths, step, best, user)
            since = 0 if best.error[user] < before else since + 1
            if since > _PATIENCE:
                break


@compiled(divisions_checked=False)
def resolve(task: Task, x: np.ndarray, places: np.ndarray, gains: np.ndarray) -> None:
    """Write the paths of matrices, without any zone.

    Args:
        task: What the search needs.
        x: (users, 2, taps * beams) float32.
        places: (users, paths, 2) float64, delay in taps and angle in beams, written.
        gains: (users, paths) complex128, written.
    """
    none = np.zeros((0, x.shape[2]), np.float32)
    count = places.shape[1]
    desk = _desk(task, len(task.tables.levels), none, none, count, 0)
    for user in range(len(x)):
        for paths in range(1, count + 1):
            _look(task, desk, x[user], paths)
        places[user] = desk.continuous.place
        gains[user] = desk.continuous.gain


@compiled(divisions_checked=False)
def _desk(task: Task, zone: Any, real: np.ndarray, imaginary: np.ndarray, paths: Any, symbols: np.ndarray) -> Any:
    """Room for the search of one zone."""
    rank, size = real.shape
    taps, beams = task.grid.delays.shape[1], task.grid.angles.shape[1]
    return Desk(
        zone,
        real,
        imaginary,
        np.zeros((2, rank), np.float32),
        room(paths, taps, beams, rank),
        room(paths, taps, beams, rank),
        np.zeros((2, size), np.float32),
        np.zeros((2, min(task.chosen, rank)), np.float32),
        np.zeros(size, np.float32),
        np.zeros(symbols, np.int64),
        np.zeros(LIKES, np.int64),
        np.zeros((LIKES, task.tables.which.shape[1]), np.int64),
        np.zeros((LIKES, max(task.paths, 1)), np.int64),
        np.zeros(LIKES),
    )


@compiled(divisions_checked=False)
def _look(task: Task, desk: Desk, own: np.ndarray, paths: Any) -> None:
    """Find one more path in what is left, look at all paths again, and take them off."""
    grid, found, left = task.grid, desk.continuous, desk.left
    chosen, last = desk.weights.shape[1], paths - 1
    size = max(found.delay.shape[1], found.angle.shape[1])
    slope, curve = np.zeros(size), np.zeros(size)
    if paths == 1 and chosen == 0:
        left[:] = own
    if paths:
        strongest(grid, left, found.place[last])
        found.gain[last] = 0
    for path in range(last, -1, -1):
        if found.gain[path] != 0:
            add_path(found.delay[path], found.angle[path], found.gain[path], left)
        refine(grid, left, found.place[path])
        kernel(found.place[path, 0], grid.subcarriers, found.delay[path], slope, curve)
        kernel(found.place[path, 1], found.angle.shape[1], found.angle[path], slope, curve)
        if found.gain[path] != 0:
            add_path(found.delay[path], found.angle[path], -found.gain[path], left)
        project_path(
            desk.real, desk.imaginary, chosen, found.delay[path], found.angle[path], desk.wave, found.inside[:, path]
        )
    equations(found, paths, chosen, desk.inside, own)
    solve(found.gram, found.right, 0, paths, found.gain)
    left[:] = own
    for path in range(paths):
        add_path(found.delay[path], found.angle[path], -found.gain[path], left)
    if chosen:
        project(desk.real, desk.imaginary, chosen, left, desk.weights)
        subtract(desk.real, desk.imaginary, desk.weights, left)


@compiled(divisions_checked=False)
def _descend(task: Task, desk: Desk, own: np.ndarray, paths: Any, step: Any, best: Best, user: Any) -> Any:
    """Try steps around the one that was best with fewer paths; returned is the best one."""
    error = _try(task, desk, own, paths, step, best, user)
    at = step
    for direction in (1, -1):
        tried, worse = step + direction, 0
        while 0 <= tried < STEPS and worse < (_TRIES if paths > 2 else 2 * _TRIES):
            found = _try(task, desk, own, paths, tried, best, user)
            if direction == 1 and np.isinf(found):
                break  # finer ones take more bits
            worse = worse + 1 if found >= error and not np.isinf(error) else 0
            if found < error:
                error, at = found, tried
            tried += direction
        if at > step:
            break
    return at


@compiled(divisions_checked=False)
def _try(task: Task, desk: Desk, own: np.ndarray, paths: Any, step: Any, best: Best, user: Any) -> Any:
    """Round the paths and the coefficients of one report; returned is its error, infinite where the bits do not do."""
    rank, rounded, symbols = len(desk.real), desk.rounded, desk.symbols
    bits = task.prices.steps[step] + task.prices.zones[desk.zone] + task.prices.paths[0 if rank else 1, paths]
    symbols[STEP], symbols[ZONE], symbols[PATHS], symbols[KEPT] = step, desk.zone, paths, 0
    bits += _round_places(task, paths, step, desk, symbols)
    if bits > task.bits - SPARE:
        return np.inf
    for path in range(paths):
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
    error = remainder(rounded, paths, own)
    if rank:
        error = _round_coefficients(task, desk, paths, step, bits, error)
    if error < best.error[user]:
        best.error[user] = error
        best.symbols[user] = symbols
    return error


@compiled(divisions_checked=False)
def _round_places(task: Task, paths: Any, step: Any, desk: Desk, symbols: np.ndarray) -> Any:
    """Round delay and angle of the paths, the strongest first; returned are the bits of all that is said of them."""
    prices, size, found, rounded = task.prices, step_of(step), desk.continuous, desk.rounded
    known = task.tables.references.shape[1]
    count = len(task.tables.references)
    order = _strongest_first(found.gain, paths)
    slope = np.zeros(max(found.delay.shape[1], found.angle.shape[1]))
    curve = np.zeros(len(slope))
    before, bits, freely = top_of(step), 0.0, 0.0
    bare = len(desk.real) == 0
    for k in range(LIKES):
        desk.beside[k] = prices.likes[desk.likes[k]] if bare and desk.likes[k] < count else np.inf
    angle_bins = len(task.grid.angles)
    for path in range(paths):
        source = order[path]
        amplitude = min(max(int(np.floor(abs(found.gain[source]) / size + 0.5)), 1), before)
        bits += prices.amplitudes[path, before, amplitude - 1]
        before = amplitude
        cells = cells_of(amplitude)
        delay = min(int((found.place[source, 0] + MARGIN) * BINS_PER_TAP * cells), len(task.grid.delays) * cells - 1)
        angle = min(int(found.place[source, 1] * BINS_PER_TAP * cells), angle_bins * cells - 1)
        at = FIRST + EACH * path
        symbols[at], symbols[at + 1], symbols[at + 2], symbols[at + 3] = amplitude, known, delay, angle
        place = prices.places[(delay // cells) * angle_bins + angle // cells] + 2 * prices.cells[amplitude]
        freely += place
        bits += prices.phases[amplitude]
        for k in range(LIKES):
            if desk.beside[k] < np.inf:
                desk.beside[k] += _beside(task, desk.likes[k], path, symbols[at : at + EACH], desk.spare[k], place)
                desk.which[k, path] = symbols[at + 1]
        kernel((delay + 0.5) / cells / BINS_PER_TAP - MARGIN, task.grid.subcarriers, rounded.delay[path], slope, curve)
        kernel((angle + 0.5) / cells / BINS_PER_TAP, rounded.angle.shape[1], rounded.angle[path], slope, curve)
    freely += prices.likes[count] if bare and count else 0.0
    nearest = np.argmin(desk.beside)
    helped = desk.beside[nearest] < freely
    symbols[LIKE] = desk.likes[nearest] if helped else count
    for path in range(paths):
        symbols[FIRST + EACH * path + 1] = desk.which[nearest, path] if helped else known
    return bits + min(desk.beside[nearest], freely)


@compiled(divisions_checked=False)
def _beside(task: Task, like: Any, path: Any, symbols: np.ndarray, left: np.ndarray, freely: Any) -> Any:
    """Bits of a place beside that path of a reference that makes it cheapest, or beside none."""
    tables, known, cells = task.tables, task.tables.references.shape[1], cells_of(symbols[0])
    total = np.log2(weights_of(tables, like, path, left) + 0.0)
    least, which = freely + total - np.log2(left[known] + 0.0), known
    for k in range(known):
        if left[k] <= 0:
            continue
        bits = total - np.log2(left[k] + 0.0)
        for axis in range(2):
            offset = symbols[2 + axis] - tables.references[like, k, axis] * cells // GRAIN
            if abs(offset) > LARGEST:
                bits = np.inf
            else:
                bits += task.prices.coefficients[offset_level(tables, axis, symbols[0]), offset + LARGEST]
        if bits < least:
            least, which = bits, k
    symbols[1] = which
    if which < known:
        left[which] = -1
    return least


@compiled(divisions_checked=False)
def _strongest_first(gain: np.ndarray, paths: Any) -> Any:
    """Numbers of the paths by falling gain."""
    order = np.zeros(paths, np.int64)
    for path in range(paths):
        at = path
        while at > 0 and abs(gain[order[at - 1]]) < abs(gain[path]):
            order[at] = order[at - 1]
            at -= 1
        order[at] = path
    return order


@compiled(divisions_checked=False)
def _round_gains(paths: Any, step: Any, rounded: Found, symbols: np.ndarray) -> None:
    """Round the phases one after another; the gains that follow make up for it."""
    size = step_of(step)
    for path in range(paths):
        solve(rounded.gram, rounded.right, path, paths, rounded.gain)
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
