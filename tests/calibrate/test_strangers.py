"""Worlds, priors and measurements as strangers bring them: right, said, or refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.calibrate.street import CARRIER, STATION, channels, street, traced, users

import sitetwin as st
from sitetwin.calibrate.channels import CalibrationSettings, Priors, calibrate_cell
from sitetwin.calibrate.channels.properties import PROPERTIES, MaterialTable, bounds
from sitetwin.calibrate.channels.spread import PathTaps
from sitetwin.channel.fields.fitted import say_fitted
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.measured import profiles_of_table, read_profiles
from sitetwin.measured.profiles import Profiles, profiles_of_csi
from sitetwin.site.latlon import to_geographic

BOTH = ("offset", "materials")


def calibrated(twin, world, stages=BOTH, count=24, **priors):
    paths = traced(twin, count=count, depth=1)
    profiles = profiles_of_csi(channels(world, paths, 2, subcarriers=128), taps=(-2, 60))
    return calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=stages, priors=Priors(**priors)))


def by_name(found):
    return {e.parameter.name: e for e in found.estimates}


def test_a_permittivity_far_from_its_prior_is_found_where_the_thickness_is_known():
    found = by_name(calibrated(street(5.0, 0.1), street(16.0, 0.1), thickness_log=0.0))
    for name in ("north", "south"):
        stone = found[f"relative_permittivity of {name} stone"]
        assert abs(stone.value - 16.0) < max(3 * stone.sd, 0.3)


def test_a_thickness_far_from_its_prior_is_found_where_the_permittivity_is_known():
    found = by_name(calibrated(street(5.0, 0.1), street(5.0, 0.3), permittivity_log=0.0))
    for name in ("north", "south"):
        stone = found[f"thickness of {name} stone"]
        assert abs(stone.value - 0.3) < max(3 * stone.sd, 0.005)


def test_slabs_are_scanned_where_materials_are_all_that_is_fitted():
    found = by_name(calibrated(street(5.0, 0.1), street(12.0, 0.1), ("materials",), thickness_log=0.0))
    stone = found["relative_permittivity of north stone"]
    assert abs(stone.value - 12.0) < max(3 * stone.sd, 0.3)


def test_a_building_without_paths_is_told_by_its_class():
    twin, world = street(rows=3, one=True), street(7.5, rows=3, one=True)
    found = by_name(calibrated(twin, world, (*BOTH, "buildings")))
    far = found["relative_permittivity of north stone@far"]
    assert far.own_ratio == pytest.approx(1.0)
    assert far.verdict == "by its class"
    assert not far.identified
    assert far.value == pytest.approx(found["relative_permittivity of north stone"].value)
    assert found["relative_permittivity of north stone"].own_ratio is None


def test_materials_of_one_name_are_told_apart():
    twin, world = street(), street(7.5, south=3.5)
    same = replace(twin, materials=tuple(replace(m, name="stone") for m in twin.materials))
    found, plain = by_name(calibrated(same, world)), by_name(calibrated(twin, world))
    for name, other in (("stone", "north stone"), ("stone_2", "south stone")):
        one = found[f"relative_permittivity of {name}"]
        assert one.value == plain[f"relative_permittivity of {other}"].value


def test_what_is_no_building_has_a_name_of_its_own():
    canyon = st.open_site("simple_street_canyon")
    stone = st.Material("stone", None, 5.0, 0.02)
    same = replace(canyon, materials=(stone,), facet_material=np.zeros_like(canyon.facet_material))
    table = MaterialTable.of(same, CARRIER, np.arange(same.num_facets), False, Priors())
    names = [p.name for p in table.parameters(Priors())]
    assert len(set(names)) == len(names)
    assert "relative_permittivity of stone (no building)" in names


@pytest.mark.parametrize("nominal", [1.01, 5.0, 79.0, 400.0])
def test_bounds_hold_a_range(nominal):
    low, high = bounds(PROPERTIES[0], nominal)
    assert low < high


@pytest.mark.parametrize(
    ("name", "value"),
    [("offset_db", 1e9), ("permittivity_log", 1e3), ("yaw_deg", 1e-12), ("users_m", -1.0), ("clock_ns", np.nan)],
)
def test_absurd_priors_are_refused(name, value):
    with pytest.raises(SiteTwinError, match=f"prior: {name} = .*or 0, which holds the parameter"):
        Priors(**{name: value})


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"priors": {"yaw_deg": "ten"}}, "prior yaw_deg is 'ten'; give a finite number"),
        ({"holdout_seed": -1}, "holdout_seed is -1; give a whole number"),
        ({"block_m": "wide"}, "block_m is 'wide'"),
        ({"noise_db": "low"}, "the noise is low dB"),
    ],
)
def test_choices_that_are_no_numbers_are_refused(choice, says):
    site = street()
    paths = traced(site, count=4, depth=1)
    data = channels(site, paths, 1, subcarriers=64)
    with pytest.raises(SiteTwinError, match=says):
        st.calibrate_site(site, data, tuple(STATION), max_depth=1, **choice)


def test_other_data_sets_are_refused():
    site = street()
    data = channels(site, traced(site, count=4, depth=1), 1, subcarriers=64)
    for other, says in (
        (data.drop_vars("csi"), "no measured channels or profiles"),
        (data.drop_vars(["x", "y", "z"]), "have no positions"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            st.calibrate_site(site, other, tuple(STATION), max_depth=1)


def test_degrees_in_place_of_metres_are_refused():
    site = replace(street(), georeference=st.site.Georeference(48.1, 11.5))
    data = channels(site, traced(site, count=6, depth=1), 1, subcarriers=64)
    globe = np.stack(to_geographic(site, np.stack([data["x"], data["y"]], axis=1)), axis=1)
    for first, second in ((0, 1), (1, 0)):
        wrong = data.assign(x=("sample", globe[:, first]), y=("sample", globe[:, second]))
        with pytest.raises(SiteTwinError, match="were given as metres and are degrees"):
            st.calibrate_site(site, wrong, tuple(STATION), max_depth=1)


def test_profiles_of_one_place_count_once():
    power = np.arange(1.0, 25.0).reshape(4, 1, 6)
    place = np.array([[3.0, 0, 1], [1.0, 0, 1], [3.0, 0, 1], [2.0, 0, 1]])
    given = Profiles(power, place, np.ones((4, 1)), CARRIER, 1e8, 0, 6)
    found = given.one_a_place()
    np.testing.assert_array_equal(found.positions[:, 0], [3.0, 1.0, 2.0])
    np.testing.assert_allclose(found.power[0], (power[0] + power[2]) / 2)
    np.testing.assert_array_equal(found.power[1:], power[[1, 3]])
    assert sum(found.left_out.values()) == 1
    assert found.one_a_place() is found


def test_a_drive_that_was_copied_tells_no_more():
    twin = street()
    data = channels(street(7.5), traced(twin, count=16, depth=1), 2, subcarriers=64)
    twice = data.isel(sample=np.repeat(np.arange(16), 2))
    given = {"fit": BOTH, "materials": "class", "max_depth": 1}
    one, two = (st.calibrate_site(twin, d, tuple(STATION), **given) for d in (data, twice))
    for a, b in zip(one.cell.estimates, two.cell.estimates, strict=True):
        assert (a.value, a.sd) == pytest.approx((b.value, b.sd), rel=1e-9)
    assert any("at the same place" in note for note in two.cell.notes)


def table(tmp_path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "power": rng.exponential(1e-9, (6, 16)),
        "delay_s": np.arange(16) * 1e-8,
        "position": users(6, 1),
        "carrier_hz": np.array(CARRIER),
    }
    np.savez(tmp_path / "p.npz", **{**arrays, **changes})
    return tmp_path / "p.npz"


@pytest.mark.parametrize(
    ("changes", "choices", "says"),
    [
        ({}, {"carrier_hz": 28e9}, "measured at 3500 MHz and 28000 MHz was given"),
        ({"carrier_hz": np.array(3.5)}, {}, "the carrier of the profiles is 3.5"),
        ({"delay_s": np.arange(16) * 1e-11}, {}, "check the unit of the delays"),
    ],
)
def test_tables_of_other_units_are_refused(tmp_path, changes, choices, says):
    with pytest.raises(SiteTwinError, match=says):
        profiles_of_table(read_profiles(table(tmp_path, **changes)), **choices)


def test_delays_where_no_path_arrives_are_refused(tmp_path):
    site = street()
    with pytest.raises(SiteTwinError, match="no path arrives within the delays"):
        st.calibrate_site(site, table(tmp_path, delay_s=(500 + np.arange(16)) * 1e-8), tuple(STATION), max_depth=1)


@pytest.mark.parametrize("repeats", [True, False])
def test_paths_behind_the_end_of_a_table_are_not_in_its_first_taps(repeats):
    profiles = Profiles(np.ones((1, 1, 16)), np.zeros((1, 3)), np.ones((1, 1)), CARRIER, 1e8, 0, 16, repeats=repeats)
    shares = PathTaps(profiles, np.zeros(2, dtype=np.int64), np.array([3.2, 24.0]), np.ones((2, 1, 1))).shares()
    each = shares.toarray().sum(axis=0)
    assert each[0] == pytest.approx(1.0, abs=1e-2)
    assert each[1] == pytest.approx(1.0 if repeats else 0.0, abs=1e-3)


def test_noise_and_clocks_that_contradict_the_taps_are_said():
    twin = street()
    paths = traced(twin, count=16, depth=1)
    data = channels(street(7.5), paths, 2, subcarriers=128)
    plain = profiles_of_csi(data)
    settings = CalibrationSettings(stages=BOTH)
    notes = calibrate_cell(twin, paths, plain, settings=settings).notes
    assert not any("noise" in note or "shifted" in note for note in notes)
    assert any("without diffraction" in note for note in notes)
    for factor, says in ((10.0, "10 dB above what the weakest taps hold"), (0.1, "hold 10 dB more than the noise")):
        wrong = replace(plain, noise=factor * plain.noise)
        assert any(says in note for note in calibrate_cell(twin, paths, wrong, settings=settings).notes)
    late = replace(plain, power=np.roll(plain.power, 12, axis=2))
    assert any("fit the clock" in note for note in calibrate_cell(twin, paths, late, settings=settings).notes)


def test_constants_that_were_fitted_at_one_carrier_are_said_at_another():
    twin, values = street(), {"north stone": {"relative_permittivity": 7.0, "carrier_hz": CARRIER}}
    fitted = twin.variant(material_values=values)
    paths = traced(twin, count=2, depth=1)
    st.channels(paths, fitted, carrier_hz=1.05 * CARRIER)
    with pytest.warns(SiteTwinWarning, match=r"found at 3.5 GHz and are used at 28 GHz"):
        st.channels(paths, fitted, carrier_hz=28e9)
    exchanged = fitted.variant(material_values={"north stone": {"relative_permittivity": 6.0, "conductivity": 0.1}})
    say_fitted(exchanged, 28e9)


def test_the_scattering_that_a_fit_assumed_is_in_its_site():
    twin = street()
    paths = traced(twin, count=12, depth=1, diffuse=3)
    data = channels(street(7.5, rough=0.2), paths, 2, subcarriers=64)
    found = st.calibrate_site(twin, data, tuple(STATION), fit=BOTH, materials="class", max_depth=1, diffuse_paths=3)
    assert all(m.scattering_coefficient == pytest.approx(0.2) for m in found.site.materials)
