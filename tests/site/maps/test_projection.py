"""The local frame against PROJ's own definition, Krueger's series and geodesics."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import LocalProjection

A, F = 6378137.0, 1 / 298.257223563
ORIGINS = st.tuples(st.floats(-84, 84), st.floats(-180, 180))


def around(origin: tuple[float, float], metres: float) -> np.ndarray:
    """(N, 2) longitude, latitude of points up to some metres away, by geodesics."""
    azimuth = np.repeat(np.arange(0, 360, 30.0), 4)
    distance = np.tile(np.linspace(0.1, 1, 4) * metres, 12)
    lon, lat, _ = pyproj.Geod(ellps="WGS84").fwd(np.full(48, origin[1]), np.full(48, origin[0]), azimuth, distance)
    return np.stack([lon, lat], axis=1)


def krueger(lonlat: np.ndarray, origin: tuple[float, float]) -> np.ndarray:
    """Krueger's series in the third flattening to n^4 (L. Krueger, 1912; C. F. F. Karney, 2011, eq. 35)."""
    n = F / (2 - F)
    radius = A / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    alpha = [
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
        61 * n**3 / 240 - 103 * n**4 / 140,
        49561 * n**4 / 161280,
    ]
    e = np.sqrt(F * (2 - F))

    def plane(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = np.sinh(np.arctanh(np.sin(lat)) - e * np.arctanh(e * np.sin(lat)))
        xi, eta = np.arctan2(t, np.cos(lon)), np.arcsinh(np.sin(lon) / np.hypot(t, np.cos(lon)))
        x = eta + sum(a * np.cos(2 * j * xi) * np.sinh(2 * j * eta) for j, a in enumerate(alpha, 1))
        y = xi + sum(a * np.sin(2 * j * xi) * np.cosh(2 * j * eta) for j, a in enumerate(alpha, 1))
        return radius * x, radius * y

    lon = np.radians((lonlat[:, 0] - origin[1] + 180) % 360 - 180)
    x, y = plane(lon, np.radians(lonlat[:, 1]))
    _, y0 = plane(np.zeros(1), np.radians(np.array([origin[0]])))
    return np.stack([x, y - y0], axis=1)


@given(ORIGINS)
@settings(max_examples=25)
def test_positions_agree_within_a_centimetre(origin: tuple[float, float]) -> None:
    points = around(origin, 5000.0)
    local = LocalProjection(*origin)
    crs = pyproj.CRS.from_proj4(
        f"+proj=tmerc +lat_0={origin[0]!r} +lon_0={origin[1]!r} +k=1 +datum=WGS84 +units=m +type=crs"
    )
    x, y = pyproj.Transformer.from_crs("EPSG:4979", crs, always_xy=True).transform(points[:, 0], points[:, 1])
    found = local.to_local(points)
    assert np.abs(found - np.stack([x, y], axis=1)).max() < 0.01
    assert np.abs(found - krueger(points, origin)).max() < 0.01
    back = local.to_wgs84(found)
    assert np.abs((back - points + 180) % 360 - 180).max() < 1e-9


@given(ORIGINS)
@settings(max_examples=25)
def test_near_the_origin_lengths_and_bearings_are_those_of_geodesics(origin: tuple[float, float]) -> None:
    points = around(origin, 5000.0)
    azimuth, _, distance = pyproj.Geod(ellps="WGS84").inv(
        np.full(48, origin[1]), np.full(48, origin[0]), points[:, 0], points[:, 1]
    )
    bearing = np.radians(azimuth)
    expected = np.asarray(distance)[:, None] * np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    assert np.abs(LocalProjection(*origin).to_local(points) - expected).max() < 0.01


def test_east_is_x_and_north_is_y() -> None:
    x, y = LocalProjection(40.0, -74.0).to_local(np.array([[-73.999, 40.0], [-74.0, 40.001]])).T
    assert x == pytest.approx([85.39, 0.0], abs=0.01)  # a(1 - e^2 sin^2)^(-1/2) cos(lat) * 1e-3 deg
    assert y == pytest.approx([0.0, 111.03], abs=0.01)


def test_geometries_are_projected_as_their_points() -> None:
    local = LocalProjection(52.0, 13.0)
    shapes = np.array([shapely.box(13.0, 52.0, 13.1, 52.1), shapely.Point(13.2, 52.0)], dtype=object)
    found = local.project(shapes)
    assert np.array_equal(shapely.get_coordinates(found), local.to_local(shapely.get_coordinates(shapes)))


@pytest.mark.parametrize("origin", [(91.0, 0.0), (0.0, 181.0), (float("nan"), 0.0)])
def test_origin_off_the_earth(origin: tuple[float, float]) -> None:
    with pytest.raises(SiteTwinError, match="latitude first"):
        LocalProjection(*origin)
