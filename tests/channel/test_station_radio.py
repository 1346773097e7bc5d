"""The file of a station: what is written is read back, for every array and pattern that has a name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sitetwin.channel import AntennaArray, Radio, StationRadio, Tr38901, read_station_radio
from sitetwin.channel.antennas.names import named_array
from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import read_transmitters

NAMES = ("single", "single:VH", "single:cross", "ula:4", "ula:3:H", "upa:2x4", "upa:4x2:cross")


@pytest.mark.parametrize("array", NAMES)
@pytest.mark.parametrize("pattern", ["iso", "dipole", "hw_dipole", "tr38901"])
def test_a_station_goes_to_a_file_and_back(tmp_path, array, pattern):
    radio = Radio(named_array(array, pattern), (0.3, -0.1, 0.02))
    station = StationRadio.of((1.25, -3.5, 10.0), radio)
    (tmp_path / "station.toml").write_text(station.text())
    read = read_station_radio(tmp_path / "station.toml")
    back = read.radio()
    assert read.position == (1.25, -3.5, 10.0)
    assert torch.equal(back.array.positions, radio.array.positions)
    assert back.array.slants == radio.array.slants
    assert type(back.array.pattern) is type(radio.array.pattern)
    torch.testing.assert_close(torch.tensor(back.orientation), torch.tensor(radio.orientation), atol=1e-7, rtol=0)
    assert read_transmitters([str(tmp_path / "station.toml")]) == [[1.25, -3.5, 10.0]]


def test_a_beam_width_is_kept(tmp_path):
    array = replace(named_array("ula:4"), pattern=replace(Tr38901(), beamwidth_deg=80.0))
    station = StationRadio.of((0, 0, 10), Radio(array))
    assert station.radio().array.pattern == replace(Tr38901(), beamwidth_deg=80.0)


def test_what_has_no_name_is_given_again():
    odd = AntennaArray.ula(4, spacing=0.7)
    station = StationRadio.of((0, 0, 10), Radio(odd))
    assert station.array is None
    with pytest.raises(SiteTwinError, match="names no array; give the array"):
        station.radio()
    assert station.radio("ula:4").array.num_antennas == 4
    with pytest.raises(SiteTwinError, match="names its pattern, iso; leave out the other one, dipole"):
        station.radio("ula:4", "dipole")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("= 3", "no TOML"),
        ("yaw_deg = 3", "'position'"),
        ("position = [1, 2]", "'position"),
        ("position = [1, 2, nan]", "position"),
        ("position = [1, 2, 3]\nyaw = 3", "'yaw' is unknown; it may hold position, yaw_deg"),
        ("position = [1, 2, 3]\ndowntilt_deg = 120", "'downtilt_deg'"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, text, says):
    (tmp_path / "station.toml").write_text(text)
    with pytest.raises(SiteTwinError, match=says):
        read_station_radio(tmp_path / "station.toml")


@pytest.mark.parametrize(
    "text", ["yaw_deg = 3", "position = [1, 2]", 'position = ["a", 2, 3]', "position = [1, 2, inf]"]
)
def test_a_transmitter_needs_a_position(tmp_path, text):
    (tmp_path / "station.toml").write_text(text)
    with pytest.raises(SiteTwinError, match=r"position"):
        read_transmitters([str(tmp_path / "station.toml")])


def test_a_pattern_without_a_name_is_asked_for():
    station = StationRadio(position=(0, 0, 10), array="ula:2")
    with pytest.raises(SiteTwinError, match="names no pattern; give the pattern"):
        station.radio()
    assert isinstance(station.radio(pattern="tr38901").array.pattern, Tr38901)


def test_a_beam_width_needs_its_pattern(tmp_path):
    (tmp_path / "s.toml").write_text('position = [1, 2, 3]\narray = "ula:2"\npattern = "iso"\nbeamwidth_deg = 50')
    with pytest.raises(SiteTwinError, match="only the pattern tr38901"):
        read_station_radio(tmp_path / "s.toml").radio()
