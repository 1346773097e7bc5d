"""The error of a report in a few bits: what a user adds to a report, so that the base station knows how it serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError

_MOST_BITS = 8
_FARTHEST_DB = 200.0


@dataclass(frozen=True)
class ErrorLevels:
    """Levels of the NMSE, equal steps in dB; the lowest and the highest are open.

    Attributes:
        bits: Bits that a user adds to a report; there are two to this power of levels.
        lowest_db: Upper edge of level 0, dB.
        step_db: Width of a level, dB.

    Raises:
        SiteTwinError: There are fewer than two levels, or the steps are not positive.
    """

    bits: int = 4
    lowest_db: float = -30.0
    step_db: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= _MOST_BITS:
            raise SiteTwinError(f"an error is reported in 1 to {_MOST_BITS} bits, not {self.bits}")
        if not (abs(self.lowest_db) <= _FARTHEST_DB and 0 < self.step_db <= _FARTHEST_DB):
            raise SiteTwinError(
                f"levels of the error begin at {self.lowest_db} dB and are {self.step_db} dB wide; give numbers of at "
                f"most {_FARTHEST_DB:g} dB, and a positive width"
            )

    @classmethod
    def spanning(cls, bits: int, lowest_db: float = -30.0, highest_db: float = -2.0) -> ErrorLevels:
        """Levels whose edges reach from one NMSE to another, however many bits tell them.

        Args:
            bits: Bits that a user adds to a report, two or more.
            lowest_db: The lowest edge, dB.
            highest_db: The highest edge, dB.

        Raises:
            SiteTwinError: There are fewer than two edges, or the highest is not above the lowest.
        """
        if bits < 2:
            raise SiteTwinError(f"levels from one error to another need two bits or more, not {bits}")
        return cls(bits, lowest_db, (highest_db - lowest_db) / (2**bits - 2))

    @property
    def count(self) -> int:
        """Number of levels."""
        return 2**self.bits

    @property
    def edges_db(self) -> Float[np.ndarray, " edges"]:
        """Edges between the levels, dB, ascending: one fewer than there are levels."""
        return self.lowest_db + self.step_db * np.arange(self.count - 1)

    def of(self, nmse: Float[np.ndarray, " reports"]) -> Int[np.ndarray, " reports"]:
        """Level of each linear NMSE.

        Raises:
            SiteTwinError: An NMSE is negative or not finite.
        """
        bad = ~(np.isfinite(nmse) & (nmse >= 0))
        if bad.any():
            raise SiteTwinError(
                f"the NMSE of report {int(bad.argmax())} is {nmse[bad][0]}; give finite linear values of 0 or more"
            )
        return np.searchsorted(10 ** (self.edges_db / 10), nmse, side="right").astype(np.int64)

    def floor_db(self, level: int) -> float:
        """Lower edge of a level, dB; of level 0, which has none, one step below its upper edge."""
        return float(self.lowest_db + self.step_db * (level - 1))

    def middle_nmse(self, level: Int[np.ndarray, "*levels"]) -> Float[np.ndarray, "*levels"]:
        """Linear NMSE in the middle (in dB) of levels; open levels count as wide as the others."""
        return 10 ** ((self.lowest_db + self.step_db * (level - 0.5)) / 10)
