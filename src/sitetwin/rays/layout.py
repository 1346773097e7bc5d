"""Names, axes and units of the arrays of paths, on disk and in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

LAYOUT: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "users": (("user", "xyz"), {"units": "m", "description": "positions, local east, north, up"}),
    "offsets": (("user_edge",), {"rows": "path", "description": "paths of user u: rows offsets[u]:offsets[u+1]"}),
    "kinds": (
        ("path", "interaction"),
        {"description": "0 none, 1 reflection, 2 in a canopy, 3 diffraction, 4 transmission, 5 diffuse"},
    ),
    "facets": (("path", "interaction"), {"description": "facet, scatter centre or wedge of each interaction; -1 none"}),
    "vertices": (("path", "interaction", "xyz"), {"units": "m", "description": "interaction points; NaN none"}),
    "length": (("path",), {"units": "m", "description": "unfolded length from transmitter to user"}),
    "departure": (("path", "xyz"), {"units": "1", "description": "unit vector away from the transmitter"}),
    "arrival": (("path", "xyz"), {"units": "1", "description": "unit vector away from the user"}),
    "crossing_offsets": (
        ("path_edge",),
        {"rows": "crossing", "description": "crossings of path p: rows crossing_offsets[p]:crossing_offsets[p+1]"},
    ),
    "crossing_volume": (("crossing",), {"description": "vegetation volume crossed"}),
    "crossing_entry": (("crossing",), {"units": "m", "description": "where the path enters it, along the path"}),
    "crossing_exit": (("crossing",), {"units": "m", "description": "where the path leaves it, along the path"}),
}
"""Axes and attributes of each array."""

TITLE = "propagation paths from one transmitter, geometry only"
FRAME = "local east, north, up; metres"


def to_dataset(
    arrays: Mapping[str, np.ndarray],
    derived: Mapping[str, np.ndarray],
    transmitter: np.ndarray,
    facts: Mapping[str, Any],
) -> xarray.Dataset:
    """Make a labelled data set from the arrays of paths.

    Args:
        arrays: The arrays, one for each entry of `LAYOUT`.
        derived: The derived arrays ``user_of_path`` and ``delay``, (P,) each.
        transmitter: (3,) position of the transmitter, metres.
        facts: Attributes of the paths; tables among them become JSON, so that the data set fits a NetCDF file.
    """
    import xarray  # here: it takes half a second, which no worker needs

    variables: dict[str, Any] = {name: (dims, arrays[name], dict(facts)) for name, (dims, facts) in LAYOUT.items()}
    variables["user_of_path"] = ("path", derived["user_of_path"], {"description": "user to whom the path leads"})
    variables["delay"] = ("path", derived["delay"], {"units": "s", "description": "length over the speed of light"})
    variables["transmitter"] = ("xyz", transmitter, {"units": "m", "description": "position, local east, north, up"})
    texts = {
        name: value if isinstance(value, (str, int, float)) else json.dumps(value) for name, value in facts.items()
    }
    attributes = {"title": TITLE, "frame": FRAME, **texts}
    return xarray.Dataset(variables, coords={"xyz": ["x", "y", "z"]}, attrs=attributes)
