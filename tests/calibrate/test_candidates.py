"""Materials are those of the fit unless others are clearly better for users that no fit knew."""

import json

import numpy as np
import pytest
from tests.calibrate.street import STATION, channels, street, traced

import sitetwin as st
from sitetwin.calibrate.channels import CalibrationSettings, Priors, calibrate_cell
from sitetwin.calibrate.channels.candidates import FITTED, OWN, Choice, _best, _Tried
from sitetwin.calibrate.channels.geometry import Geometry
from sitetwin.calibrate.channels.likelihood import Contamination
from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.properties import MaterialTable, facets_met
from sitetwin.calibrate.channels.scoring import Fit
from sitetwin.channel import FieldOptions, Radio
from sitetwin.measured.profiles import profiles_of_csi
from sitetwin.site import SurfaceMaterials, itu_material

BRICK = {"MC3": SurfaceMaterials("concrete", "brick", "wood")}
STAGES = ("offset", "materials")


def found_in(world, twin, **choices):
    paths = traced(twin, count=60, depth=2)
    profiles = profiles_of_csi(channels(world, paths, 2), taps=(-2, 80))
    return calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=STAGES, **choices))


@pytest.fixture(scope="module")
def bricks():
    """A world of bricks, and a twin of damp stone whose prior does not let it become brick."""
    twin = street(30.0)
    narrow = Priors(permittivity_log=1e-3, conductivity_log=1e-3)
    return found_in(twin.variant(surfaces=BRICK["MC3"]), twin, priors=narrow, ready=BRICK)


def test_the_fit_is_taken_where_it_is_right_and_all_are_told():
    found = found_in(street(14.0), street(5.0))
    names = [one.name for one in found.candidates]
    assert OWN in names
    assert sum(name.startswith("MC") for name in names) == 3
    assert [one.chosen for one in found.candidates] == [name == FITTED for name in names]
    errors = [one.error_db for one in found.candidates]
    assert errors == sorted(errors)
    assert all((one.noise_db > 0) == (not one.chosen) for one in found.candidates)
    assert not any("in place of the fit" in note for note in found.notes)


def test_ready_made_materials_are_taken_where_they_are_right(bricks):
    chosen = next(one for one in bricks.candidates if one.chosen)
    assert chosen.name == "MC3 (concrete, brick, wood)"
    fitted = next(one for one in bricks.candidates if one.name == FITTED)
    assert fitted.behind_db > 2 * fitted.noise_db
    assert any("MC3" in note and "in place of the fit" in note for note in bricks.notes)
    permittivity, _ = itu_material("brick").evaluate(3.5e9)
    walls = np.abs(bricks.table.site.facet_normal[:, 2]) < 0.5
    values = bricks.table.values(bricks.fit.parameters, bricks.fit.theta)["relative_permittivity"]
    assert values[bricks.table.site.facet_material[walls]] == pytest.approx(permittivity)
    before, after = bricks.held_out.errors_db
    assert after < before


def test_what_was_not_fitted_keeps_its_prior(bricks):
    rows = [e for e in bricks.estimates if e.parameter.what == "relative_permittivity"]
    assert rows
    assert all(e.ratio == pytest.approx(1.0) and e.value == e.parameter.nominal for e in rows)


def test_without_ready_made_ones_the_site_and_the_fit_are_left():
    found = found_in(street(7.5), street(5.0), ready={})
    assert {one.name for one in found.candidates} >= {FITTED, OWN}
    assert not any(one.name.startswith("MC") for one in found.candidates)


@pytest.mark.parametrize("stages", [("offset",), ("materials",)])
def test_nothing_is_chosen_where_no_materials_or_no_constant_are_fitted(stages):
    twin = street()
    paths = traced(twin, count=40, depth=1)
    profiles = profiles_of_csi(channels(street(7.5), paths, 2), taps=(-2, 80))
    found = calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=stages))
    assert found.candidates == ()


