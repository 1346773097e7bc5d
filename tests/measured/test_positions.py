"""Places of measurements: one projection, that of sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from sitetwin.errors import SiteTwinError
from sitetwin.measured import about_origin, on_site, read_deepsense
from sitetwin.site import Georeference, open_site
from sitetwin.site.latlon import to_local
from tests.measured.deepsense_folders import write_official

HERE = Georeference(48.137, 11.575)


def test_metres_are_those_of_a_site_with_that_origin() -> None:
    position = np.array([[48.137, 11.575], [48.138, 11.575], [48.137, 11.576], [np.nan, 11.0], [95.0, 11.0]])
    metres = about_origin(position, HERE)
    np.testing.assert_allclose(metres[0], 0, atol=1e-6)
    np.testing.assert_allclose(metres[1:3], [[0, 111.2], [74.4, 0]], atol=0.2)  # a thousandth of a degree
    assert np.isnan(metres[3:]).all()


def test_measurements_stand_in_the_frame_of_their_site(tmp_path) -> None:
    data = read_deepsense(write_official(tmp_path / "s"))
    station = Georeference(data.attrs["station_latitude"], data.attrs["station_longitude"])
    site = replace(open_site("simple_street_canyon"), georeference=station)
    placed = on_site(data, site)
    np.testing.assert_allclose(placed.x, placed.east, atol=1e-6)
    np.testing.assert_allclose(placed.y, placed.north, atol=1e-6)
    np.testing.assert_array_equal(
        np.stack([placed.x, placed.y], axis=1), to_local(site, data.latitude.values, data.longitude.values)
    )
    with pytest.raises(SiteTwinError, match="does not say where on earth"):
        on_site(data, open_site("simple_street_canyon"))
    with pytest.raises(SiteTwinError, match="no latitude and longitude"):
        on_site(xr.Dataset({"east": ("sample", np.zeros(3))}), site)
