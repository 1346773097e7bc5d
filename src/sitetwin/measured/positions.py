"""Convert places of measurements to metres, with the same projection as sites."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site import Georeference, Site
from sitetwin.site.latlon import to_local
from sitetwin.site.places.extent import check_users_on_site, outside_site
from sitetwin.site.places.placement import over_ground
from sitetwin.site.projection import LocalProjection

_DEGREES_APART = 0.5  # 50 km: no site is wider


def about_origin(position: Float[np.ndarray, "rows 2"], origin: Georeference) -> Float[np.ndarray, "rows 2"]:
    """Convert positions on the globe to metres east and north of a point, by the projection of a site there.

    Args:
        position: WGS84 latitude and longitude, degrees.
        origin: WGS84 latitude and longitude of the point, degrees.

    Returns:
        float64; NaN where a position is no place on the globe, or too far away to be projected.
    """
    there = (np.abs(position[:, 0]) <= 90) & (np.abs(position[:, 1]) <= 180)
    out = np.full(position.shape, np.nan)
    out[there] = LocalProjection.of(origin).to_local(position[there][:, ::-1].astype(np.float64))
    out[~np.isfinite(out).all(axis=1)] = np.nan
    return out


def on_site(data: xr.Dataset, site: Site) -> xr.Dataset:
    """Add the positions of measurements in a site's own frame.

    Args:
        data: With the variables ``latitude`` and ``longitude`` along ``sample``, as readers of measured data give it.
        site: The site; it needs a georeference.

    Returns:
        The data with the variables ``x`` and ``y``, metres east and north of the site's origin.

    Raises:
        SiteTwinError: The data have no positions, the site no georeference, or a position lies far from the site.
    """
    if not {"latitude", "longitude"} <= set(data.variables):
        raise SiteTwinError(
            "these measurements have no latitude and longitude; read them with a reader of measured data"
        )
    plan = to_local(site, data["latitude"].values, data["longitude"].values)
    attributes = {"units": "m", "long_name": f"in the frame of the site {site.name}"}
    return data.assign(x=("sample", plan[:, 0], attributes), y=("sample", plan[:, 1], attributes))


def within_site(data: xr.Dataset, site: Site, height: float = 1.5) -> xr.Dataset:
    """Put measurements into a site's own frame, and leave those out that were taken beside the site.

    Args:
        data: With ``x``, ``y`` and ``z`` along ``sample`` in metres of the site's frame, or ``latitude`` and
            ``longitude`` in degrees.
        site: The site; degrees need its georeference.
        height: Height above the ground at which measurements in degrees were taken, metres.

    Returns:
        The data with ``x``, ``y`` and ``z``; the attribute ``off_the_site`` counts what was left out.

    Raises:
        SiteTwinError: The site has no georeference, or none of the measurements was taken on the site.
    """
    if "x" not in data:
        if not {"latitude", "longitude"} <= set(data.variables):
            raise SiteTwinError("the measurements have no positions; give x, y and z, or latitude and longitude")
        plan = to_local(site, data["latitude"].values, data["longitude"].values)
        data = data.assign(
            {axis: ("sample", v) for axis, v in zip("xyz", over_ground(site, plan, height).T, strict=True)}
        )
    elif {"y", "z"} <= set(data.variables):
        _refuse_degrees(np.stack([data[axis].values for axis in "xy"], axis=1).astype(np.float64), site)
    users = np.stack([data[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    beside = outside_site(site, users)
    if beside.all():
        check_users_on_site(site, users)  # refuses them, and says how to mend it
    data = data.isel(sample=np.flatnonzero(~beside))
    return data.assign_attrs(off_the_site=int(beside.sum()))


def _refuse_degrees(plan: Float[np.ndarray, "rows 2"], site: Site) -> None:
    """Refuse metres that are degrees of places on the site: all of them would stand within some metres."""
    known = plan[np.isfinite(plan).all(axis=1)]
    if site.georeference is None or not len(known) or (np.ptp(known, axis=0) > _DEGREES_APART).any():
        return
    for latitude, longitude in (known.T, known.T[::-1]):
        if (np.abs(latitude) > 90).any() or (np.abs(longitude) > 180).any():
            continue
        there = about_origin(np.stack([latitude, longitude], axis=1), site.georeference)
        if np.isfinite(there).all() and not outside_site(site, np.pad(there, ((0, 0), (0, 1)))).all():
            raise SiteTwinError(
                f"positions such as ({known[0, 0]:g}, {known[0, 1]:g}) were given as metres and are degrees of places "
                "on the site; give them as latitude and longitude"
            )
