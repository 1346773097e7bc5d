"""Sites by any name, and users in them."""

import gzip
import json

import numpy as np
import pytest

import sitetwin as st
from sitetwin.site.maps import Box, MapOptions

HOUSE = """<osm version="0.6">
<node id="1" lat="48.0000" lon="11.0000"/><node id="2" lat="48.0000" lon="11.0002"/>
<node id="3" lat="48.0002" lon="11.0002"/><node id="4" lat="48.0002" lon="11.0000"/>
<way id="5"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/>
<tag k="building" v="yes"/><tag k="height" v="10"/></way></osm>"""


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "house.osm"
    path.write_text(HOUSE)
    return path


def test_a_map_a_scene_and_a_folder_open_by_one_door(house, tmp_path):
    of_map = st.open_site(house)
    assert st.open_site("simple_street_canyon").num_triangles > 0
    st.save_site(of_map, tmp_path / "saved")
    assert st.open_site(tmp_path / "saved").hash == of_map.hash


def test_a_map_is_cut_where_asked(house):
    whole = st.open_site(house)
    cut = st.open_site(house, around=(48.0001, 11.0001), radius=60.0)
    box = st.open_site(house, clip=Box(10.999, 47.999, 11.001, 48.001))
    assert np.ptp(cut.vertices[:, 0]) == pytest.approx(120, abs=1)
    assert np.ptp(box.vertices[:, 0]) > np.ptp(cut.vertices[:, 0])
    assert whole.georeference is not None
    assert cut.georeference.latitude == pytest.approx(48.0001)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"around": (48.0, 11.0)}, "go together"),
        ({"radius": 30.0}, "go together"),
        ({"around": (48.0, 11.0), "radius": 30.0, "clip": Box(10.9, 47.9, 11.1, 48.1)}, "one of them"),
    ],
)
def test_half_a_clip_is_refused(house, choices, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        st.open_site(house, **choices)


def test_choices_of_maps_are_refused_for_scenes():
    with pytest.raises(st.SiteTwinError, match="is no map, so options says nothing"):
        st.open_site("simple_street_canyon", options=MapOptions())


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"up": "y"}, "scene in metres with z up"),
        ({"lod": "2"}, "lod says nothing"),
        ({"materials": "mc1"}, "materials says nothing"),
    ],
)
def test_choices_of_models_are_refused_where_they_say_nothing(choices, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        st.open_site("simple_street_canyon", **choices)


def test_choices_of_models_are_refused_for_maps_and_saved_sites(house, tmp_path):
    with pytest.raises(st.SiteTwinError, match="a map is opened, so up says nothing"):
        st.open_site(house, up="z")
    with pytest.raises(st.SiteTwinError, match="both name the table"):
        st.open_site(house, materials="mc1", options=MapOptions())
    st.save_site(st.open_site(house, materials="mc1"), tmp_path / "saved")
    with pytest.raises(st.SiteTwinError, match="is a saved site, so crs says nothing"):
        st.open_site(tmp_path / "saved", crs="EPSG:25832")


def test_an_unknown_choice_is_a_type_error(house):
    with pytest.raises(TypeError, match="footprint"):
        st.open_site(house, footprint=True)
    with pytest.raises(TypeError, match="axis"):
        st.open_site("simple_street_canyon", axis="y")


def test_users_stand_outdoors_at_their_height(street):
    site, users, _ = street
    assert users.shape[1] == 3
    assert np.allclose(users[:, 2], site.bounds[0, 2] + 1.5)
    indoors = st.grid(site, area=(-60, -60, 60, 60), spacing=10.0, allow_indoors=True)
    outdoors = st.grid(site, area=(-60, -60, 60, 60), spacing=10.0)
    assert len(outdoors) < len(indoors)


def test_users_over_a_box_in_degrees(house):
    site = st.open_site(house)
    users = st.grid(site, area=(47.9999, 10.9998, 48.0003, 11.0004), spacing=5.0, degrees=True)
    wide, high = np.ptp(users[:, 0]), np.ptp(users[:, 1])
    assert wide == pytest.approx(0.0006 * 111_320 * np.cos(np.radians(48)), rel=0.15)
    assert high == pytest.approx(0.0004 * 111_200, rel=0.15)
    with pytest.raises(st.SiteTwinError, match="where on earth"):
        st.grid(st.open_site("simple_street_canyon"), area=(47, 10, 48, 11), degrees=True)


def test_maps_are_joined_and_others_are_not(house, tmp_path):
    trees = tmp_path / "trees.osm"
    trees.write_text(
        '<osm version="0.6"><node id="9" lat="48.0001" lon="11.0004"><tag k="natural" v="tree"/></node></osm>'
    )
    told = []
    both = st.open_site([house, trees], progress=lambda stage, share: told.append((stage, share)))
    assert both.vegetation.num_volumes > 0
    assert st.open_site([house]).geometry_hash == st.open_site(house).geometry_hash
    assert told == [("read", 0.0), ("read", 1.0), ("build", 0.0), ("build", 1.0)]
    with pytest.raises(st.SiteTwinError, match="only map files can be joined"):
        st.open_site([house, "simple_street_canyon"])
    with pytest.raises(st.SiteTwinError, match="footprints says nothing"):
        st.open_site("simple_street_canyon", footprints=True)


def test_a_map_has_its_origin_where_asked(house):
    site = st.open_site(house, origin=(48.001, 11.0))
    assert (site.georeference.latitude, site.georeference.longitude) == (48.001, 11.0)
    assert site.vertices[:, 1].min() < -90


def test_a_fetched_map_is_kept_and_read_again(tmp_path, monkeypatch):
    """Without a network the first try leaves its query behind; the answer is then put in place by hand."""
    monkeypatch.setattr("sitetwin.site.maps.fetch.OVERPASS", "http://127.0.0.1:9/api")
    with pytest.raises(st.SiteTwinError):
        st.fetch_site("48.0001,11.0001", tmp_path / "kept", radius=60.0)
    corners = [(48.0, 11.0), (48.0, 11.0002), (48.0002, 11.0002), (48.0002, 11.0), (48.0, 11.0)]
    way = {"type": "way", "id": 5, "nodes": [1, 2, 3, 4, 1], "tags": {"building": "yes", "height": "10"}}
    way["geometry"] = [{"lat": lat, "lon": lon} for lat, lon in corners]
    (tmp_path / "kept" / "map.osm.json").write_text(json.dumps({"version": 0.6, "elements": [way]}))
    fetched = st.fetch_site("48.0001,11.0001", tmp_path / "kept", radius=60.0)
    read = st.open_site(tmp_path / "kept" / "map.osm.json", around=(48.0001, 11.0001), radius=60.0)
    assert fetched.geometry_hash == read.geometry_hash
    assert fetched.bounds[1, 2] == 10.0


@pytest.mark.parametrize("name", ["model.geojson", "model.city.json.gz"])
def test_a_city_model_under_the_name_of_a_map_is_named(tmp_path, name):
    data = json.dumps({"type": "CityJSON", "version": "1.1", "CityObjects": {}, "vertices": []}).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(st.SiteTwinError, match="is a city model"):
        st.open_site(tmp_path / name)
