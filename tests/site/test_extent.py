"""Radios and users with respect to a site: on it, beside it and far off."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sitetwin
from sitetwin.channel.stations import GeographicStation
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import place
from sitetwin.site.latlon import to_geographic, with_georeference
from sitetwin.site.places.extent import check_on_site, check_users_on_site, extent_words, place_words
from tests.rays.shapes import box_quads, ground, quad_site

SITE = with_georeference(quad_site([ground(50.0), *box_quads((-5, -5, 0), (5, 5, 10))]), 48.0, 11.0)
DIAGONAL = np.hypot(100.0, 100.0)


@given(st.floats(-400, 400), st.floats(-400, 400))
def test_a_radio_is_on_the_site_said_to_be_beside_it_or_refused(x, y):
    off = np.hypot(max(abs(x) - 50, 0), max(abs(y) - 50, 0))
    if abs(off - DIAGONAL) < 1e-3 or 0 < off < 1e-3:
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            check_on_site(SITE, (x, y, 5.0))
            sentence = ""
        except SiteTwinError as error:
            sentence = str(error)
    refused = "x -50.0 to 50.0 m, y -50.0 to 50.0 m; check the coordinates" in sentence
    assert refused == (off > DIAGONAL)
    assert bool(said) == (0 < off <= DIAGONAL)


def test_users_beside_the_site_are_counted_and_users_off_it_refused():
    row = np.array([[x, 0.0, 1.5] for x in (-60.0, -50.0, 0.0, 50.0, 70.0)])
    with pytest.warns(SiteTwinWarning, match="2 of 5 users stand outside the site"):
        check_users_on_site(SITE, row)
    with pytest.raises(SiteTwinError, match="no user stands on the site"):
        check_users_on_site(SITE, row[[0, 4]])


def test_the_face_says_so_too():
    with pytest.raises(SiteTwinError, match="no user stands on the site"):
        sitetwin.grid(SITE, (200, 200, 210, 210))
    with pytest.raises(SiteTwinError, match="4,950 m outside the site"):
        sitetwin.transmitters(SITE, (5000, 0, 20))
    with pytest.warns(SiteTwinWarning, match="10 m outside the site"):
        sitetwin.transmitters(SITE, (60, 0, 20))
    with pytest.raises(SiteTwinError, match="station 'BS1': the station at"):
        sitetwin.coverage(SITE, sitetwin.Station(position=(5000, 0, 20), eirp_dbm=30), (20, 20, 30, 30))


def test_a_height_above_the_roof_needs_a_roof():
    assert place(SITE, 0.0, 0.0, 3.0, "roof").position == (0.0, 0.0, 13.0)
    with pytest.raises(SiteTwinError, match="has no roof, but open ground"):
        place(SITE, 20.0, 0.0, 3.0, "roof")


def test_words_hold_metres_degrees_and_the_height_above_the_ground():
    latitude, longitude = to_geographic(SITE, [[20.0, 0.0]])
    words = place_words(SITE, (20.0, 0.0, 12.5))
    assert words.startswith("x 20.00, y 0.00, z 12.50 m; ")
    assert f"{latitude[0]:.6f}, {longitude[0]:.6f}" in words
    assert words.endswith("12.50 m above the ground")
    assert place_words(SITE, (60.0, 0.0, 2.0)).endswith("no ground below")
    assert extent_words(SITE, np.array([[0.0, 1.0, 1.5], [3.0, 2.0, 2.5]])).startswith(
        "x 0.0 to 3.0 m, y 1.0 to 2.0 m, z 1.50 to 2.50 m; 48.0000"
    )


def test_a_station_by_degrees_stands_where_they_say():
    latitude, longitude = (float(value[0]) for value in to_geographic(SITE, [[1.0, 2.0]]))
    made = GeographicStation(latitude, longitude, 3.0, above="roof", eirp_dbm=46, azimuth_deg=120)
    assert made.on(SITE).position == pytest.approx((1.0, 2.0, 13.0), abs=1e-6)
    assert made.on(SITE).yaw_deg == pytest.approx(-30.0)
    with pytest.raises(SiteTwinError, match="where on earth"):
        made.on(quad_site([ground(50.0)]))


def test_users_in_the_corner_of_a_turned_slope_are_told():
    rhombus = np.array([[0.0, -80, 15], [80, 0, 30], [0, 80, 15], [-80, 0, 0]])  # within its rectangle
    slope = quad_site([rhombus])
    users = np.array([[0.0, 0, 16.5], [75, 75, 1.5], [-70, 70, 1.5]])
    with pytest.warns(
        SiteTwinWarning, match=r"2 users stand within the site where it has no ground.*0\.00 m.*30\.00 m"
    ):
        check_users_on_site(slope, users)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_users_on_site(slope, users[:1])
