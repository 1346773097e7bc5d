"""Whether boxes stand in the line of sight, and how probable that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.vision.scene.image_sight import View
from sitetwin.vision.scene.objects import UNDERSIDE, Boxes, StreetObject, draw_boxes

DRAWS = 64
"""Draws of a scene for a probability; its standard deviation is at most 0.06."""


UNKNOWN = 0.1
"""Probability that a vehicle which nobody has seen stands in the line of sight, where no known one does."""

SEEN, NOT_SEEN, STILL_NOT_SEEN = math.exp(-2.0), math.exp(-0.5), math.exp(2.0)
"""How much more probable it is to see the user's car if its antenna is hidden than if it is clear; not to see it in one
frame, which detectors do, too; and not to see it once more.

They and `UNKNOWN` were chosen on drives of made-up streets with four frames a second, with networks and true boxes, and
serve where no image shows the user's place from the station.
"""


VIEW_WEIGHTS = (1.6, 2.2, -4.1, -1.0)
"""Logistic weights of `by_view`: constant, for each metre within a silhouette, for the whole own car, for a car that
was seen in the frame before.

They were fitted to drives of development with four frames a second and the boxes of networks, in which blocked moments
are sampled more often than they happen.
"""


def crossed(
    boxes: Boxes,
    start: Float[np.ndarray, "*draws 3"],
    end: Float[np.ndarray, "*draws 3"],
    ground: float | Float[np.ndarray, "*draws"] = 0.0,
) -> Bool[np.ndarray, "*draws"]:
    """Tell which boxes a straight line passes through, by its parts between the three pairs of sides.

    Args:
        boxes: (...) boxes.
        start: (..., 3) of the line for each box, metres.
        end: (..., 3), metres.
        ground: Height of the ground below each box, metres.

    Returns:
        (...) bool.
    """
    c, s = np.cos(boxes.heading), np.sin(boxes.heading)

    def local(point: np.ndarray) -> np.ndarray:
        east, north = np.moveaxis(point[..., :2] - boxes.centre, -1, 0)
        middle = 0.5 * (boxes.size[..., 2] + UNDERSIDE)
        return np.stack([c * east + s * north, c * north - s * east, point[..., 2] - ground - middle], axis=-1)

    half = 0.5 * boxes.size - np.array([0.0, 0.0, 0.5 * UNDERSIDE])
    first, step = local(start), local(end) - local(start)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        one, two = (-half - first) / step, (half - first) / step
    still = step == 0
    inside = np.abs(first) < half
    enter = np.where(still, np.where(inside, -np.inf, np.inf), np.minimum(one, two)).max(axis=-1)
    leave = np.where(still, np.where(inside, np.inf, -np.inf), np.maximum(one, two)).min(axis=-1)
    return np.asarray((enter < leave) & (leave > 0) & (enter < 1))


def blockage_probability(
    objects: Sequence[StreetObject],
    station: Float[np.ndarray, " 3"],
    user: Float[np.ndarray, " 3"],
    user_covariance: Float[np.ndarray, "2 2"],
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    ground: float = 0.0,
) -> float:
    """Probability that an object stands in the line of sight, over draws of the objects' and the user's places.

    Args:
        objects: The objects, without the user's own car.
        station: (3,) metres.
        user: (3,) the user's antenna, metres.
        user_covariance: (2, 2) of its place in plan, m2.
        rng: Source of randomness.
        draws: Number of draws.
        ground: Height of the ground below the objects, metres.
    """
    if not objects:
        return 0.0
    boxes = draw_boxes(objects, draws, rng)
    place = np.tile(user, (draws, 1))
    place[:, :2] = rng.multivariate_normal(user[:2], user_covariance, draws, method="eigh")
    shape = (draws, len(objects), 3)
    hit = crossed(boxes, np.broadcast_to(station, shape), np.broadcast_to(place[:, None], shape), ground)
    return float(hit.any(axis=1).mean())


def by_view(view: View, unseen: int) -> float:
    """Probability of blockage by what an image shows at the user's place, from a camera at the station's.

    A logistic regression, averaged over the draws of the user's place: on how far the antenna lies within a nearer
    vehicle's silhouette, on how much of the user's own car is seen, and on whether a car that is not seen now was seen
    in the frame before.

    Args:
        view: What the image shows.
        unseen: Frames since the user's car was seen; 0 if it is seen in this one.
    """
    start, inside, shown, just = VIEW_WEIGHTS
    odds = start + inside * view.inside + shown * view.shown + just * (unseen == 1)
    return float((1.0 / (1.0 + np.exp(-odds))).mean())


def with_sighting(blocked: float, unseen: int | None) -> float:
    """Probability of blockage when it is known, too, whether the camera, at the station's place, sees the user's car.

    Bayes' rule on the odds. A detector misses some of the vehicles that block, and some cars in sight.

    Args:
        blocked: Probability by the objects that are known.
        unseen: Frames since the user's car was seen; 0 if it is seen in this one, None if this one does not show its
            place.
    """
    prior = min(max(1.0 - (1.0 - blocked) * (1.0 - UNKNOWN), 0.01), 0.99)
    told = 1.0 if unseen is None else (SEEN, NOT_SEEN, STILL_NOT_SEEN)[min(unseen, 2)]
    odds = prior / (1.0 - prior) * told
    return odds / (1.0 + odds)
