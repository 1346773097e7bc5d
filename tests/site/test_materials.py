"""P.2040-4: values from the fact that formulas and Sionna RT agree, edges, policies."""

import warnings

import pytest

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Material, itu_material
from sitetwin.site.materials import ITU_TABLE


@pytest.mark.parametrize(
    ("name", "frequency_ghz", "eps", "sigma"),
    [
        ("concrete", 3.5, 5.24, 0.123),
        ("brick", 28, 3.91, 0.0406),
        ("marble", 3.5, 7.07, 0.0176),
        ("glass", 60, 6.31, 0.867),
        ("plasterboard", 60, 2.73, 0.398),
        ("medium_dry_ground", 3.5, 13.2, 0.27),
        ("wet_ground", 3.5, 18.2, 0.765),
        ("asphalt_concrete", 28, 4.83, 1.13),
        ("metal", 3.5, 1.0, 1e7),
    ],
)
def test_known_values(name: str, frequency_ghz: float, eps: float, sigma: float) -> None:
    got = itu_material(name).evaluate(frequency_ghz * 1e9, "error")
    assert got == pytest.approx((eps, sigma), rel=0.006)


def test_first_listed_range_wins() -> None:
    assert itu_material("wood").evaluate(150e9, "error")[0] == 1.82
    assert itu_material("wood").evaluate(105e9, "error")[0] == 2.1183
    assert itu_material("floorboard").evaluate(300e9, "error")[1] == pytest.approx(2.22e-17 * 300**7.3413)


@pytest.mark.parametrize("name", ITU_TABLE)
def test_both_bands_agree_with_sionna(name: str) -> None:
    itu = pytest.importorskip("sitetwin.backend").mitsuba() and __import__(
        "sionna.rt.radio_materials.itu", fromlist=["ITU_MATERIALS_PROPERTIES"]
    )
    theirs = [(*band, *map(float, row)) for band, row in itu.ITU_MATERIALS_PROPERTIES[name].items()]
    ours = [(r.low_ghz, r.high_ghz, r.a, r.b, r.c, r.d) for r in ITU_TABLE[name]]
    assert ours == theirs
    assert set(ITU_TABLE) == set(itu.ITU_MATERIALS_PROPERTIES)


def test_edges_are_inside_with_a_relative_tolerance_of_1e_6() -> None:
    marble = itu_material("marble")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        marble.evaluate(60e9 * (1 + 0.9e-6))
    with pytest.raises(SiteTwinError, match="1-60"):
        marble.evaluate(60e9 * (1 + 2e-6), "error")


def test_clamp_takes_the_nearest_edge_and_says_so() -> None:
    concrete = itu_material("concrete")
    with pytest.warns(SiteTwinWarning, match="1 GHz are used"):
        low = concrete.evaluate(0.751e9)
    assert low == concrete.evaluate(1e9)
    with pytest.warns(SiteTwinWarning, match="110 GHz are used"):
        assert concrete.evaluate(108e9) == concrete.evaluate(110e9)


def test_extrapolation_continues_the_formula_but_never_for_grounds() -> None:
    with pytest.warns(SiteTwinWarning, match="extrapolated"):
        assert itu_material("brick").evaluate(60e9, "extrapolate")[1] == pytest.approx(0.0238 * 60**0.16)
    with pytest.raises(SiteTwinError, match="use another model"):
        itu_material("wet_ground").evaluate(28e9, "extrapolate")


def test_unknown_name_lists_close_ones() -> None:
    with pytest.raises(SiteTwinError, match="did you mean concrete"):
        itu_material("concret")


def test_constants_hold_at_every_frequency() -> None:
    own = Material("own", relative_permittivity=3.0, conductivity=0.1, thickness=0.2, scattering_coefficient=0.4)
    assert own.evaluate(1e6) == own.evaluate(1e12) == (3.0, 0.1)
    assert Material.from_dict(own.to_dict()) == own


@pytest.mark.parametrize(
    "wrong",
    [
        {"itu": "concrete", "conductivity": 1.0},
        {"relative_permittivity": 2.0},
        {"relative_permittivity": 0.5, "conductivity": 0.0},
        {"relative_permittivity": float("nan"), "conductivity": 0.0},
        {"itu": "concrete", "thickness": 0.0},
        {"itu": "concrete", "scattering_coefficient": 1.5},
        {"itu": "concrete", "scattering_pattern": "shiny"},
        {"itu": "concrete", "alpha_r": 0},
        {"itu": "concrete", "alpha_i": 101},
        {"itu": "concrete", "forward_share": -0.1},
    ],
)
def test_bad_materials_are_refused(wrong: dict) -> None:
    with pytest.raises(SiteTwinError):
        Material("x", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": {}},
        {"name": "x", "itu": []},
        {"name": "x", "itu": "concrete", "thickness": 10**400},
        {"name": "x", "itu": "concrete", "thickness": "0.1"},
        {"name": "x", "itu": "concrete", "alpha_r": None},
        {"name": "x", "itu": "concrete", "scattering_coefficient": True},
        {"name": "x", "itu": "concrete", "scattering_pattern": 3},
    ],
)
def test_stored_values_of_the_wrong_type_are_refused(wrong: dict) -> None:
    with pytest.raises(SiteTwinError):
        Material.from_dict(wrong)


@pytest.mark.parametrize("frequency_hz", [0.0, -1e9, float("nan"), float("inf")])
def test_bad_frequencies_are_refused(frequency_hz: float) -> None:
    with pytest.raises(SiteTwinError, match="frequency"):
        itu_material("concrete").evaluate(frequency_hz)
