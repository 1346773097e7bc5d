"""From boxes in the image to objects on the ground: class, middle, and covariance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.vision.camera import Camera
from sitetwin.vision.contact import camera_slopes, checked_covariance, contact_points
from sitetwin.vision.frames import Detection
from sitetwin.vision.ground import Ground
from sitetwin.vision.scene.body_fits import BodyFits, Hypothesis, tells
from sitetwin.vision.scene.edges import known_edges
from sitetwin.vision.scene.objects import CLASS_SIZES, StreetObject

EDGE_SIGMA = (2.5, 4.0, 2.5, 2.0)
"""Standard deviation of the left, upper, right and lower edge of a detector's box at 960 pixels across, pixels."""

CONFUSED: Mapping[str, Mapping[str, float]] = {
    "car": {"car": 0.0, "van": 2.0},
    "van": {"van": 0.0, "car": 2.0, "truck": 3.0},
    "truck": {"truck": 0.0, "van": 1.0, "bus": 1.0, "car": 4.0},
    "bus": {"bus": 0.0, "van": 2.0, "truck": 2.0},
}
"""Classes that a box of a class may be, each with what it adds to the sum of squares (detectors know no vans)."""

_REACH = 25.0  # metres about a box's contact within which its body stands
_VAGUE = 10.0  # metres of standard deviation that are no place
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
    the image's edge cuts or a nearer object hides count for nothing. Of the classes that a detector confuses and of
    the headings, the best fit is taken. The covariance is that of the fit, from edges, size, heading and ground, and
    of the camera's errors.

    Args:
        camera: The camera.
        boxes: What a detector found.
        ground: The ground.
        placing: How; by default vehicles stand in any direction.
        camera_covariance: (7, 7) of the camera's `PARAMETERS`; None for a camera that is known.

    Returns:
        An object for each box; None for a box of another class than those of `CLASS_SIZES`, one whose lower edge shows
        no ground, and one of which too little is seen to tell its place within ten metres.
    """
    placing = placing or Placing()
    headings = placing.headings or tuple(np.arange(6) * math.pi / 6)
    spread = None if camera_covariance is None else checked_covariance(camera_covariance)
    start, _ = contact_points(camera, np.array([box.contact for box in boxes]).reshape(-1, 2), ground)
    known = known_edges(camera, boxes)
    names = [CONFUSED.get(box.name, {box.name: 0.0} if box.name in CLASS_SIZES else {}) for box in boxes]
    tried = [row for row in range(len(boxes)) if names[row] and np.isfinite(start[row]).all() and tells(known[row])]
    placed: list[StreetObject | None] = [None] * len(boxes)
    if not tried:
        return placed
    hypotheses = [
        Hypothesis(place, name, heading, extra)
        for place, row in enumerate(tried)
        for name, extra in names[row].items()
        for heading in headings
    ]
    fits = BodyFits(
        camera,
        [boxes[row] for row in tried],
        known[tried],
        [ground.near(start[row, :2], _REACH) for row in tried],
        hypotheses,
        (*placing.edge_sigma, max(placing.heading_sigma, 1e-6)),
    )
    state, cost = fits.solve(start[tried])
    best = fits.best(cost)
    covariance = fits.covariances(state, best, placing.ground_sigma)
    if spread is not None:
        slopes = camera_slopes(camera, lambda other: fits.moved_by(other, state, best))
        covariance = covariance + slopes @ spread @ slopes.transpose(0, 2, 1)
    for place, (row, chosen) in enumerate(zip(tried, best.tolist(), strict=True)):
        if math.isfinite(cost[chosen]) and np.trace(covariance[place]) < _VAGUE**2:
            turned = math.remainder(hypotheses[chosen].heading + float(state[chosen, 4]), 2 * math.pi)
            even = 0.5 * (covariance[place] + covariance[place].T)
            placed[row] = StreetObject(
                hypotheses[chosen].name,
                state[chosen, :2].copy(),
                even,
                turned,
                placing.heading_sigma,
                score=boxes[row].score,
                box=boxes[row].box,
            )
    return placed
