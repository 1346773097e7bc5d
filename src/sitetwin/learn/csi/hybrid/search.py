"""The choice of a report: zone, paths, step and coefficients with the least error within the bits."""

from typing import Any

import numpy as np

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.paths import (
    add_path,
    correlate,
    equations,
    next_gain,
    project,
    project_path,
    refine,
    remainder,
    strongest,
    subtract,
)
from sitetwin.learn.csi.hybrid.report import STEPS
from sitetwin.learn.csi.hybrid.rounding import attempt
from sitetwin.learn.csi.hybrid.tasks import Best, Desk, Stages, Task
from sitetwin.learn.csi.hybrid.waves import kernel_alone

BESIDE_ZONES = 3
"""Most paths beside a zone's coefficients: with more of them, coefficients say nothing."""

_ROUNDS = 2  # of Newton's steps for a new path; one each time that it is looked at again
_PATIENCE = 2  # more paths are tried so often without gain
_TRIES = 2  # and other steps: errors of roundings are noisy, those of few paths most
_BITS_OF_A_PATH = 25  # about: the count of paths by which a search begins


@compiled(divisions_checked=False)
def resolve(task: Task, desk: Desk, x: np.ndarray, stages: Stages) -> None:
    """Find the paths of matrices, without any zone.

    Args:
        task: What the search needs.
        desk: One without a zone.
        x: (users, 2, taps * beams) float32.
        stages: Written.
    """
    count, found = stages.left.shape[1], desk.continuous
    for user in range(len(x)):
        correlate(task.grid, x[user], desk.map_)
        energy = _energy(x[user])
        for paths in range(1, count + 1):
            _look(task, desk, x[user], paths)
            stages.place[user, paths - 1] = found.place
            stages.gain[user, paths - 1] = found.gain
            stages.left[user, paths - 1] = remainder(found, paths, energy)


@compiled(divisions_checked=False)
def search_paths(task: Task, desk: Desk, x: np.ndarray, stages: Stages, likes: np.ndarray, best: Best) -> None:
    """Improve the best reports of users by reports of paths alone.

    Args:
        task: What the search needs.
        desk: One without a zone.
        x: (users, 2, taps * beams) float32.
        stages: The paths.
        likes: (users, `LIKES`) the references of each user; the number of references for none.
        best: Written.
    """
    most, found = task.paths, desk.continuous
    first = min(max(task.bits // _BITS_OF_A_PATH, 1), most)
    for user in range(len(x)):
        desk.likes[:] = likes[user]
        energy, step, since, start = _energy(x[user]), STEPS // 2, 0, STEPS // 2
        for turn in range(most):  # from the usual count of paths upwards, then downwards from it
            upwards = first + turn <= most
            paths = first + turn if upwards else most - turn
            if upwards and since > _PATIENCE:
                continue
            if not upwards and stages.left[user, paths - 1] >= best.error[user]:
                break  # still fewer paths leave still more
            found.place[:paths] = stages.place[user, paths - 1, :paths]
            found.gain[:paths] = stages.gain[user, paths - 1, :paths]
            _sort(desk, paths)
            before = best.error[user]
            step = _descend(task, desk, x[user], energy, paths, start if paths == first - 1 else step, best, user)
            start = step if turn == 0 else start
            since = 0 if best.error[user] < before else since + 1


@compiled(divisions_checked=False)
def search_zone(task: Task, desk: Desk, x: np.ndarray, users: np.ndarray, best: Best) -> None:
    """Improve the best reports of some users by reports of one zone.

    Args:
        task: What the search needs.
        desk: One of the zone.
        x: (users, 2, taps * beams) float32.
        users: Numbers of the users whose reports are sought.
        best: Written.
    """
    most = min(task.paths, BESIDE_ZONES)
    desk.likes[:] = len(task.tables.references)
    for user in users:
        energy, step, since = _energy(x[user]), STEPS // 2, 0
        project(desk.real, desk.imaginary, len(desk.real), x[user], desk.inside)
        for paths in range(most + 1):
            _look(task, desk, x[user], paths)
            _sort(desk, paths)
            before = best.error[user]
            step = _descend(task, desk, x[user], energy, paths, step, best, user)
            since = 0 if best.error[user] < before else since + 1
            if since > _PATIENCE:
                break


@compiled(divisions_checked=False)
def _look(task: Task, desk: Desk, own: np.ndarray, paths: Any) -> None:
    """Find one more path, look at all paths again, and solve for their gains."""
    grid, found, left = task.grid, desk.continuous, desk.left
    beside, chosen, last = len(desk.real) > 0, desk.weights.shape[1], paths - 1
    if paths:
        if beside:
            correlate(grid, left, desk.map_)
        strongest(grid, desk.map_, found, 0 if beside else last, found.place[last])
        found.gain[last] = 0
    for path in range(last, -1, -1):
        if beside:
            add_path(found.delay[path], found.angle[path], found.gain[path], left)
        refine(grid, left if beside else own, found, 0 if beside else last, path, _ROUNDS if path == last else 1)
        kernel_alone(found.place[path, 0], grid.subcarriers, found.delay[path])
        kernel_alone(found.place[path, 1], found.angle.shape[1], found.angle[path])
        if beside:
            add_path(found.delay[path], found.angle[path], -found.gain[path], left)
            project_path(
                desk.real,
                desk.imaginary,
                chosen,
                found.delay[path],
                found.angle[path],
                desk.wave,
                found.inside[:, path],
            )
    equations(found, paths, chosen, desk.inside, own)
    for path in range(paths):
        next_gain(found, paths, path)
    if beside:
        left[:] = own
        for path in range(paths):
            add_path(found.delay[path], found.angle[path], -found.gain[path], left)
        project(desk.real, desk.imaginary, chosen, left, desk.weights)
        subtract(desk.real, desk.imaginary, desk.weights, left)


@compiled(divisions_checked=False)
def _sort(desk: Desk, paths: Any) -> None:
    """Write the numbers of the paths by falling gain."""
    gain, order = desk.continuous.gain, desk.order
    for path in range(paths):
        at = path
        while at > 0 and abs(gain[order[at - 1]]) < abs(gain[path]):
            order[at] = order[at - 1]
            at -= 1
        order[at] = path


@compiled(divisions_checked=False)
def _energy(x: np.ndarray) -> Any:
    """Energy of a matrix."""
    energy = 0.0
    for k in range(x.shape[1]):
        energy += x[0, k] * x[0, k] + x[1, k] * x[1, k]
    return energy


@compiled(divisions_checked=False)
def _descend(task: Task, desk: Desk, own: np.ndarray, energy: Any, paths: Any, step: Any, best: Best, user: Any) -> Any:
    """Try steps around the one that was best with another count of paths; returned is the best one."""
    error = attempt(task, desk, own, energy, paths, step, best, user)
    at = step
    for direction in (1, -1):
        tried, worse = step + direction, 0
        while 0 <= tried < STEPS and worse < (_TRIES if paths > 2 else 2 * _TRIES):
            found = attempt(task, desk, own, energy, paths, tried, best, user)
            if direction == 1 and np.isinf(found):
                break  # finer ones take more bits
            worse = worse + 1 if found >= error and not np.isinf(error) else 0
            if found < error:
                error, at = found, tried
            tried += direction
        if at > step:
            break
    return at
