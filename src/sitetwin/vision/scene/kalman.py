"""Motion at nearly constant velocity in plan: the Kalman filter of a white acceleration.

Source: Y. Bar-Shalom, X. Rong Li, T. Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError

_PLACE = np.eye(2, 4)


@dataclass(frozen=True, eq=False)
class Motion:
    """Place and velocity at a time.

    Attributes:
        time: Seconds.
        mean: (4,) x, y in metres and their velocities in m/s.
        covariance: (4, 4).
    """

    time: float
    mean: Float[np.ndarray, " 4"]
    covariance: Float[np.ndarray, "4 4"]

    @classmethod
    def begun(
        cls, time: float, position: Float[np.ndarray, " 2"], covariance: Float[np.ndarray, "2 2"], speed_sigma: float
    ) -> Motion:
        """Return a motion of which only the place is known, and of the velocity that it is about zero."""
        full = np.zeros((4, 4))
        full[:2, :2], full[2:, 2:] = covariance, speed_sigma**2 * np.eye(2)
        return cls(time, np.append(position, (0.0, 0.0)), full)

    @property
    def position(self) -> Float[np.ndarray, " 2"]:
        """(2,) metres."""
        return self.mean[:2]

    @property
    def velocity(self) -> Float[np.ndarray, " 2"]:
        """(2,) m/s."""
        return self.mean[2:]

    @property
    def position_covariance(self) -> Float[np.ndarray, "2 2"]:
        """(2, 2) m2."""
        return self.covariance[:2, :2]

    def at(self, time: float, acceleration: float) -> Motion:
        """Predict the motion at another time.

        Args:
            time: Seconds, not before this time.
            acceleration: Root of the power density of the white acceleration, m/s2 per root of a hertz.

        Raises:
            SiteTwinError: The time lies before.
        """
        step = time - self.time
        if not step >= 0:
            raise SiteTwinError(f"a motion at {self.time:g} s cannot be predicted back to {time:g} s; sort the moments")
        move = np.eye(4)
        move[:2, 2:] = step * np.eye(2)
        noise = np.zeros((4, 4))
        noise[:2, :2], noise[2:, 2:] = step**3 / 3 * np.eye(2), step * np.eye(2)
        noise[:2, 2:] = noise[2:, :2] = step**2 / 2 * np.eye(2)
        return Motion(time, move @ self.mean, move @ self.covariance @ move.T + acceleration**2 * noise)

    def seen(self, position: Float[np.ndarray, " 2"], covariance: Float[np.ndarray, "2 2"]) -> Motion:
        """Return the motion corrected by a place that was measured at its time."""
        gain = self.covariance @ _PLACE.T @ np.linalg.inv(self.position_covariance + covariance)
        keep = np.eye(4) - gain @ _PLACE
        # Joseph's form stays positive in floating point.
        corrected = keep @ self.covariance @ keep.T + gain @ covariance @ gain.T
        return Motion(self.time, self.mean + gain @ (position - self.position), 0.5 * (corrected + corrected.T))
