"""Facades of a street from straight lines of images: the street's vanishing point, and where walls meet the ground.

Lines along the street and the camera's place give the direction to everything that is parallel to the street, but no
distance. The distance comes from the ground, whose height is known: a wall begins where an edge runs along the ground
without gaps, beyond the vehicles and their kerb. Rows of windows have gaps. Heights come from the uppermost edge of
each stretch of the wall that has few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import Camera
from sitetwin.vision.networks.runtime import need
from sitetwin.vision.scene.facades import CUT_HEIGHT, Facade

NO_STREET = "no-street-direction"
"""Too few straight lines agree with one horizontal direction."""

NO_FACADE = "no-facade"
"""No edge runs along the ground as a wall's foot does."""

UNCERTAIN = "facade-uncertain"
"""The last line without gaps may be the wall's foot, with window sills behind it, or a kerb with a foot of gaps."""

_LEVEL, _ALONG = 0.05, 0.02  # sines: of planes that tell no direction, and of lines along the street
_AGREEING = 0.2  # share of the angular length of all lines that is not upright
_LEAST_LINES = 12
_NEAREST, _FARTHEST, _STEP = 3.0, 45.0, 0.1  # metres across the street
_ALONG_STEP, _OBLIQUE = 0.25, 2.5  # metres along it; how much farther along than across anything is looked for
_EDGE, _LIMIT, _PIXELS = 3.0, 8.0, 1.5  # grey levels of an edge; those that count at most; half the edge's width
_WHOLE, _FEW_GAPS, _MANY_GAPS, _WEAKER = 0.97, 0.8, 0.6, 0.1  # shares of a line on the ground that are an edge
_PAVEMENT = (1.5, 8.0)  # metres between kerb and wall
_FARTHER = 0.8  # quantile of the vehicles' distances that walls stand behind
_BESIDE = 2.1  # metres between the middle of a vehicle and a wall, at least
_ABOUT = 0.97  # share of the best score that is about as good
_CLUSTER = 0.8  # metres within which edges along the ground are of one wall
_HOUSE, _SETBACK = 12, 1.0  # steps along the street and metres across within which a wall's own distance is found
_HIDDEN = 0.25  # share of a gap that is seen, at most, if vehicles hide it
_LEAST_WALL = 3.0  # metres
_HIGHEST, _LOWEST = 40.0, 2.5  # metres over the ground of a wall's upper edge
_MARGIN = 6  # pixels beyond boxes of vehicles that show their shadows, and from the image's edge


@dataclass(frozen=True, eq=False)
class LineFacades:
    """What lines tell of a street.

    Attributes:
        heading: Direction of the street, radians from east, in [0, pi); NaN where none was found.
        heading_sigma: Standard deviation, radians; NaN where none was found.
        facades: The walls.
        continuity: Share of each side's wall foot that is seen as an edge, of the walls found, 0 to 1.
        flags: `NO_STREET`, `NO_FACADE`, `UNCERTAIN`.
    """

    heading: float
    heading_sigma: float
    facades: tuple[Facade, ...]
    continuity: float
    flags: tuple[str, ...]


def facades_by_lines(
    camera: Camera,
    images: Sequence[UInt8[np.ndarray, "height width 3"]],
    moving: Sequence[Bool[np.ndarray, "height width"]],
    *,
    ground: float = 0.0,
    vehicles: Float[np.ndarray, "vehicles 2"] | None = None,
) -> LineFacades:
    """Find the walls along a street in one image, or in several of a camera that stands still.

    Args:
        camera: The camera with its place.
        images: One or more; several tell walls from shadows that move, and see behind vehicles.
        moving: For each, the pixels of vehicles.
        ground: Height of the ground, metres.
        vehicles: (V, 2) middles of vehicles in plan, metres: walls stand beyond them.

    Raises:
        SiteTwinError: There is no image, or one is not of the camera's size, or the extra `vision` is not installed.
    """
    _check(camera, images, moving)
    lines = [line_segments(image, hidden) for image, hidden in zip(images, moving, strict=True)]
    heading, sigma = street_heading(camera, np.concatenate(lines))
    if not math.isfinite(heading):
        return LineFacades(math.nan, math.nan, (), 0.0, (NO_STREET,))
    street = _Street(camera, heading, ground)
    grey = [_grey(image) for image in images]
    walls: list[Facade] = []
    found = []
    for side in (1.0, -1.0):
        least = street.beyond(vehicles, side)
        edges, free = street.edges(grey, moving, side)
        foot = _foot(edges, free, least)
        if foot is not None:
            walls += street.walls(foot[0], edges, free, grey, moving, side)
            found.append(foot)
    flags = () if walls else (NO_FACADE,)
    if walls and not all(sure for _, _, sure in found):
        flags = (UNCERTAIN,)
    return LineFacades(heading, sigma, tuple(walls), min((share for _, share, _ in found), default=0.0), flags)


