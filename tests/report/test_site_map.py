"""The map from above, against heights found otherwise."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.drawing.top_view import top_view
from sitetwin.errors import SiteTwinError
from sitetwin.report.site_map import site_map, write_site_map
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation, load_scene, surface_height


def test_heights_are_those_of_vertical_rays() -> None:
    site = load_scene("simple_street_canyon")
    origin, cell, shape = (-60.0, -55.0), 1.03, (100, 120)
    height, seen = top_view(site.vertices[site.triangles], origin, cell, shape)
    x = origin[0] + cell * (np.arange(shape[1]) + 0.5)
    y = origin[1] + cell * (np.arange(shape[0]) + 0.5)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(height.reshape(-1), surface_height(site, points), atol=1e-6)
    assert ((seen >= 0) == np.isfinite(height)).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_highest_triangle_is_seen(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-3.0, 13.0, (count, 3, 3))
    height, seen = top_view(corners, (0.0, 0.0), 0.5, (20, 20))
    x, y = np.meshgrid(*[0.25 + 0.5 * np.arange(20)] * 2)
    best, owner = np.full((20, 20), -np.inf), np.full((20, 20), -1)
    for number, (a, b, c) in enumerate(corners):
        area = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
        u = ((x - a[0]) * (c - a)[1] - (y - a[1]) * (c - a)[0]) / area
        v = ((b - a)[0] * (y - a[1]) - (b - a)[1] * (x - a[0])) / area
        z = a[2] + u * (b - a)[2] + v * (c - a)[2]
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > best)
        best[inside], owner[inside] = z[inside], number
    np.testing.assert_array_equal(seen, owner)
    np.testing.assert_allclose(height, np.where(owner >= 0, best, np.nan), atol=1e-9)


def test_maps_are_equal_for_equal_sites_and_show_what_is_given(tmp_path: Path) -> None:
    site = load_scene("simple_street_canyon")
    first = write_site_map(site, tmp_path / "a.png").read_bytes()
    assert write_site_map(site, tmp_path / "b.png").read_bytes() == first
    trees = (
        Ellipsoid((5.0, 0.0, 6.0), (4.0, 2.0, 3.0), 0.5),
        Cylinder((20.0, 0.0), 2.0, 2.0, 6.0),
        ExtrudedPolygon(((-20, -3), (-10, -3), (-10, 3)), 0.0, 3.0),
    )
    planted = site.variant(vegetation=Vegetation(trees))
    figure = site_map(planted, np.array([[-33.0, 0.0, 12.0], [33.0, 0.0, 12.0]]), np.zeros((4, 3)))
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"N", "BS1", "BS2"} <= texts
    assert any(text.endswith(" m") for text in texts)


def test_positions_of_another_shape_are_refused(tmp_path: Path) -> None:
    site = load_scene("simple_street_canyon")
    with pytest.raises(SiteTwinError, match=r"\(N, 3\)"):
        site_map(site, transmitters=np.zeros(3))
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteTwinError, match="cannot be written"):
        write_site_map(site, tmp_path / "file" / "map.png")
