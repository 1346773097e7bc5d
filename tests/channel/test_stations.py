"""Stations from words and files: what is understood, and one sentence for everything else."""

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import Radio
from sitetwin.channel.stations import GeographicStation, Station, named_stations, parse_station, read_stations
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Pose

GOOD = {"position": [1.0, 2.0, 30.0], "eirp_dbm": 46}


def test_words_and_files_say_the_same(tmp_path):
    text = "name=north position=1,2,30 eirp_dbm=46 yaw_deg=90 downtilt_deg=6 pattern=tr38901 load=0.5 subcarriers=612"
    (tmp_path / "s.toml").write_text(
        '[[stations]]\nname = "north"\nposition = [1, 2.0, 30]\neirp_dbm = 46\nyaw_deg = 90\ndowntilt_deg = 6\n'
        'pattern = "tr38901"\nload = 0.5\nsubcarriers = 612\n'
    )
    entry = {**GOOD, "name": "north", "yaw_deg": 90, "downtilt_deg": 6}
    entry |= {"pattern": "tr38901", "load": 0.5, "subcarriers": 612}
    (tmp_path / "s.json").write_text(json.dumps({"stations": [entry]}))
    one = parse_station(text)
    assert read_stations(tmp_path / "s.toml") == [one]
    assert read_stations(tmp_path / "s.json") == [one]
    assert one.downlink.power_dbm == pytest.approx(46 - 8)


def test_a_pattern_file_lies_beside_the_list(tmp_path):
    (tmp_path / "p.msi").write_text(
        "NAME x\nFREQUENCY 3500\nGAIN 15 dBi\nHORIZONTAL 360\n"
        + "".join(f"{a} 0\n" for a in range(360))
        + "VERTICAL 360\n"
        + "".join(f"{a} 0\n" for a in range(360))
    )
    (tmp_path / "s.json").write_text(json.dumps({"stations": [{**GOOD, "pattern": "p.msi"}]}))
    (station,) = named_stations(read_stations(tmp_path / "s.json"))
    assert station.downlink.power_dbm == pytest.approx(46 - 15)
    assert station.name == "BS1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("position=1,2 eirp_dbm=46", "'position.2' is missing|'position'"),
        ("position=1,2,3", "'eirp_dbm' is missing"),
        ("position=1,2,3 eirp_dbm=46 tilt=3", "'tilt' is unknown; known are name, position"),
        ("position=1,2,3 eirp_dbm=46 eirp_dbm=47", "given twice"),
        ("position=1,2,3 eirp_dbm", "no key=value"),
        ("position=1,2,nan eirp_dbm=46", "'position.2'"),
        ("position=1,2,3 eirp_dbm=hot", "'eirp_dbm'"),
        ("position=1,2,3 eirp_dbm=46 load=1.5", "'load'"),
        ("position=1,2,3 eirp_dbm=inf", "'eirp_dbm'"),
        ("position=1,2,3 eirp_dbm=46 name=a,b", "'name'"),
        ("", "'position' is missing"),
        ("position=1,2,3 eirp_dbm=46 carrier_hz=3.5", "carrier_hz is 3.5; .*3.5e9 is 3.5 GHz"),
        ("position=1,2,3 eirp_dbm=460", "'eirp_dbm' is 460; give a number from -100 to 150"),
        ("position=1,2,3 eirp_dbm=46 spacing_hz=30", "spacing_hz is 30.0; give a number from 100 .* 30e3 is 30 kHz"),
        ("position=1,2,3 eirp_dbm=nan", "'eirp_dbm' is nan; give a number from -100 to 150"),
    ],
)
def test_bad_words(text, said):
    with pytest.raises(SiteTwinError, match=said) as error:
        parse_station(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("s.toml", b"[[stations]\n", "is no TOML"),
        ("s.toml", b"\xff\xfe", "is no TOML"),
        ("s.json", b"{", "is no well-formed JSON"),
        ("s.json", b"[" * 100_000, "of its JSON too deeply"),
        ("s.json", b"[]", "one list named 'stations'"),
        ("s.json", b'{"stations": [], "more": 1}', "one list named 'stations'"),
        ("s.json", b'{"stations": [3]}', "station 1"),
        ("s.json", b'{"stations": [{"position": [1, 2, 3], "eirp_dbm": 46, "pasword": 1}]}', "'pasword' is unknown"),
        ("s.yaml", b"", "give a .toml or a .json"),
        ("s.json", b" " * (2**20 + 1), "larger than 1 MiB"),
    ],
)
def test_bad_files(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SiteTwinError, match=said):
        read_stations(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SiteTwinError, match="cannot be read"):
        read_stations(tmp_path / "none.toml")


def test_the_list_as_a_whole():
    one = Station(**GOOD)
    assert [s.name for s in named_stations([one, one])] == ["BS1", "BS2"]
    with pytest.raises(SiteTwinError, match="no station"):
        named_stations([])
    with pytest.raises(SiteTwinError, match="named 'BS2'"):
        named_stations([one.model_copy(update={"name": "BS2"}), one])
    with pytest.raises(SiteTwinError, match="pattern 'cone' is unknown"):
        named_stations([one.model_copy(update={"pattern": "cone"})])
    with pytest.raises(SiteTwinError, match="does not fit"):
        named_stations([one.model_copy(update={"carrier_hz": 1e6})])