def line_segments(
    image: UInt8[np.ndarray, "height width 3"], hidden: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "lines 4"]:
    """Find straight segments (OpenCV's LSD: R. Grompone von Gioi and others, 2010) outside of some pixels.

    Args:
        image: Red, green, blue.
        hidden: Where none are wanted: segments whose middle lies there are left out.

    Returns:
        (N, 4) column and row of both ends, pixels.
    """
    need("cv2")
    import cv2

    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    ends = np.zeros((0, 4)) if found is None else np.asarray(found, dtype=np.float64).reshape(-1, 4)
    middle = np.rint(0.5 * (ends[:, :2] + ends[:, 2:])).astype(int)
    column, row = np.clip(middle, 0, [image.shape[1] - 1, image.shape[0] - 1]).T
    return ends[~hidden[row, column]]


def street_heading(camera: Camera, lines: Float[np.ndarray, "lines 4"]) -> tuple[float, float]:
    """Find the horizontal direction whose vanishing point most lines lead to.

    Each line and the camera span a plane, which holds the direction of the line. Votes are weighed by the angle that
    a line fills; the direction is then refined by reweighted least squares.

    Args:
        camera: The camera.
        lines: (N, 4) column and row of both ends, pixels.

    Returns:
        Radians from east in [0, pi), and its standard deviation; NaN where too few lines agree.
    """
    normal, angle = _planes(camera, lines)
    used = (np.abs(normal[:, 2]) > _LEVEL) & (np.abs(normal[:, 2]) < 1 - _LEVEL**2) & np.isfinite(angle)
    normal, angle = normal[used], angle[used]
    if used.sum() < _LEAST_LINES:
        return math.nan, math.nan
    tried = np.radians(np.arange(0.0, 180.0, 0.25))
    off = normal[:, :2] @ np.stack([np.cos(tried), np.sin(tried)])
    votes = (angle[:, None] * np.exp(-0.5 * (off / 0.01) ** 2)).sum(axis=0)
    best = float(tried[votes.argmax()])
    for _ in range(6):
        rest = normal[:, 0] * math.cos(best) + normal[:, 1] * math.sin(best)
        slope = normal[:, 1] * math.cos(best) - normal[:, 0] * math.sin(best)
        weight = angle * (np.abs(rest) < 1.5 * _ALONG) / (1 + (rest / 0.008) ** 2)
        best -= float((weight * slope * rest).sum() / max((weight * slope**2).sum(), 1e-12))
    good = np.abs(rest) < _ALONG
    if good.sum() < _LEAST_LINES or angle[good].sum() < _AGREEING * angle.sum():
        return math.nan, math.nan
    spread = math.sqrt(float((weight**2 * rest**2).sum())) / float((weight * slope**2).sum())
    return best % math.pi, spread


