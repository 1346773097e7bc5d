"""Whether the arrays of paths fit together and hold possible values.

Compiled kernels follow offsets and indices without looking, so nothing that contradicts itself may reach them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.rays.layout import LAYOUT

_LAST_KIND = 5  # of `sitetwin.rays.paths.Interaction`
_UNIT = 1e-6  # how far a unit vector's squared length may be off one


def check_structure(paths: Any) -> None:
    """Check that axes of one name have one length, and that offsets divide the rows which they say they divide.

    Args:
        paths: The `Paths`.

    Raises:
        SiteTwinError: They do not.
    """
    sizes = {"xyz": 3, "user_edge": len(paths.users) + 1, "path_edge": len(paths.length) + 1}
    for name, (dims, _) in LAYOUT.items():
        shape = np.shape(getattr(paths, name))
        if len(shape) != len(dims):
            raise SiteTwinError(f"'{name}' of paths has {len(shape)} axes; give {len(dims)}: {', '.join(dims)}")
        for dim, size in zip(dims, shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise SiteTwinError(
                    f"the arrays of paths do not fit together: '{name}' has {size} along '{dim}', and {sizes[dim]} are "
                    "due; give arrays of the same paths"
                )
    for name, rows in (("offsets", len(paths.length)), ("crossing_offsets", len(paths.crossing_volume))):
        offsets = getattr(paths, name)
        if offsets[0] != 0 or offsets[-1] != rows or bool((offsets[1:] < offsets[:-1]).any()):
            raise SiteTwinError(
                f"'{name}' of paths do not rise from 0 to {rows}, the number of rows that they divide; give sound paths"
            )


def check_values(paths: Any) -> None:
    """Check that every number of the paths is possible; what a file says is not believed.

    Args:
        paths: The `Paths`, of sound structure.

    Raises:
        SiteTwinError: A number is not finite, a length is not positive, a direction has not the length one, or a
            vertex and its kind and facet contradict each other.
    """
    met = paths.kinds != 0
    wrong = {
        "positions of users that are not finite": ~np.isfinite(paths.users),
        "a position of the transmitter that is not finite": ~np.isfinite(paths.transmitter),
        "lengths that are not positive numbers": ~(np.isfinite(paths.length) & (paths.length > 0)),
        "departures that are no unit vectors": _no_units(paths.departure),
        "arrivals that are no unit vectors": _no_units(paths.arrival),
        "interactions of an unknown kind": paths.kinds > _LAST_KIND,
        "interactions after an end of the path": met[:, 1:] & ~met[:, :-1],
        "interactions without a place": met & ~np.isfinite(paths.vertices).all(axis=-1),
        "interactions with a number below -1": paths.facets < -1,
        "crossings of a negative volume": paths.crossing_volume < 0,
        "crossings that end before they begin": ~(
            (paths.crossing_entry >= 0)
            & (paths.crossing_exit >= paths.crossing_entry)
            & np.isfinite(paths.crossing_exit)
        ),
    }
    for what, where in wrong.items():
        if bool(where.any()):
            raise SiteTwinError(
                f"the paths hold {what} ({int(where.any(axis=tuple(range(1, where.ndim))).sum())} rows)"
            )


def _no_units(vectors: np.ndarray) -> np.ndarray:
    return ~(np.abs(np.einsum("ij,ij->i", vectors, vectors) - 1) < _UNIT)
