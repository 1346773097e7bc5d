"""Errors of base stations' poses: they stand and point elsewhere than planned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError
from sitetwin.site.mesh import Mesh
from sitetwin.site.places.placement import check_transmitter
from sitetwin.site.places.pose import Pose
from sitetwin.site.variants.distort import LARGEST_ERROR, GeometryError
from sitetwin.site.variants.draws import children

LARGEST_ANGLE_DEG = 360.0
"""Largest standard deviation of an angle, degrees."""

_MOST_DRAWS = 64


@dataclass(frozen=True)
class PoseError:
    """Size of the errors of a base station's pose; all errors are normally distributed with mean zero.

    Attributes:
        position: Horizontal displacement of the base station.
        height_sigma: Standard deviation of the height, metres.
        yaw_sigma_deg: Standard deviation of the azimuth of the boresight, degrees.
        pitch_sigma_deg: Standard deviation of the downtilt, degrees.
        roll_sigma_deg: Standard deviation of the roll, degrees.

    Raises:
        SiteTwinError: A number is negative, not finite, or larger than any such error.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    position: GeometryError = field(default_factory=GeometryError)
    height_sigma: float = 0.0
    yaw_sigma_deg: float = 0.0
    pitch_sigma_deg: float = 0.0
    roll_sigma_deg: float = 0.0

    def __post_init__(self) -> None:
        angles = (self.yaw_sigma_deg, self.pitch_sigma_deg, self.roll_sigma_deg)
        for value in (self.height_sigma, *angles):
            if not (math.isfinite(value) and value >= 0):
                raise SiteTwinError(f"a pose error of {value} is none; give 0 or more, finite")
        if max(angles) > LARGEST_ANGLE_DEG or self.height_sigma > LARGEST_ERROR:
            raise SiteTwinError(
                f"a pose error of {max(angles):g} degrees or {self.height_sigma:g} m is none of a base station; give 0 "
                f"to {LARGEST_ANGLE_DEG:g} degrees and 0 to {LARGEST_ERROR:g} m"
            )


def pose_error(
    pose: Pose, error: PoseError, rng: np.random.Generator, site: Mesh | None = None
) -> tuple[Pose, dict[str, Any]]:
    """Draw errors of a pose; return the wrong pose and the entry for a list of differences.

    Args:
        pose: The pose as planned.
        error: Size of the errors.
        rng: Source of randomness.
        site: If given, a place where a radio cannot stand in this site (in a wall, inside a building) is drawn again.

    Returns:
        The pose with errors; and what was changed, JSON-serialisable, in metres and degrees.

    Raises:
        SiteTwinError: 64 draws found no place where a radio can stand.
    """
    for_place, for_height, for_angles = children(rng, 3)
    place, draws = np.array(pose.position), 0
    while draws == 0 or (site is not None and not _can_stand(site, place)):
        if draws == _MOST_DRAWS:
            raise SiteTwinError(
                f"{draws} draws found no place for a radio near ({', '.join(f'{v:g}' for v in pose.position)}) m; "
                "reduce the errors of its position"
            )
        shift = np.append(error.position.draw(1, 2, for_place)[0], error.height_sigma * for_height.standard_normal())
        place, draws = np.array(pose.position) + shift, draws + 1
    sigmas = np.array([error.yaw_sigma_deg, error.pitch_sigma_deg, error.roll_sigma_deg])
    turn = sigmas * for_angles.standard_normal(3)
    turned = [angle + math.radians(d) for angle, d in zip(pose.orientation, turn.tolist(), strict=True)]
    difference = {
        "what": "pose",
        "position_sigma_m": error.position.sigma,
        "position_bound_m": error.position.largest,
        "height_sigma_m": error.height_sigma,
        "orientation_sigma_deg": sigmas.tolist(),
        "displaced_m": shift.tolist(),
        "turned_deg": turn.tolist(),
        "draws": draws,
    }
    return Pose(tuple(place.tolist()), *turned), difference


def _can_stand(site: Mesh, place: np.ndarray) -> bool:
    try:
        check_transmitter(site, place)
    except SiteTwinError:
        return False
    return True