def _planes(camera: Camera, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) unit normals of the planes of lines and camera, and the angles (N,) that the lines fill."""
    normal = np.cross(camera.rays(lines[:, :2]), camera.rays(lines[:, 2:]))
    sine = np.linalg.norm(normal, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return normal / sine[:, None], np.arcsin(np.minimum(sine, 1.0))


def _check(camera: Camera, images: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> None:
    if not images or len(images) != len(moving):
        raise SiteTwinError(f"{len(images)} images and {len(moving)} areas of vehicles; give one or more of each")
    size = (camera.height, camera.width)
    if wrong := [one.shape[:2] for one in (*images, *moving) if one.shape[:2] != size]:
        raise SiteTwinError(f"an image has {wrong[0]} pixels, the camera {size}; give images of this camera")


def _grey(image: np.ndarray) -> np.ndarray:
    """(height, width, 3) lightness and colours, a little smoothed."""
    need("cv2")
    import cv2

    return np.asarray(cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), 0.8))


class _Street:
    """A street of known direction before a camera: places on its ground, in pixels."""

    def __init__(self, camera: Camera, heading: float, ground: float) -> None:
        self.camera, self.ground = camera, ground
        self.along = np.array([math.cos(heading), math.sin(heading), 0.0])
        self.across = np.array([-math.sin(heading), math.cos(heading), 0.0])
        self.distances = np.arange(_NEAREST, _FARTHEST, _STEP)
        reach = _OBLIQUE * _FARTHEST
        self.places = np.arange(-reach, reach, _ALONG_STEP)

    def beyond(self, vehicles: np.ndarray | None, side: float) -> float:
        """Metres across at which walls may begin: behind all but the farthest vehicles, and their kerb.

        Some vehicles are placed too far away.
        """
        if vehicles is None or not len(vehicles):
            return _NEAREST
        away = side * (vehicles - self.camera.position[:2]) @ self.across[:2]
        return max(_NEAREST, float(np.quantile(away, _FARTHER)) + _BESIDE)

    def edges(
        self, grey: Sequence[np.ndarray], moving: Sequence[np.ndarray], side: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(distances, places) strength of an edge along the street on the ground, and where one may be seen."""
        width, place = np.meshgrid(side * self.distances, self.places, indexing="ij")
        points = self.camera.position + place[..., None] * self.along + width[..., None] * self.across
        points[..., 2] = self.ground
        return self._strength(points, np.abs(place) < _OBLIQUE * np.abs(width), grey, moving)

    def _strength(
        self, points: np.ndarray, wanted: np.ndarray, grey: Sequence[np.ndarray], moving: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Strength of edges along the street at points, and where one may be seen.

        It is the length of the mean difference of lightness and colours above and below, over the images.
        """
        need("cv2")
        import cv2

        pixel, _ = self.camera.project(points)
        above, _ = self.camera.project(points + np.array([0.0, 0.0, 0.05]))
        with np.errstate(invalid="ignore", divide="ignore"):
            up = (above - pixel) / np.linalg.norm(above - pixel, axis=-1, keepdims=True)
        size = np.array([self.camera.width, self.camera.height])
        inside = wanted & np.isfinite(pixel).all(axis=-1) & np.isfinite(up).all(axis=-1)
        inside &= ((pixel > _MARGIN) & (pixel < size - _MARGIN)).all(axis=-1)
        pixel, up = np.where(inside[..., None], pixel, 0.0), np.where(inside[..., None], up, 0.0)
        column, row = np.rint(pixel).astype(int).transpose(2, 0, 1)
        kernel = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
        total, count = np.zeros((*inside.shape, 3)), np.zeros(inside.shape)
        for image, hidden in zip(grey, moving, strict=True):
            free = inside & (cv2.dilate(hidden.astype(np.uint8), kernel) == 0)[row, column]
            both = [
                cv2.remap(image, *(pixel + way * up).astype(np.float32).transpose(2, 0, 1), cv2.INTER_LINEAR)
                for way in (_PIXELS, -_PIXELS)
            ]
            total += np.where(free[..., None], np.clip(both[0] - both[1], -_LIMIT, _LIMIT), 0.0)
            count += free
        return np.linalg.norm(total, axis=-1) / np.maximum(count, 1), count > 0

    def walls(
        self,
        foot: float,
        edges: np.ndarray,
        free: np.ndarray,
        grey: Sequence[np.ndarray],
        moving: Sequence[np.ndarray],
        side: float,
    ) -> list[Facade]:
        """Stretches of the wall whose foot lies at a distance, each with its own distance and height."""
        near = np.abs(self.distances - foot) <= _SETBACK
        strong = np.where(free, np.minimum(edges, 0.5 * _LIMIT), 0.0)[near]
        own = _middle(np.stack([_smoothed(row, _HOUSE) for row in strong]), self.distances[near])
        seen = np.asarray(free[near].mean(axis=0) > 0.5)
        edge = np.asarray((np.where(free, edges, 0.0)[near] > _EDGE).any(axis=0))
        tops = self._tops(side * own, seen, grey, moving)
        found = []
        for first, last in _stretches(edge, seen, own):
            rows = slice(first, last + 1)
            low, high = float(self.places[first]), float(self.places[last]) + _ALONG_STEP
            distance = side * float(np.median(own[rows]))
            ends = self.camera.position[:2] + np.array([[low], [high]]) * self.along[:2] + distance * self.across[:2]
            found.append(Facade(ends[0], ends[1], float(np.median(tops[rows])), side * self.across[:2]))
        return found

    def _tops(
        self, distance: np.ndarray, seen: np.ndarray, grey: Sequence[np.ndarray], moving: Sequence[np.ndarray]
    ) -> np.ndarray:
        """(places,) height over the ground of the uppermost edge with few gaps; `CUT_HEIGHT` where none is in view."""
        heights = np.arange(_LOWEST, _HIGHEST, _STEP)
        high, place = np.meshgrid(heights, self.places, indexing="ij")
        points = self.camera.position + place[..., None] * self.along + distance[:, None] * self.across
        points[..., 2] = self.ground + high
        strength, free = self._strength(points, np.broadcast_to(seen, high.shape), grey, moving)
        count = np.stack([_smoothed(row, _HOUSE) for row in free.astype(float)])
        share = np.stack([_smoothed(row, _HOUSE) for row in (free & (strength > _EDGE)).astype(float)])
        edge = (share >= _FEW_GAPS * count) & (count >= _HOUSE / 2)
        top = heights[len(heights) - 1 - edge[::-1].argmax(axis=0)]
        return np.where(edge.any(axis=0), top, CUT_HEIGHT)


def _smoothed(values: np.ndarray, steps: int) -> np.ndarray:
    """Sums over so many steps along the last axis."""
    kernel = np.ones(steps)
    return np.asarray(np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), -1, values))


def _foot(edges: np.ndarray, free: np.ndarray, least: float) -> tuple[float, float, bool] | None:
    """Distance of a wall's foot, the share of it that is an edge, and whether it is sure; None where there is none.

    A street's ground has lines without gaps (kerbs, and the foot of walls of another tone), and behind them rows of
    window sills with gaps. The foot lies behind the last line without gaps, at the width of a pavement, where an edge
    has few gaps; if there is none, it is that line itself, provided that another one, the kerb, lies before it.
    """
    distances = np.arange(_NEAREST, _FARTHEST, _STEP)[: len(edges)]
    seen = free.sum(axis=1)
    share = np.where(free, edges > _EDGE, False).sum(axis=1) / np.maximum(seen, 1)
    share[seen * _ALONG_STEP < _LEAST_WALL] = 0.0
    whole = np.flatnonzero(share >= _WHOLE)
    if not len(whole):
        return None
    last = float(distances[whole[-1]])
    kerb = bool((distances[whole] < last - _PAVEMENT[0]).any())
    behind = (distances > last + _PAVEMENT[0]) & (distances < last + _PAVEMENT[1]) & (distances > least)
    best = float(share[behind].max(initial=0.0))
    sure = best >= _FEW_GAPS or best < _MANY_GAPS
    if best >= (_FEW_GAPS if kerb else _MANY_GAPS):
        first = int((behind & (share >= best - _WEAKER)).argmax())
    elif kerb and last > least:
        first = int((distances > last - _CLUSTER).argmax())
    else:
        return None
    mean = np.where(free, np.minimum(edges, _LIMIT), 0.0).sum(axis=1) / np.maximum(seen, 1)
    group = (distances >= distances[first]) & (distances <= distances[first] + _CLUSTER)
    score = (share + 0.05 * mean)[group]
    return float(_middle(score[:, None], distances[group])[0]), float(share[group].max()), sure


def _middle(scores: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(n,) middle of the distances (d,) whose scores (d, n) are about the best: an edge is some pixels wide."""
    best = scores >= _ABOUT * scores.max(axis=0)
    return np.asarray((best * distances[:, None]).sum(axis=0) / best.sum(axis=0))


def _stretches(edge: np.ndarray, seen: np.ndarray, own: np.ndarray) -> list[tuple[int, int]]:
    """First and last steps of walls: edges at about one distance; what vehicles hide between two belongs to them."""
    runs: list[list[int]] = []
    gap = round(2.0 / _ALONG_STEP)
    for step in np.flatnonzero(edge & seen).tolist():
        if runs:
            last = runs[-1][1]
            hidden = seen[last + 1 : step].mean() < _HIDDEN if step > last + 1 else True
            if (step - last <= gap or hidden) and abs(own[step] - own[last]) < 0.5 * _SETBACK:
                runs[-1][1] = step
                continue
        runs.append([step, step])
    return [(first, last) for first, last in runs if (last - first + 1) * _ALONG_STEP >= _LEAST_WALL]
