"""What a method of perception offers, whichever network or renderer stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection, Frame


@dataclass(frozen=True)
class DepthMap:
    """Distance of what each pixel shows.

    Attributes:
        values: (height, width) metres; infinite where nothing is near, NaN where nothing is known.
        kind: "z" along the optical axis, or "range" along the ray of the pixel.
    """

    values: Float[np.ndarray, "height width"]
    kind: Literal["z", "range"] = "z"

    def along_axis(self, camera: Camera) -> Float[np.ndarray, "height width"]:
        """Return (height, width) depth along the optical axis, metres, as `Camera.points` takes it."""
        if self.kind == "z":
            return self.values
        return self.values * (camera.rays(camera.pixel_centres()) @ camera.axes[2])


@dataclass(frozen=True)
class Segment:
    """Pixels that belong together.

    Attributes:
        mask: (height, width) bool.
        score: Certainty that the method states, 0 to 1.
        name: Class, if the method knows classes.
    """

    mask: Bool[np.ndarray, "height width"]
    score: float = 1.0
    name: str | None = None


@runtime_checkable
class Detector(Protocol):
    """Finds objects and their boxes."""

    name: str
    """Name of the method, for results."""

    def detect(self, frame: Frame) -> list[Detection]:
        """Return what is seen in a frame, the most certain first; an empty list where nothing is."""
        ...


@runtime_checkable
class Depth(Protocol):
    """Estimates how far away what each pixel shows is."""

    name: str
    """Name of the method, for results."""

    def depth(self, frame: Frame, camera: Camera) -> DepthMap:
        """Return the distance of each pixel of a frame of this camera."""
        ...


@runtime_checkable
class Segments(Protocol):
    """Divides an image into masks."""

    name: str
    """Name of the method, for results."""

    def segments(self, frame: Frame) -> list[Segment]:
        """Return the masks of a frame, in any order; an empty list where nothing is."""
        ...
