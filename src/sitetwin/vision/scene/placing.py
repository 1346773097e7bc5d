"""From boxes in the image to objects on the ground: class, middle, and covariance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.vision.camera import Camera
from sitetwin.vision.contact import camera_slopes, checked_covariance, contact_points
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.frames import Detection
from sitetwin.vision.ground import Ground
from sitetwin.vision.scene.objects import CLASS_SIZES, SIZE_SIGMA, StreetObject

EDGE_SIGMA = (2.5, 4.0, 2.5, 2.0)
"""Standard deviation of the left, upper, right and lower edge of a detector's box at 960 pixels across, pixels."""

EDGE_SHARE = 0.05
"""Standard deviation of each edge as a share of the box's size, which is added: detectors round large boxes, too."""

CUT_MARGIN = 3.0
"""Pixels from the edge of the image within which an edge of a box says only where the image ends."""

CONFUSED: Mapping[str, Mapping[str, float]] = {
    "car": {"car": 0.0, "van": 2.0},
    "van": {"van": 0.0, "car": 2.0, "truck": 3.0},
    "truck": {"truck": 0.0, "van": 1.0, "bus": 1.0, "car": 4.0},
    "bus": {"bus": 0.0, "van": 2.0, "truck": 2.0},
}
"""Classes that a box of a class may be, each with what it adds to the sum of squares (detectors know no vans)."""

_ROUNDS, _STEP, _FAR_OFF, _REACH = 12, 1e-3, 1e6, 25.0
_HEADING_SIGMA = math.radians(3.0)


@dataclass(frozen=True)
class Placing:
    """How boxes become objects.

    Attributes:
        headings: Directions in which vehicles may stand, radians from east; an object that is turned by 180 degrees
            looks the same. With none, six directions are tried.
        heading_sigma: Standard deviation of the heading about each of them, radians.
        ground_sigma: Standard deviation of the ground's height, metres.
        edge_sigma: Standard deviation of the edges of a box, pixels.
    """

    headings: tuple[float, ...] = ()
    heading_sigma: float = _HEADING_SIGMA
    ground_sigma: float = 0.03
    edge_sigma: tuple[float, float, float, float] = EDGE_SIGMA


def place_boxes(
    camera: Camera,
    boxes: Sequence[Detection],
    ground: Ground,
    placing: Placing | None = None,
    camera_covariance: Float[np.ndarray, "7 7"] | None = None,
) -> list[StreetObject | None]:
    """Find where the objects of boxes stand.

    A body of the class's size is moved over the ground, grown and turned until its outline fits the box: edges that
    the image's edge cuts count for nothing. Of the classes that a detector confuses and of the headings, the best
    fit is taken. The covariance is that of the fit, from edges, size, heading and ground, and of the camera's errors.

    Args:
        camera: The camera.
        boxes: What a detector found.
        ground: The ground.
        placing: How; by default vehicles stand in any direction.
        camera_covariance: (7, 7) of the camera's `PARAMETERS`; None for a camera that is known.

    Returns:
        An object for each box; None for a box of another class than those of `CLASS_SIZES`, one whose lower edge shows
        no ground, and one of which too little lies in the image.
    """
    placing = placing or Placing()
    headings = placing.headings or tuple(np.arange(6) * math.pi / 6)
    spread = None if camera_covariance is None else checked_covariance(camera_covariance)
    return [_placed(camera, box, ground, placing, headings, spread) for box in boxes]


