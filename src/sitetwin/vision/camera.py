"""A camera: intrinsics, lens, and where it stands; from points to pixels and from pixels to rays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.places.pose import Pose
from sitetwin.vision.lens import bend, fold, unbend

MOST_PIXELS = 2**26
"""Pixels of the largest image."""

NEAREST = 1e-6
"""Metres along the axis in front of which nothing is seen."""

PARAMETERS = ("x", "y", "z", "yaw", "pitch", "roll", "focal")
"""What may be uncertain of a camera: metres, radians, and the relative change of both focal lengths."""


@dataclass(frozen=True)
class Camera:
    """A pinhole with a lens of OpenCV's model.

    Pixels are counted from the upper left corner of the image: the first pixel covers 0 to 1 in both directions, and
    its centre is (0.5, 0.5). (OpenCV's calibration has its centre at (0, 0): add 0.5 to its principal point.) The
    optical axis is the boresight of the pose; at rest the image's right is local -y and its lower edge is local -z.

    Attributes:
        pose: Place and orientation; a positive pitch looks down.
        fx: Focal length across, pixels.
        fy: Focal length down, pixels.
        cx: Column of the principal point, pixels.
        cy: Row of the principal point, pixels.
        width: Columns of the image.
        height: Rows of the image.
        distortion: k1, k2, p1, p2, k3 of OpenCV.

    Raises:
        SiteTwinError: A number is not finite or not positive where it must be, the image has no pixels or too many, or
            the lens shows two directions at one pixel of the image.
    """

    pose: Pose
    fx: float
    fy: float
    cx: float
    cy: float
    width: int = 960
    height: int = 540
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "distortion", tuple(float(v) for v in self.distortion))
        if len(self.distortion) != 5:
            raise SiteTwinError(
                f"a lens has the five numbers k1, k2, p1, p2, k3, not {len(self.distortion)}; give zeros for none"
            )
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy, *self.distortion))):
            raise SiteTwinError("a number of the camera's intrinsics is not finite; give pixels")
        if self.fx <= 0 or self.fy <= 0:
            raise SiteTwinError(f"focal lengths of {self.fx} and {self.fy} pixels are none; give positive numbers")
        if self.width < 1 or self.height < 1 or self.width * self.height > MOST_PIXELS:
            raise SiteTwinError(f"an image of {self.width} x {self.height} pixels is none; give columns and rows")
        if any(self.distortion):
            edges = self._ideal(_rim(self.width, self.height))
            if not np.isfinite(edges).all():
                raise SiteTwinError(
                    f"the lens {self.distortion} shows two directions at one pixel near the image's edge; "
                    "check its numbers, or crop the image"
                )

    @classmethod
    def from_view(
        cls, pose: Pose, width: int = 960, height: int = 540, field_of_view: float = math.radians(110)
    ) -> Camera:
        """Return a camera without distortion that sees so much across.

        Args:
            pose: Place and orientation.
            width: Columns of the image.
            height: Rows of the image.
            field_of_view: Angle between the left and the right edge, radians.

        Raises:
            SiteTwinError: The angle is none of a pinhole, or the image has no pixels.
        """
        if not 0 < field_of_view < math.radians(175):
            raise SiteTwinError(
                f"a field of view of {math.degrees(field_of_view):g} degrees is none of a pinhole; "
                "give radians between 0 and 3.05 (175 degrees)"
            )
        focal = 0.5 * width / math.tan(0.5 * field_of_view)
        return cls(pose, focal, focal, 0.5 * width, 0.5 * height, width, height)

    @property
    def position(self) -> Float[np.ndarray, " 3"]:
        """(3,) metres."""
        return np.array(self.pose.position)

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """(3, 3): right, down and forward of the image as rows, in the site's frame."""
        (ca, sa), (cb, sb), (cg, sg) = ((math.cos(angle), math.sin(angle)) for angle in self.pose.orientation)
        forward = (ca * cb, sa * cb, -sb)
        left = (ca * sb * sg - sa * cg, sa * sb * sg + ca * cg, cb * sg)
        up = (ca * sb * cg + sa * sg, sa * sb * cg - ca * sg, cb * cg)
        return np.array([[-v for v in left], [-v for v in up], forward])

    def local(self, points: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 3"]:
        """Return (..., 3) metres to the right, down and forward of points (..., 3) of the site."""
        return (np.asarray(points, dtype=np.float64) - self.position) @ self.axes.T

    def project(
        self, points: Float[np.ndarray, "*points 3"]
    ) -> tuple[Float[np.ndarray, "*points 2"], Float[np.ndarray, "*points"]]:
        """Find where points are seen.

        Args:
            points: (..., 3) in the site's frame, metres.

        Returns:
            (..., 2) column and row, pixels, inside or outside of the image; NaN for points behind the camera and for
            those that lie farther from the axis than this lens can be known to show. (...) depth along the axis,
            metres (not the range).
        """
        local = self.local(points)
        depth = local[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            ideal = local[..., :2] / depth[..., None]
        ideal = np.where((depth > NEAREST)[..., None], ideal, np.nan)
        if any(self.distortion):
            length = np.linalg.norm(ideal, axis=-1)
            ideal = np.where((length < fold(self.distortion))[..., None], ideal, np.nan)
            ideal = bend(ideal, self.distortion)
        return ideal * (self.fx, self.fy) + (self.cx, self.cy), depth

    def rays(
        self, pixels: Float[np.ndarray, "*points 2"] | Sequence[Sequence[float]]
    ) -> Float[np.ndarray, "*points 3"]:
        """Return (..., 3) unit directions in the site's frame of pixels (..., 2); NaN where the lens shows nothing."""
        ideal = self._ideal(np.asarray(pixels, dtype=np.float64))
        local = np.concatenate([ideal, np.ones((*ideal.shape[:-1], 1))], axis=-1)
        return (local / np.linalg.norm(local, axis=-1, keepdims=True)) @ self.axes

    def points(
        self, pixels: Float[np.ndarray, "*points 2"], depth: Float[np.ndarray, "*points"]
    ) -> Float[np.ndarray, "*points 3"]:
        """Undo `project`.

        Args:
            pixels: (..., 2) column and row.
            depth: (...) along the axis, metres.

        Returns:
            (..., 3) in the site's frame, metres.
        """
        ideal = self._ideal(np.asarray(pixels, dtype=np.float64))
        local = np.concatenate([ideal, np.ones((*ideal.shape[:-1], 1))], axis=-1)
        return self.position + (local * np.asarray(depth)[..., None]) @ self.axes

    def in_image(self, pixels: Float[np.ndarray, "*points 2"]) -> Bool[np.ndarray, "*points"]:
        """Return (...) bool: which pixels (..., 2) lie in the image."""
        return np.asarray(
            (pixels[..., 0] >= 0)
            & (pixels[..., 0] < self.width)
            & (pixels[..., 1] >= 0)
            & (pixels[..., 1] < self.height)
        )

    def pixel_centres(self) -> Float[np.ndarray, "height width 2"]:
        """(height, width, 2) column and row of the centre of each pixel."""
        columns, rows = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        return np.stack([columns, rows], axis=-1)

    def moved(self, step: Float[np.ndarray, " 7"]) -> Camera:
        """Return the camera whose `PARAMETERS` are changed by (7,): metres, radians, log of the focal lengths."""
        x, y, z = self.position + step[:3]
        pose = Pose(
            (x, y, z), self.pose.yaw + float(step[3]), self.pose.pitch + float(step[4]), self.pose.roll + float(step[5])
        )
        grown = math.exp(float(step[6]))
        return replace(self, pose=pose, fx=self.fx * grown, fy=self.fy * grown)

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the same view whose images were scaled to another size.

        Raises:
            SiteTwinError: The new size has no pixels, or is not of the same shape within one pixel.
        """
        if min(width, height) < 1 or abs(width * self.height / self.width - height) > 1:
            raise SiteTwinError(
                f"an image of {width} x {height} pixels is no scaled one of {self.width} x {self.height}; "
                "give the camera of these images"
            )
        across, down = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=self.cx * across,
            cy=self.cy * down,
            width=width,
            height=height,
        )

    def _ideal(self, pixels: np.ndarray) -> np.ndarray:
        return unbend((pixels - (self.cx, self.cy)) / (self.fx, self.fy), self.distortion)


def _rim(width: int, height: int) -> np.ndarray:
    """(64, 2) pixels along the edge of an image."""
    share = np.linspace(0, 1, 16, endpoint=False)
    columns = np.concatenate([share, np.ones(16), 1 - share, np.zeros(16)]) * width
    rows = np.concatenate([np.zeros(16), share, np.ones(16), 1 - share]) * height
    return np.stack([columns, rows], axis=-1)
