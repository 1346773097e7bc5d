"""Powers of paths that were evaluated lately, and what of them holds at other materials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.channels.geometry import Geometry

_KEPT = 16  # sets of powers


@dataclass(frozen=True, eq=False)
class _Known:
    """Powers (P * ports,) of paths at a geometry and values of the materials, by name of the property."""

    geometry: Geometry
    values: dict[str, np.ndarray]
    power: np.ndarray


class KnownPowers:
    """The latest powers, by geometry and materials."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: list[_Known] = []

    def keep(self, geometry: Geometry, values: dict[str, np.ndarray], power: Float[np.ndarray, " entries"]) -> None:
        """Remember powers; the oldest are forgotten."""
        self._known = [*self._known[1 - _KEPT :], _Known(geometry, values, power)]

    def forget_moved(self) -> None:
        """Forget powers of moved ends."""
        self._known = [one for one in self._known if not one.geometry.moves]

    def nearest(
        self, geometry: Geometry, values: dict[str, np.ndarray], sets: Iterable[tuple[int, ...]]
    ) -> tuple[Float[np.ndarray, " entries"], tuple[int, ...]] | None:
        """Powers at materials that differ from some in one of several sets of entries only, and that set.

        Args:
            geometry: Where the ends of the paths are.
            values: (M,) of each property.
            sets: Sets of entries, the one to be preferred first.

        Returns:
            The powers, and the entries whose paths differ: none where all is known. None where too little is.
        """
        changed = [(one, _changed(one.values, values)) for one in self._known if one.geometry == geometry]
        for one, entries in changed:
            if not entries:
                return one.power, ()
        for covered in sets:
            for one, entries in changed:
                if entries <= set(covered):
                    return one.power, covered
        return None


def _changed(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> set[int]:
    """Entries whose values differ in a property."""
    differs = np.any([one[name] != other[name] for name in one], axis=0)
    return set(np.flatnonzero(differs).tolist())
