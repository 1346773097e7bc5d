"""Bodies of some sizes that are moved over the ground until their outlines fit the boxes of one image, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.vision.camera import Camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.frames import Detection
from sitetwin.vision.ground import Ground
from sitetwin.vision.scene.objects import CLASS_SIZES, SIZE_SIGMA

EDGE_SHARE = 0.05
"""Standard deviation of each edge as a share of the box's size, which is added: detectors round large boxes, too."""

_ROUNDS, _STEP, _FAR_OFF = 12, 1e-3, 1e6
_LEAST_INFORMATION = 1e-4  # what nothing determines has a variance of 1e4
_ABOVE = 1e3  # metres over a box's contact from which the ground is looked for


@dataclass(frozen=True)
class Hypothesis:
    """What a box may be.

    Attributes:
        box: Number of the box.
        name: Class, a key of `CLASS_SIZES`.
        heading: Radians from east.
        extra: What the class adds to the sum of squares.
    """

    box: int
    name: str
    heading: float
    extra: float


def tells(known: Bool[np.ndarray, " 4"]) -> bool:
    """Whether enough edges of a box are known to say where its body stands."""
    return bool(known.sum() >= 2 and (known[1] or known[3]))


class BodyFits:
    """Boxes against bodies of the classes and headings that each may have.

    The state (hypotheses, 5) is x and y in metres, the logarithms of the plan's and of the height's growth, and the
    turn in radians. Edges that are not known count for nothing.

    Args:
        camera: The camera.
        boxes: B boxes.
        known: (B, 4) which of the left, upper, right and lower edges are those of the objects: the image's edge cuts
            some, and nearer objects hide some.
        grounds: The ground about each box.
        hypotheses: What each box may be, those of one box together and in the order of the boxes.
        sigma: Standard deviation of the left, upper, right and lower edge at 960 pixels across, pixels, and of the
            heading, radians.
    """

    def __init__(
        self,
        camera: Camera,
        boxes: Sequence[Detection],
        known: Bool[np.ndarray, "boxes 4"],
        grounds: Sequence[Ground],
        hypotheses: Sequence[Hypothesis],
        sigma: Sequence[float],
    ) -> None:
        self._camera, self._grounds = camera, grounds
        self._owner = np.array([one.box for one in hypotheses])
        self._first = np.searchsorted(self._owner, np.arange(len(boxes) + 1))
        self._sizes = np.array([CLASS_SIZES[one.name] for one in hypotheses])
        self._headings = np.array([one.heading for one in hypotheses])
        self._extra = np.array([one.extra for one in hypotheses])
        seen = np.array([box.box for box in boxes])
        sides = np.tile(seen[:, 2:] - seen[:, :2], 2)
        edges = np.hypot(np.array(sigma[:4]) * camera.width / 960, EDGE_SHARE * sides)
        self._seen, self._sigma = seen[self._owner], edges[self._owner]
        self._known = known[self._owner]
        self._prior = np.array([SIZE_SIGMA, SIZE_SIGMA, sigma[4]])

    def solve(
        self, start: Float[np.ndarray, "boxes 3"]
    ) -> tuple[Float[np.ndarray, "hypotheses 5"], Float[np.ndarray, " hypotheses"]]:
        """Find the best states by damped Gauss-Newton steps, beginning behind the points of contact.

        Args:
            start: (B, 3) where the middle of each box's lower edge meets the ground, metres.

        Returns:
            (H, 5) states, and (H,) sums of squares; infinite for bodies that this camera cannot see whole.
        """
        self._from = start[:, 2] + _ABOVE
        away = start[:, :2] - self._camera.position[:2]
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        state = np.zeros((len(self._owner), 5))
        state[:, :2] = start[self._owner, :2] + 0.5 * self._sizes[:, 1:2] * away[self._owner]
        damping = np.full(len(state), 1e-3)
        rest, slope = self._rest_and_slopes(state)
        cost = _cost(rest)
        for _ in range(_ROUNDS):
            normal = slope.transpose(0, 2, 1) @ slope
            normal += damping[:, None, None] * np.eye(5) * np.einsum("hii->hi", normal)[:, None, :]
            with np.errstate(invalid="ignore"):
                step = np.linalg.solve(normal + 1e-12 * np.eye(5), -(slope.transpose(0, 2, 1) @ rest[..., None]))
            trial = state + np.clip(step[..., 0], -5.0, 5.0)
            of_trial = self._rest_and_slopes(trial)
            found = _cost(of_trial[0])
            better = found < cost
            state[better], cost[better] = trial[better], found[better]
            rest[better], slope[better] = of_trial[0][better], of_trial[1][better]
            damping = np.where(better, damping * 0.3, damping * 10)
        return state, cost

    def best(self, cost: Float[np.ndarray, " hypotheses"]) -> Int[np.ndarray, " boxes"]:
        """Return (B,) the hypothesis of the least sum of squares for each box."""
        whole = cost + self._extra
        spans = zip(self._first[:-1], self._first[1:], strict=True)
        return np.array([low + int(np.argmin(whole[low:high])) for low, high in spans])

    def covariances(
        self, state: Float[np.ndarray, "hypotheses 5"], best: Int[np.ndarray, " boxes"], ground_sigma: float
    ) -> Float[np.ndarray, "boxes 2 2"]:
        """Return (B, 2, 2) of the places of the chosen hypotheses, m2."""
        _, slope = self._rest_and_slopes(state)
        slope = slope[best]
        values, vectors = np.linalg.eigh(slope.transpose(0, 2, 1) @ slope)
        # Rounding leaves small and even negative values where the slopes are steep; all are kept positive.
        spread = vectors / np.maximum(values, _LEAST_INFORMATION)[:, None, :]
        inverse = (spread @ vectors.transpose(0, 2, 1))[:, :2, :2]
        foot, _ = self._feet(state)
        up = np.array([0.0, 0.0, _STEP])
        lift = (self._rest(state, foot + up) - self._rest(state, foot - up))[best] / (2 * _STEP)
        lifted = (np.linalg.pinv(slope[:, :, :2]) @ np.nan_to_num(lift)[..., None])[..., 0]
        return np.asarray(inverse + ground_sigma**2 * lifted[:, :, None] * lifted[:, None, :])

    def moved_by(
        self, other: Camera, state: Float[np.ndarray, "hypotheses 5"], best: Int[np.ndarray, " boxes"]
    ) -> Float[np.ndarray, "boxes 2"]:
        """Return (B, 2) how another camera moves the places, to first order, metres."""
        rest, slope = self._rest_and_slopes(state)
        change = (self._rest(state, self._feet(state)[0], other) - rest)[best]
        return np.asarray(-(np.linalg.pinv(slope[best]) @ np.nan_to_num(change)[..., None])[:, :2, 0])

    def _feet(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, 3) points of the ground below the middles, and (H, 2) the ground's rise there; NaN without ground."""
        foot, rise = np.empty((len(state), 3)), np.empty((len(state), 2))
        for number, ground in enumerate(self._grounds):
            rows = slice(self._first[number], self._first[number + 1])
            above = np.column_stack([state[rows, :2], np.full(rows.stop - rows.start, self._from[number])])
            foot[rows], normal = ground.meet(above, np.tile([0.0, 0.0, -1.0], (len(above), 1)))
            rise[rows] = -normal[:, :2] / normal[:, 2:]
        return foot, rise

    def _rest(self, state: np.ndarray, foot: np.ndarray, camera: Camera | None = None) -> np.ndarray:
        """(..., H, 7) differences of edges, of size and of heading in standard deviations, for states (..., H, 5)."""
        grown = np.exp(np.clip(state[..., [2, 2, 3]], -1, 1)) * self._sizes
        turned = self._headings + state[..., 4]
        box = outlines(camera or self._camera, foot.reshape(-1, 3), turned.ravel(), grown.reshape(-1, 3))
        box = box.reshape(*state.shape[:-1], 4)
        bound = np.array([self._camera.width, self._camera.height] * 2, dtype=float)
        edges = np.where(self._known, np.clip(box, -bound, 2 * bound) - self._seen, 0.0) / self._sigma
        edges = np.where(np.isfinite(box), edges, _FAR_OFF)
        return np.concatenate([edges, state[..., 2:] / self._prior], axis=-1)

    def _rest_and_slopes(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, 7) differences, and (H, 7, 5) their slopes; the ground is taken as even about a state."""
        foot, rise = self._feet(state)
        steps = _STEP * np.concatenate([np.zeros((1, 5)), np.eye(5), -np.eye(5)])[:, None]
        moved = np.broadcast_to(foot, (len(steps), *foot.shape)) + np.concatenate(
            [
                np.broadcast_to(steps[..., :2], (len(steps), len(state), 2)),
                (steps[..., :2] * rise).sum(axis=-1, keepdims=True),
            ],
            axis=-1,
        )
        rest = self._rest(state + steps, moved)
        return rest[0], np.nan_to_num((rest[1:6] - rest[6:]) / (2 * _STEP)).transpose(1, 2, 0)


def _cost(rest: np.ndarray) -> np.ndarray:
    """(H,) sums of squares; infinite for bodies that this camera cannot see whole."""
    return np.where(np.abs(rest).max(axis=1) >= _FAR_OFF, np.inf, np.square(rest).sum(axis=1))
