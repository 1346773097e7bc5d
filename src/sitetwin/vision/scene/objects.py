"""What is known of objects on the street: class, place with covariance, heading and size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.bodies import MovingObject, box_object
from sitetwin.vision.street.bodies import BODY_METAL

CLASS_SIZES: dict[str, tuple[float, float, float]] = {
    "car": (4.45, 1.82, 1.55),
    "van": (5.4, 2.0, 2.35),
    "bus": (12.0, 2.55, 3.15),
    "truck": (7.5, 2.4, 3.1),
    "motorcycle": (2.1, 0.8, 1.4),
    "bicycle": (1.75, 0.6, 1.6),
    "person": (0.5, 0.6, 1.72),
}
"""Length, width and height of the middle of each class, metres, by judgement."""

SIZE_SIGMA = 0.06
"""Relative standard deviation of the sizes within a class."""

UNDERSIDE = 0.2
"""Metres between the ground and a vehicle's body."""

_HEADING_SIGMA = math.radians(3.0)


@dataclass(frozen=True, eq=False)
class StreetObject:
    """An object on the ground at one moment, as far as it is known.

    Attributes:
        name: Class, a key of `CLASS_SIZES`.
        position: (2,) middle of the object in plan, metres.
        covariance: (2, 2) of the position, m2.
        heading: Radians from east, counter-clockwise; an object looks the same when it is turned by 180 degrees.
        heading_sigma: Standard deviation of the heading, radians.
        velocity: (2,) m/s, or None where it is not known.
        score: Certainty that the object exists, 0 to 1.
        track: Number of its track, or None.
        since_seen: Seconds since it was last seen.
        box: Left, upper, right and lower edge of the box in which an image showed it, pixels; None where none did.

    Raises:
        SiteTwinError: The class is unknown, a number is not finite, or the covariance is none.
    """

    name: str
    position: Float[np.ndarray, " 2"]
    covariance: Float[np.ndarray, "2 2"]
    heading: float = 0.0
    heading_sigma: float = _HEADING_SIGMA
    velocity: Float[np.ndarray, " 2"] | None = None
    score: float = 1.0
    track: int | None = None
    since_seen: float = 0.0
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.name not in CLASS_SIZES:
            raise SiteTwinError(f"there is no size of a '{self.name}'; objects are {', '.join(CLASS_SIZES)}")
        check_place(f"object '{self.name}'", self.position, self.covariance)
        if not (math.isfinite(self.heading) and self.heading_sigma >= 0 and 0 <= self.score <= 1):
            raise SiteTwinError(
                f"object '{self.name}' has the heading {self.heading} +- {self.heading_sigma} and the score "
                f"{self.score}; give radians, and a score of 0 to 1"
            )

    @property
    def size(self) -> tuple[float, float, float]:
        """Length, width and height of its class, metres."""
        return CLASS_SIZES[self.name]


def check_place(what: str, position: np.ndarray, covariance: np.ndarray) -> None:
    """Refuse what is no place with a covariance.

    Raises:
        SiteTwinError: A number is not finite, or the covariance is not symmetric or has a negative direction.
    """
    if np.shape(position) != (2,) or np.shape(covariance) != (2, 2):
        raise SiteTwinError(f"{what}: a place in plan has two numbers and a 2 x 2 covariance")
    if not (np.isfinite(position).all() and np.isfinite(covariance).all()):
        raise SiteTwinError(f"{what}: its place or covariance is not finite; give metres")
    scale = max(float(np.abs(covariance).max()), 1e-300)
    if np.abs(covariance - covariance.T).max() > 1e-6 * scale or np.linalg.eigvalsh(covariance)[0] < -1e-6 * scale:
        raise SiteTwinError(f"{what}: {covariance.tolist()} is no covariance; give a symmetric, positive one")


@dataclass(frozen=True, eq=False)
class Boxes:
    """Upright boxes that stand for objects.

    Attributes:
        centre: (..., 2) middles in plan, metres.
        heading: (...) radians.
        size: (..., 3) length, width and height over the ground, metres.
    """

    centre: Float[np.ndarray, "*draws 2"]
    heading: Float[np.ndarray, "*draws"]
    size: Float[np.ndarray, "*draws 3"]

    def bodies(self, draw: int, ground: Float[np.ndarray, " objects"], names: Sequence[str]) -> list[MovingObject]:
        """Return the boxes (draws, objects) of one draw as bodies for the tracer.

        Args:
            draw: Number of the draw.
            ground: (objects,) height of the ground below each, metres.
            names: (objects,) their names.
        """
        rows = zip(self.centre[draw], self.heading[draw], self.size[draw], ground, names, strict=True)
        return [
            box_object(
                name,
                np.array([*centre, foot + UNDERSIDE]),
                np.array([size[0], size[1], size[2] - UNDERSIDE]),
                yaw=float(heading),
                material=BODY_METAL,
            )
            for centre, heading, size, foot, name in rows
        ]


def draw_boxes(objects: Sequence[StreetObject], draws: int, rng: np.random.Generator) -> Boxes:
    """Draw places, headings and sizes of objects as they may be.

    Args:
        objects: O objects.
        draws: Number of draws; the first is the most likely one, without errors.
        rng: Source of randomness.

    Returns:
        Boxes (draws, O).

    Raises:
        SiteTwinError: Fewer than one draw is asked for.
    """
    if draws < 1:
        raise SiteTwinError(f"{draws} draws of a scene are none; ask for one or more")
    count = len(objects)
    centre = np.array([thing.position for thing in objects]).reshape(count, 2)
    root = np.array([_root(thing.covariance) for thing in objects]).reshape(count, 2, 2)
    moved = np.einsum("oij,doj->doi", root, rng.standard_normal((draws, count, 2)))
    turned = rng.standard_normal((draws, count)) * np.array([thing.heading_sigma for thing in objects])
    grown = SIZE_SIGMA * rng.standard_normal((draws, count))
    moved[0], turned[0], grown[0] = 0.0, 0.0, 0.0
    size = np.array([thing.size for thing in objects]).reshape(count, 3)
    heading = np.array([thing.heading for thing in objects]).reshape(count)
    return Boxes(centre + moved, heading + turned, size * np.exp(grown)[..., None])


def _root(covariance: np.ndarray) -> np.ndarray:
    """(2, 2) A with A A^T the covariance, which may have a direction without spread."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