@pytest.mark.parametrize(("gain", "uneven", "taken"), [(0.3, 0.1, "MC1"), (0.02, 0.5, FITTED), (-0.3, 0.1, FITTED)])
def test_another_candidate_must_be_better_by_more_than_blocks_differ(bricks, gain, uneven, taken):
    twin = bricks.scorer.twin
    block = np.repeat(np.arange(8), 5)
    by_block = np.tile([1.0, -1.0], 4)[block]
    fit = Fit((), np.zeros(0), np.zeros((0, 0)), Contamination(0.1, 0.01, -2.0), 1.0, 0.0)
    away = 2.0 + 0.01 * np.arange(40.0)
    tried = [_Tried(FITTED, twin, fit, 1.0, away), _Tried("MC1", twin, fit, 1.0, -(away - gain + uneven * by_block))]
    assert _best(tried, block).name == taken


def test_a_part_of_the_change_is_told_with_the_rest_as_its_width(bricks):
    stone = Parameter("stone", "relative_permittivity", "", "materials", 5.0, 0.5, "log", 1.0, 20.0, "", (0,))
    offset = Parameter("offset_db", "offset_db", "dB", "offset", 0.0, 20.0, "linear", -400.0, 400.0, "")
    fit = Fit((offset, stone), np.array([3.0, 0.4]), np.diag([1.0, 0.01]), Contamination(0.1, 0.01, -2.0), 1.0, 0.0)
    taken = Choice(bricks.scorer.twin, fit, 0.5).taken(fit)
    assert taken.theta.tolist() == [3.0, 0.2]
    assert np.diag(taken.covariance) == pytest.approx([1.0, 0.01 + 0.2**2])


@pytest.mark.parametrize("station", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.1)])
def test_powers_at_other_materials_of_one_row_are_those_of_a_new_evaluation(station):
    twin = street(5.0, 0.1)
    paths = traced(twin, count=15, depth=2)
    profiles = profiles_of_csi(channels(twin, paths, 2), taps=(-2, 80))
    table = MaterialTable.of(twin, profiles.carrier_hz, facets_met(paths, twin), scatters=False, priors=Priors())
    known, fresh = (ChannelTwin(paths, table, profiles, Radio(), Radio(), FieldOptions()) for _ in range(2))
    geometry = Geometry(station=station)
    entries = tuple(np.flatnonzero(table.class_of == 0).tolist())
    before = table.values([], np.zeros(0))
    after = {name: v.copy() for name, v in before.items()}
    after["relative_permittivity"][list(entries)] = 9.0
    known.gains_meeting(entries, before, geometry)  # prepares the paths that meet them
    old = known.powers(before, geometry)
    new = known.powers(after, geometry)
    assert new == pytest.approx(fresh.powers(after, geometry), rel=1e-9)
    assert (np.abs(new - old) > 1e-3 * old).any()
    assert (new == old).any()


def test_ready_made_materials_reach_the_site_the_page_and_the_document(tmp_path):
    twin = street(30.0)
    paths = traced(twin, count=60, depth=2)
    data = channels(twin.variant(surfaces=BRICK["MC3"]), paths, 2)
    narrow = {"permittivity_log": 1e-3, "conductivity_log": 1e-3}
    found = st.calibrate_site(twin, data, tuple(STATION), fit=STAGES, priors=narrow, max_depth=2)
    walls = np.abs(found.site.facet_normal[:, 2]) < 0.5
    made_of = {found.site.materials[i].itu for i in found.site.facet_material[walls]}
    assert made_of == {"brick"}
    folder = st.write_calibration(found, tmp_path / "calibrated")
    document = json.loads((folder / "calibration.json").read_text())
    assert [one["name"] for one in document["candidates"] if one["chosen"]] == ["MC3 (concrete, brick, wood)"]
    assert "wall material" in [entry["what"] for entry in document["differences"]]
    assert "| MC3 (concrete, brick, wood) | " in (folder / "summary.md").read_text()
    again = st.open_site(str(folder / "site"))
    assert again.materials == found.site.materials
