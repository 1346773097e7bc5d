"""The user's own place: GPS and camera fused, its own car found among the objects, jumps of GPS refused.

Errors of fixes are alike for seconds, so that their mean does not help as independent ones' would. The filter therefore
estimates, beside place and velocity, the error that GPS has at the time (a Gauss-Markov process). The camera's bearings
tell the two apart. They are those of the middle of the user's car, from which the antenna stands some way off: that way
is constant and is estimated, too, so that many looks are not taken for independent ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.scene.fusion import GATE_2, mahalanobis_2, with_bearing
from sitetwin.vision.scene.kalman import Motion
from sitetwin.vision.scene.objects import StreetObject

GPS_JUMP = "gps-jump"
"""The fix lies where the user cannot be: it was left out, and the track stands in its place."""

NO_FIX = "no-fix"
"""There is no fix of this moment: the track stands in its place."""

TRACK_RESTARTED = "track-restarted"
"""Fixes agreed with each other and not with the track for several moments: it was begun anew."""

NOT_SEEN = "user-not-seen"
"""No object in the image is the user's: hidden, out of view or not detected."""

_AGREE = 3  # fixes that refute a track
_LONGEST_STEP = 1.0  # seconds between fixes that may agree with each other


@dataclass(frozen=True)
class UserOptions:
    """How the user's place is found.

    Attributes:
        gps_sigma: Standard deviation of a fix, east and north alike, metres.
        gps_lasting: Share of the variance of fixes that lasts from fix to fix.
        gps_seconds: Time in which the lasting error falls to 1/e, seconds.
        acceleration: Root of the power density of the user's acceleration, m/s2 per root of a hertz.
        speed_sigma: Of the speed at the first fix, m/s.
        gate: Squared Mahalanobis distance of a fix from the track, beyond which it is a jump.
        match_gate: Squared Mahalanobis distance of an object from the user, beyond which it is another's car.
        bearing_sigma: Standard deviation of the direction to the middle of an object's box, radians.
        antenna_sigma: Standard deviation of the antenna's place on the car in plan, metres.
        own_classes: Classes that the user's own vehicle may be taken for.

    Raises:
        SiteTwinError: A deviation is not positive.
    """

    gps_sigma: float = 0.5
    gps_lasting: float = 0.8
    gps_seconds: float = 10.0
    acceleration: float = 1.2
    speed_sigma: float = 10.0
    gate: float = 16.0
    match_gate: float = GATE_2
    bearing_sigma: float = math.radians(0.7)
    antenna_sigma: float = 0.3
    own_classes: tuple[str, ...] = ("car", "van")

    def __post_init__(self) -> None:
        numbers = [value for value in vars(self).values() if not isinstance(value, tuple)]
        if not all(math.isfinite(value) and value > 0 for value in numbers):
            raise SiteTwinError(f"deviations and gates of the user's track are positive numbers, not {numbers}")
        if self.gps_lasting > 1:
            raise SiteTwinError(f"a share of {self.gps_lasting} of the fixes' variance cannot last; give at most 1")


@dataclass(frozen=True, eq=False)
class UserPlace:
    """Where the user is at one moment.

    Attributes:
        position: (2,) metres.
        covariance: (2, 2) m2.
        velocity: (2,) m/s.
        own: Number of the object that is the user's car in the list given, or None.
        flags: What was wrong.
    """

    position: Float[np.ndarray, " 2"]
    covariance: Float[np.ndarray, "2 2"]
    velocity: Float[np.ndarray, " 2"]
    own: int | None
    flags: tuple[str, ...]


