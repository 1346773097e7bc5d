"""A camera fitted to what it saw of a user whose places are known by GPS."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.ground import Ground

FREE = ("z", "yaw", "pitch", "roll")
"""What is fitted by default: the camera's height and orientation."""

LOOSEST = {"x": 2.0, "y": 2.0, "z": 1.0, "yaw": 0.05, "pitch": 0.05, "roll": 0.05, "focal": 0.15}
"""Largest standard deviation of a fitted parameter, metres and radians; the focal length's is relative."""

CAR = (4.45, 1.82, 1.5)
"""Length, width and height of the user's car where nothing else is known, metres."""

HEIGHT_SHARE = 0.1
"""Standard deviation of an upper edge as a share of the box's height, for the car's height."""

OUTLIER = 4.0
"""Standard deviations beyond which a pair is taken for one of another object."""

_HEIGHTS, _PITCHES = (3.0, 5.0, 8.0, 12.0), (0.0, 0.15, 0.35, 0.6)
_STEPS = {"x": 1e-3, "y": 1e-3, "z": 1e-3, "yaw": 1e-5, "pitch": 1e-5, "roll": 1e-5, "focal": 1e-5}
_TRIED, _ALIKE, _LOWEST = 5, 9.0, 0.5  # starts; difference of sums of squares; metres of a camera over the ground
_FAR = 1e3  # standard deviations: what a car has that this camera cannot see
_MOVED = 0.05  # metres, for the effect of the user's error


@dataclass(frozen=True, eq=False)
class FittedCamera:
    """A camera and what is uncertain of it.

    Attributes:
        camera: The camera.
        covariance: (7, 7) of `PARAMETERS`; zero for those that were held.
        used: (N,) which pairs agree with it; the others are of another object, or cut by the image's edge.
        scale: Scatter of the used pairs over the stated one; the covariance is larger by its square if it is over 1.
    """

    camera: Camera
    covariance: Float[np.ndarray, "7 7"]
    used: Bool[np.ndarray, " pairs"]
    scale: float

    @property
    def sigma(self) -> dict[str, float]:
        """Standard deviation of each of `PARAMETERS`, metres and radians."""
        return dict(zip(PARAMETERS, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))


def fit_camera(
    start: Camera,
    boxes: Float[np.ndarray, "pairs 4"],
    positions: Float[np.ndarray, "places 2"],
    headings: Float[np.ndarray, " headings"],
    ground: Ground,
    *,
    free: Sequence[str] = FREE,
    told: Mapping[str, float] | None = None,
    gps_sigma: float | Float[np.ndarray, " pairs"] = 0.5,
    pixel_sigma: Sequence[float] = (2.0, 1.5),
    size: Sequence[float] = CAR,
) -> FittedCamera:
    """Fit a camera to boxes of the user's car and the places that GPS told at the same moments.

    The box that the car would leave is compared with the one that was seen: its middle across and its lower edge, or
    its upper edge where the image's edge cuts the lower one.
    Errors of GPS count as what they move in the image, independently from pair to pair; n pairs that share one error
    count as one where their deviation is larger by the root of n. An error that all pairs share moves the camera by as
    much and is not seen here. Pairs beyond `OUTLIER` are left out, and the fit is repeated.
    What is told of a parameter counts as a measurement of it beside the pairs (the mode of the posterior), and the fit
    begins there; without it, the fitted parameters of `start` need not be near.

    Args:
        start: Intrinsics and place.
        boxes: (N, 4) left, upper, right and lower edge, pixels.
        positions: (N, 2) middle of the car in plan, metres.
        headings: (N,) its heading, radians from east.
        ground: The ground.
        free: Which of `PARAMETERS` are fitted.
        told: Standard deviations with which fitted parameters of `start` are known, by name, metres and radians; the
            focal length's is relative. Parameters without one are free altogether.
        gps_sigma: Standard deviation of each coordinate of a position, of all or (N,) of each, metres.
        pixel_sigma: Standard deviation of a box's middle across and of its lower edge, pixels.
        size: Length, width and height of the car, metres.

    Raises:
        SiteTwinError: A parameter is unknown, a number is not finite, there are too few pairs, most of them do not
            agree with any camera, or they do not determine what is fitted.
    """
    told = told or {}
    _check(boxes, positions, headings, free, gps_sigma, pixel_sigma)
    _check_told(told, free)
    feet = np.column_stack([positions, ground.height(positions)])
    inside = _inside(boxes, start)
    whole = inside[:, [0, 2]].all(axis=1) & inside[:, [1, 3]].any(axis=1) & np.isfinite(feet[:, 2])
    untold = len(free) - len(told)
    least = max(1, 3 * untold)
    if whole.sum() < least:
        raise SiteTwinError(
            f"{whole.sum()} pairs whose boxes lie within the image and whose places have ground are too few to fit "
            f"{len(free)} parameters; give {least} or more"
        )
    pairs = _Pairs(
        boxes[whole],
        feet[whole],
        headings[whole],
        np.tile(size, (int(whole.sum()), 1)),
        ~inside[whole, 3],
        np.broadcast_to(np.asarray(gps_sigma, dtype=np.float64), len(boxes))[whole],
        tuple(pixel_sigma),
        np.array([1.0 / told[name] if name in told else 0.0 for name in PARAMETERS]),
        untold,
    )
    fits = [fit for step in _starts(start, pairs, free) if (fit := _settled(start, step, pairs, free)) is not None]
    if not fits or min(fits, key=lambda fit: fit.cost).good.sum() < max(least, 0.5 * len(pairs.boxes)):
        agree = max((int(fit.good.sum()) for fit in fits), default=0)
        raise SiteTwinError(
            f"{agree} of {len(pairs.boxes)} pairs agree with one camera; check that clocks and coordinates of boxes "
            "and GPS are the same, and that the boxes are of the user's car"
        )
    best = min(fits, key=lambda fit: fit.cost)
    pairs.weigh(start.moved(best.step))
    found = _judged(start, best, pairs, free, whole)
    _refuse_others(found, best, fits, free)
    return found


