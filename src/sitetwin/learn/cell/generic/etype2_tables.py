"""Tables of the enhanced Type II codebook of 3GPP TS 38.214, section 5.2.2.2.5, and the fields of its report."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sitetwin.learn.cell.generic.bit_fields import bits_for

COMBINATIONS: tuple[tuple[int, float, float], ...] = (
    (2, 1 / 4, 1 / 4),
    (2, 1 / 4, 1 / 2),
    (4, 1 / 4, 1 / 4),
    (4, 1 / 4, 1 / 2),
    (4, 1 / 4, 3 / 4),
    (4, 1 / 2, 1 / 2),
    (6, 1 / 4, 1 / 2),
    (6, 1 / 4, 3 / 4),
)
"""``paramCombination-r16`` 1 to 8 (Table 5.2.2.2.5-1): beams L, p_v of rank 1, beta."""

OVERSAMPLING = 4
"""O1, and O2 where there is more than one row (Table 5.2.2.2.1-2)."""

REFERENCE_BITS, DIFFERENTIAL_BITS, PHASE_BITS = 4, 3, 4

REFERENCE = np.array([2 ** (-(15 - k) / 4) for k in range(1, 16)])
"""Amplitude of the weaker polarisation for k = 1 to 15 (Table 5.2.2.2.5-2); k = 0 is reserved."""

DIFFERENTIAL = np.array([2 ** (-(7 - k) / 2) for k in range(8)])
"""Amplitudes within a polarisation for k = 0 to 7 (Table 5.2.2.2.5-3)."""

_WIDEST = 62  # bits of one field
_LARGEST_WITHOUT_WINDOW = 19  # N3 from which on delays are chosen within a window


@dataclass(frozen=True)
class Sizes:
    """Sizes of a report, of the array and one combination of parameters.

    Attributes:
        ports: Polarisations P, 1 or 2.
        rows: N2.
        columns: N1.
        units: Frequency units N3: as many as there are delay taps.
        combination: Number of the combination, 1 to 8.
        per_subband: Precoders per subband, R of 1 or 2: it divides the number of delays M.
        most: Largest number of coefficients that are not zero.
    """

    ports: int
    rows: int
    columns: int
    units: int
    combination: int
    per_subband: int
    most: int

    @property
    def beams(self) -> int:
        """L."""
        return COMBINATIONS[self.combination - 1][0]

    @property
    def delays(self) -> int:
        """M_1 = ceil(p_1 N3 / R)."""
        return math.ceil(COMBINATIONS[self.combination - 1][1] * self.units / self.per_subband)

    @property
    def standard_most(self) -> int:
        """K0 = ceil(beta P L M_1)."""
        return math.ceil(COMBINATIONS[self.combination - 1][2] * self.ports * self.beams * self.delays)

    @property
    def places(self) -> int:
        """Coefficients, zero or not: the bits of the bitmap."""
        return self.ports * self.beams * self.delays

    @property
    def windowed(self) -> bool:
        """Whether the delays stand within a window of 2 M around the strongest one."""
        return self.units > _LARGEST_WITHOUT_WINDOW

    @property
    def reach(self) -> int:
        """Delays from which those of a report are chosen."""
        return min(2 * self.delays, self.units) if self.windowed else self.units

    @property
    def fields(self) -> dict[str, int]:
        """Bits of the fields that every report has, in their order."""
        positions = self.rows * self.columns
        return {
            "column rotation": bits_for(OVERSAMPLING if self.columns > 1 else 1),
            "row rotation": bits_for(OVERSAMPLING if self.rows > 1 else 1),
            "beams": bits_for(math.comb(positions, self.beams)),
            "delay": bits_for(self.units),
            "window": bits_for(self.reach) if self.windowed else 0,
            "delays": bits_for(math.comb(self.reach - 1, self.delays - 1)),
            "count": bits_for(self.standard_most),
            "phase": PHASE_BITS,
            "reference": REFERENCE_BITS * (self.ports - 1),
        }

    def bits(self, count: int) -> int:
        """Bits of a report with so many coefficients that are not zero."""
        each = DIFFERENTIAL_BITS + PHASE_BITS
        return sum(self.fields.values()) + self.places + bits_for(count) + each * (count - 1)

    @property
    def possible(self) -> bool:
        """Whether the array and the taps are large enough, and small enough for fields of whole numbers."""
        large = self.beams <= self.rows * self.columns and 1 <= self.delays <= self.units
        return large and max(self.fields.values()) <= _WIDEST


def fitting_sizes(ports: int, rows: int, columns: int, units: int, bits: int) -> list[Sizes]:
    """All combinations whose report fits into some bits, each with as many coefficients as do."""
    found = []
    for combination in range(1, len(COMBINATIONS) + 1):
        for per_subband in (1, 2):
            whole = Sizes(ports, rows, columns, units, combination, per_subband, 1)
            if not whole.possible:
                continue
            counts = [count for count in range(1, whole.standard_most + 1) if whole.bits(count) <= bits]
            if counts:
                found.append(Sizes(ports, rows, columns, units, combination, per_subband, max(counts)))
    return found
