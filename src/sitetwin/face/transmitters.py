"""Positions of transmitters, checked against a site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import read_transmitters
from sitetwin.geographic import LatLon
from sitetwin.site import Site, check_transmitter, place_latlon
from sitetwin.site.places.extent import check_on_site

Where = str | Path | LatLon | Sequence[float] | np.ndarray
"""Three numbers in metres, `LatLon`, a text of either, or a file with one such text on each line."""


def transmitters(
    site: Site, places: Where | Sequence[Where], *, allow_indoors: bool = False
) -> Float[np.ndarray, "transmitters 3"]:
    """Return positions of transmitters, after a check that each can stand there.

    Args:
        site: The site; latitudes and longitudes need its georeference.
        places: One place or several: (x, y, z) in metres; ``LatLon(48.137, 11.575, 2.0, above="roof")``; the texts
            ``"8.5,21,27"``, ``"latlon:48.137,11.575,20"`` (metres above the ground) and
            ``"latlon:48.137,11.575,roof+2"``; or the name of a file with one such text on each line.
        allow_indoors: Allow places inside buildings.

    Returns:
        (transmitters, 3) float64 positions in metres, in the given order; `trace` and `TraceJob` take them.

    Raises:
        SiteTwinError: A text is not a place, a place lies inside a building, below the ground, on a surface or far off
            the site, the site has no georeference, or there is no ground or roof at a place.
    """
    found = []
    for place in _several(places):
        if isinstance(place, (str, Path)):
            read = read_transmitters([str(place)])
        else:
            read = [place if isinstance(place, LatLon) else [float(x) for x in place]]
        found += [_position(site, one, allow_indoors) for one in read]
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _several(places: Where | Sequence[Where]) -> Sequence[Any] | np.ndarray:
    """The places one by one; a single place becomes a list of it."""
    if isinstance(places, (str, Path, LatLon)):
        return [places]
    if not len(places):
        raise SiteTwinError("there is no transmitter; give at least one place")
    return [places] if isinstance(places[0], (int, float, np.number)) else places


def _position(site: Site, place: list[float] | LatLon, allow_indoors: bool) -> np.ndarray:
    if not isinstance(place, LatLon):
        checked = check_transmitter(site, np.array(place), allow_indoors=allow_indoors)
        check_on_site(site, checked)
        return checked
    pose = place_latlon(site, place.latitude, place.longitude, place.height, place.above, allow_indoors=allow_indoors)
    check_on_site(site, pose.position)
    return np.array(pose.position)
