"""What a site shows of itself."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import (
    Cylinder,
    Ellipsoid,
    ParkedVehicles,
    Site,
    Vegetation,
    check_transmitter,
    itu_material,
    with_georeference,
)
from tests.site.conftest import block, make_town


@pytest.fixture
def planted(town: Site) -> Site:
    volumes = (Ellipsoid((0, 0, 8), (3, 3, 4)), Cylinder((0.0, 0.0), 0.2, 0.0, 4.0, part="trunk"))
    return with_georeference(town.variant(vegetation=Vegetation(volumes)), 48.137154, 11.576124)


def test_the_text_tells_the_facts_in_few_lines(planted: Site) -> None:
    text = repr(planted)
    assert len(text.splitlines()) < 20
    assert planted.hash[:12] in text
    for fact in (
        "'town'", "200 m x 200 m", f"{planted.num_triangles} triangles", f"{planted.num_facets} facets",
        "1 canopies, 1 trunks", "48.137154, 11.576124", "concrete (ground 100%)",
    ):  # fmt: skip
        assert fact in text
    assert "buildings   3" in text
    assert "not known" in repr(replace(planted, georeference=None))


def test_parked_vehicles_are_no_buildings(town: Site) -> None:
    parked = town.variant(vehicles=ParkedVehicles(count=3), rng=np.random.default_rng(0))
    assert "buildings   3" in repr(parked)


def test_shares_of_materials_are_shares_of_the_area() -> None:
    """Two boxes of one height: the walls go by their lengths, the rest by the areas of roofs and floors."""
    boxes = [("one", block(0, 0, 10, 10, 8.0), 1), ("two", block(30, 0, 60, 30, 8.0), 2)]
    text = repr(make_town(boxes))
    assert "marble (walls 25%, other 10%)" in text
    assert "metal (walls 75%, other 90%)" in text
    assert text.index("metal") < text.index("marble")  # the larger area first


def test_many_materials_and_odd_names_stay_short(town: Site) -> None:
    more = tuple(replace(itu_material("glass"), name=f"pane {k} <&>") for k in range(30))
    site = replace(town, materials=(*town.materials, *more), name="<b>town</b> & 'co'")
    assert len(repr(site).splitlines()) < 20
    assert "and 27 more" in repr(site)
    assert "<b>" not in site._repr_html_()

    class Reader(HTMLParser):
        text = ""

        def handle_data(self, data: str) -> None:
            self.text += data

    reader = Reader()
    reader.feed(site._repr_html_())
    assert site.name in reader.text
    assert "pane 0 <&> (unused)" in reader.text


def test_a_transmitter_inside_a_building_is_refused_in_python_too(town: Site) -> None:
    with pytest.raises(SiteTwinError, match=r"inside a building.*allow_indoors=True"):
        check_transmitter(town, (30.0, 0.0, 5.0))
    np.testing.assert_array_equal(check_transmitter(town, (30.0, 0.0, 5.0), allow_indoors=True), [30.0, 0.0, 5.0])