@given(st.text(max_size=60))
def test_any_words_give_a_station_or_a_sentence(text):
    with contextlib.suppress(SiteTwinError):  # whatever else is raised fails the test
        assert isinstance(parse_station(text), Station)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*Station.model_fields]), inner),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_stations_or_a_sentence(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("j") / "s.json"
    path.write_text(json.dumps({"stations": [value]}))
    with contextlib.suppress(SiteTwinError):
        assert isinstance(read_stations(path)[0], Station)


def test_a_station_takes_the_pose_that_a_rule_or_an_error_gives():
    pose = Pose((1.0, 2.0, 30.0)).facing((20.0, 2.0, 1.5))
    station = Station(position=(0, 0, 10), eirp_dbm=46).at(pose)
    assert station.position == pose.position
    assert station.pose.orientation == pytest.approx(pose.orientation)
    assert np.allclose(station.radio.orientation, pose.orientation)
    assert station.eirp_dbm == 46
    turned = station.at(Pose(pose.position, 3.5 * math.pi, 0.1, -0.2))
    assert turned.yaw_deg == pytest.approx(-90.0)
    assert turned.roll_deg == pytest.approx(math.degrees(-0.2))
    with pytest.raises(SiteTwinError, match="downtilt_deg"):
        station.at(Pose(pose.position, 0.0, 2.0))


@pytest.mark.parametrize(("azimuth", "yaw"), [(0, 90), (90, 0), (120, -30), (180, -90), (270, 180), (-45, 135)])
def test_azimuths_count_from_north_clockwise(azimuth, yaw):
    station = parse_station(f"position=1,2,3 eirp_dbm=46 azimuth_deg={azimuth}")
    assert math.cos(math.radians(station.yaw_deg - yaw)) == pytest.approx(1)
    turned = Radio("single", azimuth_deg=azimuth).orientation
    assert math.cos(turned[0] - math.radians(yaw)) == pytest.approx(1)


def test_power_gain_and_loss_make_the_radiated_power():
    given = "position=1,2,3 power_dbm=43 cable_loss_db=2.5 pattern=tr38901"
    assert parse_station(given).eirp_dbm == pytest.approx(43 - 2.5 + 8, abs=0.01)
    assert parse_station(f"{given} gain_dbi=8.2").eirp_dbm == pytest.approx(43 - 2.5 + 8.2)
    with pytest.warns(SiteTwinWarning, match=r"gain_dbi is 17, but the pattern tr38901 has a peak of 8\.0 dBi"):
        assert parse_station(f"{given} gain_dbi=17").eirp_dbm == pytest.approx(57.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("position=1,2,3 eirp_dbm=4 power_dbm=3", "power_dbm and eirp_dbm both"),
        ("position=1,2,3 eirp_dbm=4 cable_loss_db=3", "cable_loss_db says nothing beside eirp_dbm"),
        ("position=1,2,3 power_dbm=4 cable_loss_db=-3", "cable_loss_db is '-3'; give a number from 0"),
        ("position=1,2,3 power_dbm=4 gain_dbi=17", "0 dBi in every direction"),
        ("position=1,2,3 eirp_dbm=4 azimuth_deg=3 yaw_deg=1", "azimuth_deg .* and yaw_deg"),
        ("position=1,2,3 eirp_dbm=4 azimuth_deg=nan", "azimuth_deg is 'nan'"),
        ("position=1,2,3 latitude=4 eirp_dbm=4", "position and latitude both"),
        ("latitude=4 longitude=5 eirp_dbm=4", "'height_m' is missing"),
        ("latitude=94 longitude=5 height_m=3 eirp_dbm=4", "latitude is '94'"),
        ("latitude=4 longitude=5 height_m=3 above=sea eirp_dbm=4", "choose ground or roof"),
        ("position=latlon:48,11 eirp_dbm=4", "latlon:LAT,LON,HEIGHT"),
    ],
)
def test_stations_said_twice_or_by_half_are_refused(text, said):
    with pytest.raises(SiteTwinError, match=said) as error:
        parse_station(text)
    assert "\n" not in str(error.value)


def test_files_and_texts_name_the_same_places_by_degrees(tmp_path):
    (tmp_path / "s.toml").write_text(
        '[[stations]]\nlatitude=48.1\nlongitude=11.5\nheight_m=3\nabove="roof"\neirp_dbm=46\n'
        '[[stations]]\nposition="latlon:48.1,11.5,roof+3"\neirp_dbm=46\n'
    )
    text = parse_station("position=latlon:48.1,11.5,roof+3 eirp_dbm=46")
    assert read_stations(tmp_path / "s.toml") == [text, text]
    assert GeographicStation(48.1, 11.5, 3, above="roof", eirp_dbm=46) == text
    assert named_stations([text])[0].name == "BS1"


def test_a_station_in_python_is_refused_in_the_same_words():
    with pytest.raises(SiteTwinError, match=r"carrier_hz is 3.5; .*3.5e9 is 3.5 GHz"):
        Station(**{**GOOD, "carrier_hz": 3.5})
    with pytest.raises(SiteTwinError, match="'pasword' is unknown"):
        Station(**GOOD, pasword=1)
