"""How powers of taps change when the ends of paths move a little: paths move over taps and beams."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.spread import REACH, PathTaps
from sitetwin.measured.profiles import pulse_amplitudes

_STEP = 1e-3  # taps


class PoseSlopes:
    """Shares of the paths in the taps at one geometry, and their slopes with the delays."""

    def __init__(self, taps: PathTaps) -> None:
        """Prepare.

        Args:
            taps: Where the paths fall.
        """
        self.taps = taps
        profiles = taps.profiles
        count, reach = profiles.power.shape[2], REACH[profiles.window]
        tap = np.floor(taps.at + 0.5).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
        ends = [
            np.square(pulse_amplitudes(tap - (taps.at + late)[:, None], profiles.subcarriers, profiles.window))
            for late in (0.0, _STEP)
        ]
        place = tap - profiles.first_tap
        if profiles.repeats:
            place = np.mod(place, profiles.subcarriers)
        path, shift = np.nonzero((place >= 0) & (place < count))
        where = (taps.user[path] * count + place[path, shift], path)
        shape = (len(profiles) * count, len(taps.at))
        self.share = csr_array((ends[0][path, shift], where), shape=shape)
        self.slope = csr_array((((ends[1] - ends[0]) / _STEP)[path, shift], where), shape=shape)

    def change(
        self, moved: PathTaps, power: Float[np.ndarray, " entries"], more: Float[np.ndarray, " entries"]
    ) -> Float[np.ndarray, " taps"]:
        """Change of the signal in all taps at a small move.

        Args:
            moved: Where the paths fall after it.
            power: (P * ports,) powers of the paths before.
            more: (P * ports,) what the move adds to them.

        Returns:
            (users * beams * taps,).
        """
        paths, ports, beams = self.taps.gain.shape
        late = (moved.at - self.taps.at)[:, None]
        own, added = power.reshape(paths, ports, 1), more.reshape(paths, ports, 1)
        nearby = (own * (moved.gain - self.taps.gain) + added * self.taps.gain).sum(axis=1)
        found = self.share @ nearby + self.slope @ (late * (own * self.taps.gain).sum(axis=1))
        users = len(self.taps.profiles)
        whole: np.ndarray = found.reshape(users, -1, beams).transpose(0, 2, 1).reshape(-1)
        return whole
