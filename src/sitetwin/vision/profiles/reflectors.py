"""Angular power profile of a scene of point reflectors: Algorithm 1 of the paper.

The line of sight and one path over each object have a gain and an azimuth; the sum of these lines, seen with the
angular resolution of the array, is the profile (M. Arnold and others, section III-B). The paper leaves open, and here
is chosen:

- *path loss*: printed is that of a mirror of any size at the object, ((d1 + d2)^2), for what the text calls a point.
  "image" is as printed; "radar" is a point's own, d1^2 d2^2, with a cross-section.
- *power or magnitude*: the gains are powers, while the profiles that they are compared with come from "magnitudes of
  the received power". "power" is as printed; "amplitude" takes the root of each gain.
- *the pulse*: a sinc has negative side lobes, and a power has none. "absolute" takes the magnitude of the whole, as the
  bars of equation 1 do; "squared" is the pattern of a uniform aperture. The sinc is NumPy's, with its first zero at the
  resolution: beams are then 12 degrees wide, as the measured ones. sin(x)/x would be three times as broad.
- *the user's own car*: the paper finds "the object closest to the position" and does not say what for. "removed" takes
  it out of the reflectors, where it would count twice; "azimuth" also takes the user's azimuth from it; "kept" does
  neither.
- *blockage* is named as a main effect and missing from the algorithm; a loss of the line of sight behind an object can
  be given.
- *other classes* than tree, car and pole: buses, trucks and vans reflect as cars do; classes without a reflectance are
  left out.
- *outside of the grid*: what lies more than 90 degrees off the boresight has no place in a profile and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.profiles.codebook import ANGLES, AZIMUTH_DEG, Quantity

REFLECTANCES: Mapping[str, float] = MappingProxyType(
    {"tree": 0.3, "car": 1.0, "pole": 0.6, "bus": 1.0, "truck": 1.0, "van": 1.0}
)
"""Share of the power that an object of each class reflects: the paper's three, and what reflects as a car does."""

SPEED_OF_LIGHT = 299_792_458.0  # m/s

PathLoss = Literal["image", "radar"]
Pulse = Literal["absolute", "squared"]
OwnCar = Literal["removed", "azimuth", "kept"]

_CHOICES = {
    "path_loss": get_args(PathLoss),
    "pulse": get_args(Pulse),
    "own_car": get_args(OwnCar),
    "quantity": get_args(Quantity),
}