@dataclass(frozen=True)
class _Fit:
    """A minimum: the step to it, the pairs that agree, and the sum of squares with that of outliers bounded."""

    step: np.ndarray
    good: np.ndarray
    cost: float


def _settled(start: Camera, step: np.ndarray, pairs: _Pairs, free: Sequence[str]) -> _Fit | None:
    """The minimum to which a start leads; None where hardly any pair agrees."""
    good = np.ones(len(pairs.boxes), dtype=bool)
    for robust in (True, True, False, False):
        pairs.weigh(start.moved(step))
        if not robust:
            good = np.linalg.norm(pairs.misses(start.moved(step)), axis=1) < OUTLIER
            if good.sum() <= pairs.untold:
                return None
        step = _fitted(start, step, pairs, free, good, robust)
    camera = start.moved(step)
    pairs.weigh(camera)
    miss = np.linalg.norm(pairs.misses(camera), axis=1)
    bounded, away = np.minimum(miss, OUTLIER), pairs.told * step
    return _Fit(step, miss < OUTLIER, float(bounded @ bounded + away @ away))


def _refuse_others(found: FittedCamera, best: _Fit, fits: Sequence[_Fit], free: Sequence[str]) -> None:
    """Refuse pairs that another camera, far from the best one, explains nearly as well."""
    rows = [PARAMETERS.index(name) for name in free]
    sigma = np.sqrt(np.diag(found.covariance)[rows])
    for fit in fits:
        away = np.abs(fit.step - best.step)[rows] / sigma
        if fit.cost < best.cost + _ALIKE * max(1.0, found.scale) ** 2 and away.max() > OUTLIER:
            name = free[int(away.argmax())]
            raise SiteTwinError(
                f"the pairs do not determine the camera's {name}: two cameras far apart explain them alike; add drives "
                "that cross the view near and far, or hold a parameter by leaving it out of `free`"
            )