def _placed(
    camera: Camera,
    box: Detection,
    ground: Ground,
    placing: Placing,
    headings: Sequence[float],
    spread: np.ndarray | None,
) -> StreetObject | None:
    names = CONFUSED.get(box.name, {box.name: 0.0} if box.name in CLASS_SIZES else {})
    start, _ = contact_points(camera, np.array([box.contact]), ground)
    if not names or not np.isfinite(start).all():
        return None
    local = ground.near(start[0, :2], _REACH)
    fit = _Fit(camera, box, local, placing, list(names), np.array(headings))
    if fit.known.sum() < 2 or not (fit.known[1] or fit.known[3]):
        return None
    state = fit.solve(start[0])
    if state is None:
        return None
    cost = fit.cost(state) + np.repeat(list(names.values()), len(headings))
    best = int(np.argmin(cost))
    if not math.isfinite(cost[best]):
        return None
    covariance = fit.covariance(state, best)
    if spread is not None:
        slopes = camera_slopes(camera, lambda other: fit.moved_by(other, state, best)[None])[0]
        covariance = covariance + slopes @ spread @ slopes.T
    name, heading = list(names)[best // len(headings)], headings[best % len(headings)]
    turned = math.remainder(heading + float(state[best, 4]), 2 * math.pi)
    return StreetObject(
        name, state[best, :2].copy(), 0.5 * (covariance + covariance.T), turned, placing.heading_sigma, score=box.score
    )


class _Fit:
    """One box against bodies of some classes and headings, all at once.

    The state (hypotheses, 5) is x and y in metres, the logarithms of the plan's and of the height's growth, and the
    turn in radians.
    """

    def __init__(
        self, camera: Camera, box: Detection, ground: Ground, placing: Placing, names: list[str], headings: np.ndarray
    ) -> None:
        self._camera, self._ground = camera, ground
        self._sizes = np.repeat(np.array([CLASS_SIZES[name] for name in names]), len(headings), axis=0)
        self._headings = np.tile(headings, len(names))
        self._seen = np.array(box.box)
        width, height = box.size
        share = EDGE_SHARE * np.array([width, height, width, height])
        self._sigma = np.hypot(np.array(placing.edge_sigma) * camera.width / 960, share)
        low, high = np.array([CUT_MARGIN] * 2), np.array([camera.width, camera.height]) - CUT_MARGIN
        self.known = np.concatenate([self._seen[:2] > low, self._seen[2:] < high])
        self._prior = np.array([SIZE_SIGMA, SIZE_SIGMA, max(placing.heading_sigma, 1e-6)])
        self._ground_sigma = placing.ground_sigma

    def solve(self, start: np.ndarray) -> np.ndarray | None:
        """(hypotheses, 5) best states by damped Gauss-Newton steps, beginning behind the point of contact."""
        away = start[:2] - self._camera.position[:2]
        away /= max(float(np.linalg.norm(away)), 1e-9)
        state = np.zeros((len(self._sizes), 5))
        state[:, :2] = start[:2] + 0.5 * self._sizes[:, 1:2] * away
        damping = np.full(len(state), 1e-3)
        cost = self.cost(state)
        for _ in range(_ROUNDS):
            slope, rest = self._slopes(state), self._rest(state)
            normal = np.einsum("hri,hrj->hij", slope, slope)
            normal += damping[:, None, None] * np.eye(5) * np.einsum("hii->hi", normal)[:, None, :]
            with np.errstate(invalid="ignore"):
                step = np.linalg.solve(normal + 1e-12 * np.eye(5), -np.einsum("hri,hr->hi", slope, rest)[..., None])
            trial = state + np.clip(step[..., 0], -5.0, 5.0)
            found = self.cost(trial)
            better = found < cost
            state[better], cost[better] = trial[better], found[better]
            damping = np.where(better, damping * 0.3, damping * 10)
        return state if np.isfinite(cost).any() else None

    def cost(self, state: np.ndarray) -> np.ndarray:
        """(hypotheses,) sum of squares; infinite for bodies that this camera cannot see whole."""
        rest = self._rest(state)
        return np.where(np.abs(rest).max(axis=1) >= _FAR_OFF, np.inf, np.square(rest).sum(axis=1))

    def covariance(self, state: np.ndarray, best: int) -> np.ndarray:
        """(2, 2) of the place, m2."""
        slope = self._slopes(state)[best]
        inverse = np.linalg.pinv(slope.T @ slope)
        lifted = np.linalg.pinv(slope[:, :2]) @ self._lift(state)[best]
        return np.asarray(inverse[:2, :2] + self._ground_sigma**2 * np.outer(lifted, lifted))

    def moved_by(self, other: Camera, state: np.ndarray, best: int) -> np.ndarray:
        """(2,) how another camera moves the place, to first order."""
        slope = self._slopes(state)[best]
        change = self._rest(state, camera=other)[best] - self._rest(state)[best]
        return np.asarray(-(np.linalg.pinv(slope) @ change)[:2])

    def _rest(self, state: np.ndarray, camera: Camera | None = None, lift: float = 0.0) -> np.ndarray:
        """(hypotheses, 7) differences of edges, of size and of heading, in standard deviations."""
        grown = np.exp(np.clip(state[:, [2, 2, 3]], -1, 1))
        feet = np.column_stack([state[:, :2], self._ground.height(state[:, :2]) + lift])
        box = outlines(camera or self._camera, feet, self._headings + state[:, 4], self._sizes * grown)
        bound = np.array([self._camera.width, self._camera.height] * 2, dtype=float)
        edges = np.where(self.known, np.clip(box, -bound, 2 * bound) - self._seen, 0.0) / self._sigma
        edges = np.where(np.isfinite(box), edges, _FAR_OFF)
        return np.concatenate([edges, state[:, 2:] / self._prior], axis=1)

    def _slopes(self, state: np.ndarray) -> np.ndarray:
        """(hypotheses, 7, 5)."""
        columns = []
        for index in range(5):
            step = np.zeros(5)
            step[index] = _STEP
            columns.append((self._rest(state + step) - self._rest(state - step)) / (2 * _STEP))
        return np.nan_to_num(np.stack(columns, axis=-1))

    def _lift(self, state: np.ndarray) -> np.ndarray:
        """(hypotheses, 7) change with the height of the ground, per metre."""
        return np.asarray((self._rest(state, lift=_STEP) - self._rest(state, lift=-_STEP)) / (2 * _STEP))