@dataclass(frozen=True)
class PointReflectors:
    """Algorithm 1 with its options; each default is what the paper prints, where it prints something.

    Attributes:
        carrier_hz: Carrier.
        resolution_deg: Angular resolution of the receiver.
        reflectance: By class.
        path_loss: "image" or "radar".
        cross_section_m2: Of an object of reflectance 1, for "radar"; 10 m2 is that of a car at 60 GHz, about.
        nearest_m: Shorter distances between user and object, or array and object, count as this long, for "radar".
        pulse: "absolute" or "squared".
        quantity: "power", or "amplitude" for the root of the gains.
        own_car: "removed", "azimuth" or "kept".
        own_within_m: Largest distance from the user's position to its own car; the paper sets none, so that without a
            detection of the user's car that of another is taken for it.
        blocked_loss_db: Loss of the line of sight behind an object; None, as printed, for no blockage.
        object_radius_m: Distance in the plane from the line of sight within which an object blocks it.
    """

    carrier_hz: float = 60e9
    resolution_deg: float = 10.0
    reflectance: Mapping[str, float] = field(default_factory=lambda: REFLECTANCES)
    path_loss: PathLoss = "image"
    cross_section_m2: float = 10.0
    nearest_m: float = 1.0
    pulse: Pulse = "absolute"
    quantity: Quantity = "power"
    own_car: OwnCar = "removed"
    own_within_m: float = 5.0
    blocked_loss_db: float | None = None
    object_radius_m: float = 1.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SiteTwinError(
                    f"{name} of point reflectors is one of {', '.join(choices)}, not '{getattr(self, name)}'"
                )
        positive = ("carrier_hz", "resolution_deg", "cross_section_m2", "nearest_m", "own_within_m", "object_radius_m")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SiteTwinError(f"{name} of point reflectors must be positive, not {getattr(self, name):g}")
        wrong = [name for name, share in self.reflectance.items() if not 0 <= share <= 1]
        if wrong:
            raise SiteTwinError(f"the reflectance of '{wrong[0]}' is a share of power, from 0 to 1; mend the table")

    def profile(
        self,
        user: Float[np.ndarray, " 3"],
        objects: Float[np.ndarray, "objects 3"],
        classes: Sequence[str],
    ) -> Float[np.ndarray, " 180"]:
        """Profile of one moment.

        Args:
            user: Metres from the array: along the boresight, to its left, up.
            objects: Metres, in the same frame.
            classes: Of each object.

        Returns:
            Received over transmitted power, or its root, within one sample of the grid.

        Raises:
            SiteTwinError: A position is not finite, the user stands in the array, or classes and objects differ in
                number.
        """
        gain, azimuth = self.paths(user, objects, classes)
        return self.seen(gain, azimuth)

    def paths(
        self,
        user: Float[np.ndarray, " 3"],
        objects: Float[np.ndarray, "objects 3"],
        classes: Sequence[str],
    ) -> tuple[Float[np.ndarray, " paths"], Float[np.ndarray, " paths"]]:
        """Power gain and azimuth in degrees of the line of sight and of one path over each object (steps 1 and 2).

        Raises:
            SiteTwinError: As for `profile`.
        """
        self._check(user, objects, classes)
        share = np.array([self.reflectance.get(name, np.nan) for name in classes], dtype=np.float64)
        own = self.own(user, objects)
        others = np.isfinite(share)
        if own is not None and self.own_car != "kept":
            others[own] = False
        toward = azimuth_deg(user[None] if own is None or self.own_car != "azimuth" else objects[own][None])
        sight = self._free_space(float(np.linalg.norm(user)))
        blockers = np.arange(len(objects)) != own
        if self.blocked_loss_db is not None and self._blocked(user, objects[blockers]):
            sight *= 10 ** (-self.blocked_loss_db / 10)
        gains = np.concatenate([[sight], share[others] * self._over(user, objects[others])])
        return gains, np.concatenate([toward, azimuth_deg(objects[others])])

    def own(self, user: Float[np.ndarray, " 3"], objects: Float[np.ndarray, "objects 3"]) -> int | None:
        """Which object is the user's own car: the nearest in the plane, if it is near enough."""
        if not len(objects):
            return None
        distance = np.hypot(*(objects - user)[:, :2].T)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= self.own_within_m else None

    def seen(
        self, gain: Float[np.ndarray, " paths"], azimuth: Float[np.ndarray, " paths"]
    ) -> Float[np.ndarray, " 180"]:
        """What the array makes of paths (step 3).

        The convolution of a line with the pulse is the pulse about the line's own azimuth: nothing is rounded to the
        grid.

        Args:
            gain: Power gains.
            azimuth: Degrees from boresight.
        """
        inside = np.abs(azimuth) <= 90.0
        height = gain[inside] if self.quantity == "power" else np.sqrt(gain[inside])
        pulse = np.sinc((AZIMUTH_DEG - azimuth[inside, None]) / self.resolution_deg)
        if self.pulse == "squared":
            return np.asarray(height @ pulse**2, dtype=np.float64)
        return np.abs(height @ pulse) if inside.any() else np.zeros(ANGLES)

    def _free_space(self, length: float | np.ndarray) -> np.ndarray:
        wavelength = SPEED_OF_LIGHT / self.carrier_hz
        return np.asarray((wavelength / (4 * np.pi * length)) ** 2)

    def _over(self, user: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """(n,) power gain of the path over each object, were its reflectance 1."""
        out, back = np.linalg.norm(objects - user, axis=1), np.linalg.norm(objects, axis=1)
        if self.path_loss == "image":
            return self._free_space(out + back)
        out, back = np.maximum(out, self.nearest_m), np.maximum(back, self.nearest_m)
        return self._free_space(out) * self.cross_section_m2 / (4 * np.pi * back**2)

    def _blocked(self, user: np.ndarray, objects: np.ndarray) -> bool:
        """Whether an object stands between array and user, in the plane."""
        length = float(np.hypot(*user[:2]))
        if not len(objects) or length == 0:
            return False
        along = objects[:, :2] @ user[:2] / length
        beside = np.abs(objects[:, 0] * user[1] - objects[:, 1] * user[0]) / length
        return bool(((along > 0) & (along < length) & (beside <= self.object_radius_m)).any())

    @staticmethod
    def _check(user: np.ndarray, objects: np.ndarray, classes: Sequence[str]) -> None:
        if len(classes) != len(objects):
            raise SiteTwinError(f"{len(objects)} objects have {len(classes)} classes; give one of each")
        if not (np.isfinite(user).all() and np.isfinite(objects).all()):
            raise SiteTwinError("positions of user and objects must be finite metres; drop what has none")
        if not np.any(user):
            raise SiteTwinError("the user stands in the array itself; check its position")


def azimuth_deg(position: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, " points"]:
    """Azimuth of positions in the frame of the array, degrees from boresight, to the left positive."""
    return np.degrees(np.arctan2(position[:, 1], position[:, 0]))


def in_array_frame(
    position: Float[np.ndarray, "*points 3"], station: Float[np.ndarray, " 3"], boresight_rad: float
) -> Float[np.ndarray, "*points 3"]:
    """Turn positions in a site's frame into metres along an array's boresight, to its left, and up.

    Args:
        position: Metres east, north, up.
        station: The array, in the same frame.
        boresight_rad: Radians from east, counter-clockwise.
    """
    cos, sin = np.cos(boresight_rad), np.sin(boresight_rad)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray((position - station) @ turn.T, dtype=np.float64)