@dataclass
class _Pairs:
    """Boxes and places, the weights of their differences, and what is told of the camera.

    `told` are (7,) reciprocals of standard deviations, 0 for parameters of which nothing is told; `untold` counts the
    fitted ones among these.
    """

    boxes: np.ndarray
    feet: np.ndarray
    headings: np.ndarray
    sizes: np.ndarray
    cut: np.ndarray
    gps_sigma: np.ndarray
    pixel_sigma: tuple[float, ...]
    told: np.ndarray
    untold: int

    def __post_init__(self) -> None:
        self.lowest = float(np.median(self.feet[:, 2])) + _LOWEST
        self.edge = np.where(self.cut, 1, 3)
        self.seen = self._compared(self.boxes)
        self.sigma = np.tile(np.array(self.pixel_sigma, dtype=np.float64), (len(self.boxes), 1))
        tall = HEIGHT_SHARE * (self.boxes[:, 3] - self.boxes[:, 1])
        self.sigma[:, 1] = np.where(self.cut, np.hypot(self.sigma[:, 1], tall), self.sigma[:, 1])
        self.root = np.zeros((len(self.boxes), 2, 2))
        self.root[:, [0, 1], [0, 1]] = 1 / self.sigma

    def expected(self, camera: Camera, moved: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """(N, 2) middle across and lower or upper edge of the boxes that a camera would see."""
        return self._compared(outlines(camera, self.feet + np.array([*moved, 0.0]), self.headings, self.sizes))

    def _compared(self, box: np.ndarray) -> np.ndarray:
        return np.column_stack([0.5 * (box[:, 0] + box[:, 2]), box[np.arange(len(box)), self.edge]])

    def weigh(self, camera: Camera) -> None:
        """Take the weights from what errors of pixels and of GPS do in the image of a camera."""
        slopes = [
            (self.expected(camera, (_MOVED * x, _MOVED * y)) - self.expected(camera, (-_MOVED * x, -_MOVED * y)))
            / (2 * _MOVED)
            for x, y in ((1, 0), (0, 1))
        ]
        spread = np.stack(slopes, axis=-1) * self.gps_sigma[:, None, None]
        covariance = spread @ spread.transpose(0, 2, 1) + np.square(self.sigma)[:, :, None] * np.eye(2)
        known = np.isfinite(covariance).all(axis=(1, 2))
        self.root[known] = np.linalg.inv(np.linalg.cholesky(covariance[known]))

    def misses(self, camera: Camera) -> np.ndarray:
        """(N, 2) differences in standard deviations; `_FAR` where the camera would not see the car."""
        miss = np.einsum("nij,nj->ni", self.root, self.expected(camera) - self.seen)
        return np.where(np.isfinite(miss), miss, _FAR)


def _starts(start: Camera, pairs: _Pairs, free: Sequence[str]) -> list[np.ndarray]:
    """(7,) steps to the best of some cameras, each turned so that most boxes lie in the direction of the car.

    Where all that is fitted is told, too, it is that alone.
    """
    if not pairs.untold:
        return [np.zeros(len(PARAMETERS))]
    low = pairs.lowest - _LOWEST
    heights = [low + h - start.pose.position[2] for h in _HEIGHTS] if "z" in free else []
    pitches = [p - start.pose.pitch for p in _PITCHES] if "pitch" in free else []
    tried = []
    own = [0.0] if start.pose.position[2] > pairs.lowest or "z" not in free else []
    for rise in (*own, *heights):
        for tilt in (0.0, *pitches):
            step = np.zeros(len(PARAMETERS))
            step[2], step[4] = rise, tilt
            if "roll" in free:
                step[5] = -start.pose.roll
            if "yaw" in free:
                step[3] = _turn(start.moved(step), pairs)
            miss = np.linalg.norm(pairs.misses(start.moved(step)), axis=1)
            tried.append((float(np.median(np.minimum(miss, _FAR))) + 1e-3 * float(np.mean(np.log1p(miss))), step))
    tried.sort(key=lambda pair: pair[0])
    return [step for _, step in tried[:_TRIED]]


def _turn(camera: Camera, pairs: _Pairs) -> float:
    """Median angle between where a camera shows the boxes and where the car stood, radians."""
    rays = camera.rays(pairs.seen)
    away = pairs.feet - camera.position
    angle = np.arctan2(away[:, 1], away[:, 0]) - np.arctan2(rays[:, 1], rays[:, 0])
    middle = np.angle(np.exp(1j * angle).mean()) if abs(np.exp(1j * angle).mean()) > 1e-9 else 0.0
    return float(middle + np.median(np.angle(np.exp(1j * (angle - middle)))))


def _fitted(
    start: Camera, step: np.ndarray, pairs: _Pairs, free: Sequence[str], good: np.ndarray, robust: bool
) -> np.ndarray:
    rows = [PARAMETERS.index(name) for name in free]
    scale = np.array([_STEPS[name] for name in free])

    def misses(values: np.ndarray) -> np.ndarray:
        moved = step.copy()
        moved[rows] = values * scale
        if abs(moved[6]) > 2:
            return np.full(2 * int(good.sum()) + len(rows), _FAR)
        return np.concatenate([pairs.misses(start.moved(moved))[good].ravel(), (pairs.told * moved)[rows]])

    least = np.full(len(rows), -np.inf)
    if "z" in free:  # a camera stands over the ground
        least[list(free).index("z")] = (pairs.lowest - start.pose.position[2]) / scale[list(free).index("z")]
    found = least_squares(
        misses,
        step[rows] / scale,
        bounds=(least, np.inf),
        loss="soft_l1" if robust else "linear",
        x_scale=1e3,
        diff_step=1e-4,
        max_nfev=60,
    )
    moved = step.copy()
    moved[rows] = found.x * scale
    return moved


def _judged(start: Camera, fit: _Fit, pairs: _Pairs, free: Sequence[str], whole: np.ndarray) -> FittedCamera:
    """The result, if the pairs determine it."""
    camera, good = start.moved(fit.step), fit.good
    rows = [PARAMETERS.index(name) for name in free]
    slopes = []
    for name, row in zip(free, rows, strict=True):
        moved = np.zeros(len(PARAMETERS))
        moved[row] = _STEPS[name]
        difference = pairs.misses(camera.moved(moved)) - pairs.misses(camera.moved(-moved))
        slopes.append((difference[good] / (2 * _STEPS[name])).ravel())
    unit = np.array([LOOSEST[name] for name in free])
    rest = pairs.misses(camera)[good].ravel()
    scale = math.sqrt(float(rest @ rest) / max(1, len(rest) - pairs.untold))
    slope = np.concatenate([np.stack(slopes, axis=1) / max(1.0, scale), np.diag(pairs.told[rows])]) * unit
    _, values, turn = np.linalg.svd(slope, full_matrices=False)
    weakest = turn[-1] / np.abs(turn[-1]).max()
    loose = [name for name, part in zip(free, weakest, strict=True) if abs(part) > 0.3]
    covariance = np.zeros((len(PARAMETERS), len(PARAMETERS)))
    if values[-1] > 1e-9 * values[0]:
        inner = (turn.T / values**2) @ turn * np.outer(unit, unit)
        covariance[np.ix_(rows, rows)] = inner
    sigma = np.sqrt(np.diag(covariance)[rows])
    wide = [name for name, value in zip(free, sigma, strict=True) if value > LOOSEST[name]]
    if wide or values[-1] <= 1e-9 * values[0]:
        raise SiteTwinError(
            f"the pairs do not determine the camera's {', '.join(wide or loose)}: they show the user in too few "
            "directions or at too few distances; add drives that cross the view near and far, or hold a parameter by "
            "leaving it out of `free`"
        )
    used = np.zeros(len(whole), dtype=bool)
    used[np.flatnonzero(whole)[good]] = True
    return FittedCamera(camera, covariance, used, scale)


def _inside(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 4) which edges of boxes the image's edge does not cut."""
    margin = 2.0
    low, high = np.array([margin] * 2), np.array([camera.width, camera.height]) - margin
    return np.concatenate([boxes[:, :2] > low, boxes[:, 2:] < high], axis=1)


def _check(
    boxes: np.ndarray,
    positions: np.ndarray,
    headings: np.ndarray,
    free: Sequence[str],
    gps_sigma: float | np.ndarray,
    pixel_sigma: Sequence[float],
) -> None:
    unknown = [name for name in free if name not in PARAMETERS]
    if unknown or not free or len(set(free)) < len(free):
        raise SiteTwinError(
            f"parameters {', '.join(free) or 'none'} cannot be fitted; give some of {', '.join(PARAMETERS)}"
        )
    if not len(boxes) == len(positions) == len(headings):
        raise SiteTwinError(
            f"{len(boxes)} boxes, {len(positions)} positions and {len(headings)} headings are no pairs; "
            "give one of each"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(positions).all() and np.isfinite(headings).all()):
        raise SiteTwinError("a box, position or heading is not finite; leave out the moments without a box or a fix")
    if not (np.asarray(gps_sigma) >= 0).all() or min(pixel_sigma) <= 0:
        raise SiteTwinError("standard deviations of GPS and pixels must be positive; give metres and pixels")


def _check_told(told: Mapping[str, float], free: Sequence[str]) -> None:
    held = [name for name in told if name not in free]
    if held:
        raise SiteTwinError(
            f"something is told of {', '.join(held)}, which is not fitted; name it in `free`, too, or leave it out of "
            "`told`"
        )
    if not all(math.isfinite(sigma) and sigma > 0 for sigma in told.values()):
        raise SiteTwinError(
            f"what is told has standard deviations {dict(told)}, which are not all positive; leave a parameter that is "
            "known exactly out of `free`"
        )