class UserTrack:
    """Follows one user from moment to moment.

    Args:
        station: (2,) place of the camera in plan, metres.
        options: How.
    """

    def __init__(self, station: Float[np.ndarray, " 2"], options: UserOptions | None = None) -> None:
        self._station = np.asarray(station, dtype=np.float64)
        self.options = options or UserOptions()
        self._time = -math.inf
        # Place, velocity, lasting error of GPS, and the way from the antenna to the middle of the car.
        self._mean, self._covariance = np.zeros(0), np.zeros((0, 0))
        self._refused: list[np.ndarray] = []

    def step(
        self, time: float, fix: Float[np.ndarray, " 2"] | None, objects: Sequence[StreetObject] = ()
    ) -> UserPlace | None:
        """Go on to the next moment.

        Args:
            time: Seconds, not before the last.
            fix: (2,) GPS fix, metres; None or NaN where there is none.
            objects: What the camera sees at this moment.

        Returns:
            The user's place; None before the first fix.

        Raises:
            SiteTwinError: The time lies before the last.
        """
        flags: list[str] = []
        if fix is not None and not np.isfinite(fix).all():
            fix = None
        if not len(self._mean):
            if fix is None:
                return None
            self._begin(time, np.asarray(fix))
        else:
            if not time >= self._time:
                raise SiteTwinError(f"the user's track stands at {self._time:g} s, after {time:g} s; sort the moments")
            self._predict(time)
            self._take(time, fix, flags)
        own = self._own(objects)
        if own is None:
            flags.append(NOT_SEEN)
        else:
            self._look(objects[own])
        return UserPlace(self._mean[:2], self._covariance[:2, :2], self._mean[2:4], own, tuple(flags))

    def draws(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "draws 2"], Float[np.ndarray, " 2"]]:
        """Draw places of the antenna, and return the likeliest middle of the car.

        Args:
            count: Number of draws; the first is the likeliest place.
            rng: Source of randomness.

        Returns:
            (count, 2) metres; (2,) metres.

        Raises:
            SiteTwinError: There was no fix yet.
        """
        self._need_fix()
        places = rng.multivariate_normal(self._mean[:2], self._covariance[:2, :2], count, method="eigh")
        places[0] = self._mean[:2]
        return places, self._mean[:2] + self._mean[6:]

    def _need_fix(self) -> None:
        if not len(self._mean):
            raise SiteTwinError("the user has no place before the first fix; step with a fix first")

    def ahead(self, seconds: float) -> Motion:
        """Return the motion as it will be in so many seconds.

        Raises:
            SiteTwinError: There was no fix yet, or the time lies in the past.
        """
        self._need_fix()
        now = Motion(self._time, self._mean[:4], self._covariance[:4, :4])
        return now.at(self._time + seconds, self.options.acceleration)

    def _begin(self, time: float, fix: np.ndarray) -> None:
        """Only the fix is known: the place is off by what the fix is off, with the opposite sign."""
        lasting, passing = self._variances()
        one = np.eye(2)
        self._time, self._refused = time, []
        self._mean = np.concatenate([fix, np.zeros(6)])
        self._covariance = np.zeros((8, 8))
        self._covariance[:2, :2] = (lasting + passing) * one
        self._covariance[2:4, 2:4] = self.options.speed_sigma**2 * one
        self._covariance[4:6, 4:6] = lasting * one
        self._covariance[:2, 4:6] = self._covariance[4:6, :2] = -lasting * one
        self._covariance[6:, 6:] = self.options.antenna_sigma**2 * one

    def _variances(self) -> tuple[float, float]:
        lasting = self.options.gps_lasting * self.options.gps_sigma**2
        return lasting, self.options.gps_sigma**2 - lasting + 1e-6

    def _predict(self, time: float) -> None:
        step = time - self._time
        kept = math.exp(-step / self.options.gps_seconds)
        still = Motion(self._time, np.zeros(4), np.zeros((4, 4))).at(time, self.options.acceleration)
        move, noise = np.eye(8), np.zeros((8, 8))
        move[:2, 2:4] = step * np.eye(2)
        move[4:6, 4:6] = kept * np.eye(2)
        noise[:4, :4] = still.covariance
        noise[4:6, 4:6] = (1 - kept**2) * self._variances()[0] * np.eye(2)
        self._mean = move @ self._mean
        self._covariance = move @ self._covariance @ move.T + noise
        self._time = time

    def _take(self, time: float, fix: np.ndarray | None, flags: list[str]) -> None:
        """Correct by a fix, unless it is a jump."""
        if fix is None:
            flags.append(NO_FIX)
            return
        shown = np.hstack([np.eye(2), np.zeros((2, 2)), np.eye(2), np.zeros((2, 2))])
        spread = shown @ self._covariance @ shown.T + self._variances()[1] * np.eye(2)
        off = fix - shown @ self._mean
        if mahalanobis_2(off, spread) <= self.options.gate:
            gain = self._covariance @ shown.T @ np.linalg.inv(spread)
            self._mean = self._mean + gain @ off
            corrected = self._covariance - gain @ spread @ gain.T
            self._covariance, self._refused = 0.5 * (corrected + corrected.T), []
            return
        flags.append(GPS_JUMP)
        self._refused = [*self._refused, fix][-_AGREE:]
        reach = self.options.gps_sigma + self.options.speed_sigma * _LONGEST_STEP
        apart = np.linalg.norm(np.array(self._refused) - fix, axis=1)
        if len(self._refused) == _AGREE and (apart <= reach).all():
            self._begin(time, fix)
            flags.append(TRACK_RESTARTED)

    def _own(self, objects: Sequence[StreetObject]) -> int | None:
        """The object nearest to the user, by covariance, if any is near enough and of a class that may be its own."""
        reach = self.options.antenna_sigma**2 * np.eye(2)
        best, least = None, self.options.match_gate
        for number, thing in enumerate(objects):
            if thing.name not in self.options.own_classes:
                continue
            spread = self._covariance[:2, :2] + thing.covariance + reach
            distance = float(mahalanobis_2(thing.position - self._mean[:2], spread))
            if distance < least:
                best, least = number, distance
        return best

    def _look(self, own: StreetObject) -> None:
        """Correct by the direction to the middle of the user's own car."""
        east, north = (own.position - self._station).tolist()
        distance = math.hypot(east, north)
        if distance == 0.0:
            return
        across = np.array([-north, east]) / distance
        placed = math.sqrt(float(across @ own.covariance @ across)) / distance
        sigma = math.hypot(self.options.bearing_sigma, placed)
        middle = np.eye(8)
        middle[:2, 6:] = np.eye(2)  # the state with the middle of the car in the place of the antenna
        mean, covariance = with_bearing(
            middle @ self._mean,
            middle @ self._covariance @ middle.T,
            self._station,
            math.atan2(north, east),
            sigma,
        )
        back = np.linalg.inv(middle)
        self._mean, self._covariance = back @ mean, back @ covariance @ back.T
