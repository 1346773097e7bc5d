"""The twin of a measured street: its geometry traced at 60 GHz, and what beams receive there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from sitetwin.channel import AntennaArray, OfdmGrid, PathGains, Radio, angular_codebook, frequency_response, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site, load_scene, load_site
from sitetwin.site.io import is_saved_site
from sitetwin.site.latlon import to_local
from sitetwin.site.places.placement import ground_height, outdoor_mask
from sitetwin.studies.beams.config import TwinAssumptions
from sitetwin.untrusted import is_missing, read_json

_LARGEST_BOX = 2**20  # bytes of a file of four ranges


@dataclass(frozen=True, eq=False)
class StreetTwin:
    """Paths from the base station to a grid of users over the street.

    Attributes:
        site: The geometry.
        station: (2,) metres in the site's frame, of the base station.
        paths: To all users of the grid that stand outdoors.
        gains: Their gains at the carrier between isotropic antennas, complex64.
        users: (U, 2) metres east and north of the station.
        assumptions: What the data do not say.
        facts: Hashes and counts, for the results.
    """

    site: Site
    station: np.ndarray
    paths: Paths
    gains: PathGains
    users: np.ndarray
    assumptions: TwinAssumptions
    facts: dict[str, object]

    def at(self, users: np.ndarray) -> StreetTwin:
        """Return the twin of this street, traced to other users (U, 2), metres east and north of the station."""
        return _traced(self.site, self.station, users, self.assumptions)

    def assuming(self, assumptions: TwinAssumptions) -> StreetTwin:
        """Return the twin of this street and these users under other assumptions."""
        return _traced(self.site, self.station, self.users, assumptions)

    def beam_powers(self, boresight: float, beam_azimuth: np.ndarray) -> np.ndarray:
        """(U, B) power of steered beams, summed over the subcarriers.

        Args:
            boresight: Radians from east.
            beam_azimuth: (B,) radians from boresight, to the left positive.
        """
        a = self.assumptions
        radio = Radio(AntennaArray.ula(a.antennas), (boresight, 0.0, 0.0))
        grid = OfdmGrid(a.carrier_hz, a.subcarriers, a.bandwidth_hz / a.subcarriers)
        with torch.no_grad():
            h = frequency_response(self.paths, self.gains, grid, radio)[:, 0]
        received = torch.einsum("utk,bt->ukb", h, angular_codebook(radio.array, beam_azimuth).to(h.dtype))
        return received.abs().double().square().sum(dim=1).numpy()


def build_twin(folder: Path, data: xr.Dataset, assumptions: TwinAssumptions) -> StreetTwin:
    """Trace the street of a scenario.

    Args:
        folder: A saved site with a georeference; or meshes beside which ``georeference.json`` holds ranges ``x``,
            ``y`` in metres, and the ``lat``, ``lon`` of these.
        data: The scenario; its positions and its station only.
        assumptions: Heights, carrier, array, band.

    Raises:
        SiteTwinError: The site or its georeference is missing or damaged, or the street lies outside it.
    """
    if is_saved_site(folder):
        site = load_site(folder)
        station = to_local(site, [data.attrs["station_latitude"]], [data.attrs["station_longitude"]])[0]
    else:
        site = load_scene(str(folder))
        station = _in_box(folder, data)
    position = np.stack([data.east.values, data.north.values], axis=1)
    low, high = position.min(axis=0) - assumptions.margin_m, position.max(axis=0) + assumptions.margin_m
    if not ((site.bounds[0, :2] < station + low) & (site.bounds[1, :2] > station + high)).all():
        raise SiteTwinError(f"'{data.attrs['scenario']}' lies outside the site '{folder}'; give its own site")
    axes = [np.arange(a, b + 1e-9, assumptions.spacing_m) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = grid[outdoor_mask(site, grid + station)]
    return _traced(site, station, grid, assumptions)


def _traced(site: Site, station: np.ndarray, users: np.ndarray, assumptions: TwinAssumptions) -> StreetTwin:
    """Paths to users (U, 2), metres east and north of the station (2,) in the site's frame."""
    place = users + station
    heads = np.column_stack([place, ground_height(site, place) + assumptions.user_height_m])
    mast = float(ground_height(site, station[None])[0]) + assumptions.station_height_m
    paths = trace(site, np.array([*station, mast]), heads, TraceSettings(max_depth=assumptions.max_depth))
    with torch.no_grad():
        gains = path_gains(paths, site, assumptions.carrier_hz)
    facts: dict[str, object] = {
        "site": site.name,
        "site_hash": site.geometry_hash,
        "users": len(users),
        "paths": paths.num_paths,
        "paths_per_user": round(paths.num_paths / len(users), 2),
    }
    return StreetTwin(site, station, paths, gains, users, assumptions, facts)


def _in_box(folder: Path, data: xr.Dataset) -> np.ndarray:
    """(2,) metres in the frame of bare meshes, of the base station.

    Nothing but the corners of their box is known of that frame. A projection about one of its points would presume a
    scale and a direction of north that the box contradicts by centimetres, so places between the corners are
    interpolated, as the box was published to be used.
    """
    path = folder / "georeference.json"
    if is_missing(path):
        raise SiteTwinError(f"'{path}' is missing: it says where on the globe the site lies")
    box = read_json(path, f"'{path}'", _LARGEST_BOX)
    try:
        x, y, lat, lon = (np.array(box[name], dtype=np.float64).reshape(2) for name in ("x", "y", "lat", "lon"))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise SiteTwinError(f"'{path}' should hold ranges x, y, lat, lon of two numbers each; mend it") from error
    if not all(np.isfinite(r).all() and r[1] > r[0] for r in (x, y, lat, lon)):
        raise SiteTwinError(f"the ranges x, y, lat, lon in '{path}' must rise; mend it")
    share_x = (data.attrs["station_longitude"] - lon[0]) / (lon[1] - lon[0])
    share_y = (data.attrs["station_latitude"] - lat[0]) / (lat[1] - lat[0])
    return np.array([x[0] + share_x * (x[1] - x[0]), y[0] + share_y * (y[1] - y[0])])
