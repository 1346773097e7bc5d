"""What a camera gives at one moment, and what is seen in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from sitetwin.errors import SiteTwinError

NOTHING = -1
"""Identity of a pixel that shows no object."""


def visible_share(pixels: int, whole: int) -> float:
    """Share of an object's pixels that are visible; 0 where it lies outside of the image.

    Args:
        pixels: Visible pixels.
        whole: Pixels that it would cover in the image if nothing stood before it.
    """
    return pixels / whole if whole else 0.0


@dataclass(frozen=True)
class Truth:
    """What a renderer knows of a frame.

    Attributes:
        depth: (height, width) along the optical axis, metres (not the range); infinite where the sky is seen.
        identities: (height, width) number of the object that each pixel shows, `NOTHING` for ground and houses.
        names: Class of each object: `names[identity]`.

    Raises:
        SiteTwinError: The arrays differ in shape, or an object has no class.
    """

    depth: Float[np.ndarray, "height width"]
    identities: Int[np.ndarray, "rows columns"]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.depth.shape != self.identities.shape:
            raise SiteTwinError(
                f"depth of shape {self.depth.shape} and identities of {self.identities.shape} are of two images; "
                "give those of one"
            )
        if self.identities.size and not NOTHING <= self.identities.min() <= self.identities.max() < len(self.names):
            raise SiteTwinError("a pixel shows an object without a class; give a name for each identity")


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        image: (height, width, 3) red, green, blue.
        time: Seconds, if known.
        source: File or other name, for messages.
        truth: What the renderer knows of it; None for a photograph.
        flags: What was wrong with it, in words of `sitetwin.vision.flags`.
    """

    image: UInt8[np.ndarray, "height width 3"]
    time: float | None = None
    source: str = ""
    truth: Truth | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Detection:
    """An object that was found in an image.

    Attributes:
        box: Left, upper, right and lower edge, pixels from the image's upper left corner.
        name: Class: "car", "van", "bus", "truck", "person", "bicycle", "motorcycle", "pole", "tree".
        score: Certainty that the detector states, 0 to 1.
        mask: (height, width) bool, its pixels, if known.
        identity: Number of the true object, if a renderer knows it.

    Raises:
        SiteTwinError: The box is empty or not finite, or the score is none.
    """

    box: tuple[float, float, float, float]
    name: str
    score: float = 1.0
    mask: Bool[np.ndarray, "height width"] | None = field(default=None, compare=False, repr=False)
    identity: int | None = None

    def __post_init__(self) -> None:
        left, upper, right, lower = self.box
        if not (all(map(math.isfinite, self.box)) and left < right and upper < lower):
            raise SiteTwinError(f"{self.box} is no box; give left, upper, right and lower edge in pixels")
        if not 0 <= self.score <= 1:
            raise SiteTwinError(f"a score of {self.score} is none; give 0 to 1")

    @property
    def contact(self) -> tuple[float, float]:
        """Middle of the lower edge, where the object touches the ground: column and row, pixels."""
        left, _, right, lower = self.box
        return 0.5 * (left + right), lower

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, pixels."""
        left, upper, right, lower = self.box
        return right - left, lower - upper

    def cut(self, width: int, height: int, margin: float = 2.0) -> bool:
        """Whether the box ends at the edge of an image of this size, so that it may show a part of the object only.

        Args:
            width: Columns of the image.
            height: Rows of the image.
            margin: Pixels from the edge that count as the edge.
        """
        left, upper, right, lower = self.box
        return left <= margin or upper <= margin or right >= width - margin or lower >= height - margin
