"""Loss in leaves and scattering by canopies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import (
    CanopyScattering,
    Cost235,
    FieldOptions,
    FituR,
    NonzeroGradient,
    Weissberger,
    Woodland,
    foliage_loss_db,
    foliage_model,
    path_gains,
    trunk_loss_db,
)
from sitetwin.channel.fields.canopy import projected_areas
from sitetwin.channel.fields.foliage import volumes_in_leaf
from sitetwin.channel.fields.trunks import wood_db_per_m
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation
from tests.channel.worlds import make_paths, plane_site

GHZ = 1e9
MODELS = [
    (Woodland(), 3.5 * GHZ),
    (Woodland("mulhouse"), 1 * GHZ),
    (Weissberger(), 28 * GHZ),
    (FituR(), 20 * GHZ),
    (Cost235(), 20 * GHZ),
    (NonzeroGradient(), 28 * GHZ),
    (NonzeroGradient(20.0), 60 * GHZ),
]


def metres(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("model", "frequency"), MODELS)
@pytest.mark.parametrize("in_leaf", [True, False])
def test_no_depth_no_loss_and_more_depth_more_loss(model, frequency, in_leaf):
    loss = model(torch.linspace(0, 150, 400, dtype=torch.float64), frequency, in_leaf)
    assert loss[0] == 0
    # Weissberger's two branches meet within 0.3 %
    assert bool((torch.diff(loss) > -0.004 * loss[1:]).all())


@pytest.mark.parametrize(
    ("model", "frequency", "depth", "expected"),
    [
        (Weissberger(), 3.5 * GHZ, 10.0, 6.42),
        (Weissberger(), 28 * GHZ, 10.0, 11.6),
        (Weissberger(), 60 * GHZ, 10.0, 14.4),
        (FituR(), 28 * GHZ, 10.0, 37.6),
        (Cost235(), 28 * GHZ, 10.0, 25.9),
    ],
)
def test_published_values(model, frequency, depth, expected):
    assert float(model(metres(depth), frequency)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("frequency", "in_leaf", "bare"), [(28, 24.7, 11.4), (60, 24.0, 10.8)])
def test_the_non_zero_gradient_in_leaf_and_out(frequency, in_leaf, bare):
    """10 m of trees, 2 m2 of them lit."""
    for leaves, expected in ((True, in_leaf), (False, bare)):
        assert float(NonzeroGradient()(metres(10.0), frequency * GHZ, leaves)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("frequency", [5, 6, 10, 28, 60])
def test_the_non_zero_gradient_bends_from_its_first_slope_to_its_last(frequency, leaves):
    model = NonzeroGradient()
    first, last, k = model.constants(frequency * GHZ, leaves)
    assert first > last > 0
    near, far = (model(metres(d, d + 1e-3), frequency * GHZ, leaves) for d in (0.0, 5000.0))
    assert float(near.diff()) / 1e-3 == pytest.approx(first, rel=1e-3)
    assert float(far.diff()) / 1e-3 == pytest.approx(last, rel=1e-3)
    assert float(far[0]) == pytest.approx(5000 * last + k, rel=1e-6)


def test_the_default_does_not_jump_where_it_changes_hands():
    """Woodland and non-zero gradient at 6 GHz over a crown; a wider beam loses less."""
    woodland, gradient = (float(m(metres(10.0), 6 * GHZ)) for m in (Woodland(), NonzeroGradient()))
    assert abs(woodland - gradient) < 1.0
    losses = [float(NonzeroGradient(area)(metres(20.0), 28 * GHZ)) for area in (0.5, 2.0, 10.0, 100.0)]
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(SiteTwinError, match="illuminated area of 0"):
        NonzeroGradient(0.0)


def test_woodland_begins_at_gamma_and_ends_at_its_limit():
    model = Woodland()
    assert float(model(metres(1e-6), 3.5 * GHZ)) / 1e-6 == pytest.approx(0.7, rel=1e-4)
    assert float(model(metres(1e5), 3.5 * GHZ)) == pytest.approx(1.37 * 3500**0.42)
    assert model.limit_db(2.1175e9) == pytest.approx(34.1, abs=0.1)
    assert model.specific_db_per_m(30e6) == pytest.approx(0.02, rel=1e-6)


@given(st.floats(0.0, 300.0))
def test_bare_trees_take_less(depth):
    for model, frequency in MODELS[:3]:
        assert float(model(metres(depth), frequency, False)) <= float(model(metres(depth), frequency, True))


def test_extrapolation_is_said():
    with pytest.warns(SiteTwinWarning, match="extrapolated to 60 GHz"):
        Woodland()(metres(5.0), 60 * GHZ)
    with pytest.warns(SiteTwinWarning, match="extrapolated to 500 m"):
        Weissberger()(metres(500.0), 3.5 * GHZ)
    with pytest.warns(SiteTwinWarning, match="cost235"):
        Cost235()(metres(5.0), 3.5 * GHZ)
    with pytest.warns(SiteTwinWarning, match="nzg"):
        NonzeroGradient()(metres(5.0), 3.5 * GHZ)


def test_default_by_frequency_and_unknown_names():
    assert foliage_model("default", 3.5 * GHZ).name.startswith("woodland")
    assert foliage_model("default", 28 * GHZ).name == foliage_model("default", 60 * GHZ).name == "nzg"
    assert foliage_model("default", 73 * GHZ).name == "weissberger"
    with pytest.raises(SiteTwinError, match="unknown"):
        foliage_model("jungle", GHZ)
    with pytest.raises(SiteTwinError, match="unknown"):
        Woodland("black forest")


@pytest.fixture
def grove():
    """A leafy and an evergreen crown on a line between transmitter and user."""
    crowns = (
        Ellipsoid((20.0, 0.0, 5.0), (4.0, 4.0, 4.0), leaf_cycle="deciduous"),
        Cylinder((60.0, 0.0), 3.0, 0.0, 12.0, leaf_type="needleleaved", leaf_cycle="evergreen"),
    )
    vegetation = Vegetation(crowns).with_scatter_centres(5, np.random.default_rng(0))
    site = plane_site([], vegetation=vegetation)
    paths = make_paths(
        [0, 0, 5],
        [[100.0, 0, 5], [100.0, 50, 5]],
        site,
        [[[]], [[]]],
        crossings=[(0, 0, 16.0, 24.0), (0, 1, 57.0, 63.0)],
    )
    return site, paths


def test_loss_along_a_path(grove):
    site, paths = grove
    model = Woodland()
    loss = foliage_loss_db(paths, site.vegetation, 3.5 * GHZ)
    assert loss[0].item() == pytest.approx(float(model(metres(14.0), 3.5 * GHZ)))
    assert loss[1].item() == 0
    winter = foliage_loss_db(paths, site.vegetation, 3.5 * GHZ, season="winter")[0].item()
    expected = 8 / 14 * model(metres(14.0), 3.5 * GHZ, False) + 6 / 14 * model(metres(14.0), 3.5 * GHZ, True)
    assert winter == pytest.approx(float(expected))
    assert list(volumes_in_leaf(site.vegetation, "winter")) == [False, True]


@pytest.fixture
def tree():
    """A crown on a trunk; one path runs through the crown, one through the trunk, one through both."""
    volumes = (
        Ellipsoid((50.0, 0.0, 8.0), (4.0, 4.0, 4.0)),
        Cylinder((50.0, 0.0), 0.2, 0.0, 4.0, part="trunk"),
    )
    site = plane_site([], vegetation=Vegetation(volumes))
    crossings = [(0, 0, 46.0, 54.0), (1, 1, 49.8, 50.2), (2, 0, 46.0, 54.0), (2, 1, 60.0, 60.3)]
    paths = make_paths(
        [0, 0, 5], [[100.0, 0, 5], [100.0, 9, 5], [100.0, 20, 5]], site, [[[]], [[]], [[]]], crossings=crossings
    )
    return site, paths


def test_a_trunk_is_wood_in_every_season(tree):
    """dB per metre from the complex propagation constant in wood, and not from the leaves around it."""
    site, paths = tree
    f = 3.5 * GHZ
    eta = complex(1.99, -0.0047 * 3.5**1.0718 / (2 * math.pi * f * 8.8541878188e-12))
    gamma = 1j * 2 * math.pi * f / 299_792_458.0 * eta**0.5
    assert wood_db_per_m(f) == pytest.approx(-20 * math.log10(abs(np.exp(-gamma))), rel=1e-9)
    np.testing.assert_allclose(trunk_loss_db(paths, site.vegetation, f), np.array([0, 0.4, 0.3]) * wood_db_per_m(f))
    leaves = foliage_loss_db(paths, site.vegetation, f)
    np.testing.assert_allclose(leaves, np.array([1, 0, 1]) * float(Woodland()(metres(8.0), f)))
    clear = path_gains(paths, site, f, options=FieldOptions(foliage=None), dtype=torch.complex128).values.flatten()
    summer, winter = (
        path_gains(paths, site, f, options=FieldOptions(season=s), dtype=torch.complex128).values.flatten()
        for s in ("summer", "winter")
    )
    assert summer[1] == winter[1]
    np.testing.assert_allclose((summer / clear).abs()[2], 10 ** (-(leaves[2] + 0.3 * wood_db_per_m(f)) / 20))
    assert winter[2].abs() > summer[2].abs()


@given(st.floats(0.1e9, 95e9), st.floats(1.01, 1.2))
def test_wood_takes_more_at_higher_frequencies(frequency, factor):
    assert wood_db_per_m(frequency * factor) > wood_db_per_m(frequency) > 0


def test_gain_falls_by_the_loss_and_by_nothing_else(grove):
    site, paths = grove
    leafy = path_gains(paths, site, 3.5 * GHZ, dtype=torch.complex128).values.flatten()
    clear = path_gains(
        paths, site, 3.5 * GHZ, options=FieldOptions(foliage=None), dtype=torch.complex128
    ).values.flatten()
    loss = foliage_loss_db(paths, site.vegetation, 3.5 * GHZ)
    ratio = leafy / clear
    assert ratio[0].item() == pytest.approx(10 ** (-loss[0].item() / 20))
    assert ratio[1].item() == pytest.approx(1)


def test_paths_of_another_grove_are_refused(grove):
    _, paths = grove
    with pytest.raises(SiteTwinError, match="canopy 1"):
        foliage_loss_db(paths, Vegetation((Ellipsoid((0, 0, 5), (1, 1, 1)),)), 3.5 * GHZ)


def test_mean_projected_areas():
    """Cauchy: a quarter of the surface; the sphere's is its disc."""
    square = ExtrudedPolygon(((0, 0), (2, 0), (2, 2), (0, 2)), 0.0, 2.0)
    vegetation = Vegetation((Ellipsoid((0, 0, 9), (3.0, 3.0, 3.0)), Cylinder((0, 0), 1.0, 0.0, 4.0), square))
    np.testing.assert_allclose(
        projected_areas(vegetation), [math.pi * 9, (2 * math.pi * 4 + 2 * math.pi) / 4, 24 / 4], rtol=1e-12
    )


def test_single_scattering_follows_the_radar_equation():
    vegetation = Vegetation(
        (Ellipsoid((30.0, 40.0, 5.0), (2.0, 2.0, 2.0)),), np.array([[30.0, 40.0, 5.0]]), np.array([0])
    )
    site = plane_site([], vegetation=vegetation)
    paths = make_paths([0, 0, 5], [[60.0, 0, 5]], site, [[[("canopy", 0)]]])
    scattering = CanopyScattering(albedo=0.5, seed=3)
    f = 3.5 * GHZ
    gain = path_gains(paths, site, f, options=FieldOptions(canopy=scattering), dtype=torch.complex128).values.item()
    wavelength, sigma = 299_792_458.0 / f, 0.5 * math.pi * 4
    assert paths.length[0] == pytest.approx(100)
    power = wavelength**2 * sigma / ((4 * math.pi) ** 3 * 50**2 * 50**2)
    assert abs(gain) ** 2 == pytest.approx(power, rel=1e-9)
    phase = -2 * math.pi * f * 100 / 299_792_458.0 + scattering.phases(1)[0, 0]
    assert math.remainder(math.atan2(gain.imag, gain.real) - phase, 2 * math.pi) == pytest.approx(0, abs=1e-6)


def test_centres_share_their_canopy_and_winter_scatters_less(grove):
    site, _ = grove
    scattering = CanopyScattering(albedo=0.4)
    sigma = scattering.cross_sections(site.vegetation, np.array([True, True]))
    areas = projected_areas(site.vegetation)
    np.testing.assert_allclose(np.bincount(site.vegetation.scatter_volume, sigma), 0.4 * areas)
    bare = scattering.cross_sections(site.vegetation, np.array([False, True]))
    assert (bare[:5] < sigma[:5]).all()
    np.testing.assert_array_equal(bare[5:], sigma[5:])


def test_phases_belong_to_the_centre_and_its_seed():
    a, b = CanopyScattering(seed=1).phases(1000), CanopyScattering(seed=1).phases(10)
    np.testing.assert_array_equal(a[:10], b)
    assert not np.allclose(a, CanopyScattering(seed=2).phases(1000))
    assert abs(np.exp(1j * a[:, 0]).mean()) < 0.1  # spread over the circle
    assert (a >= 0).all()
    assert (a < 2 * np.pi).all()


def test_depolarisation_keeps_power():
    coupling = CanopyScattering(cross_polar_ratio_db=6.0).couplings(50)
    np.testing.assert_allclose((np.abs(coupling) ** 2).sum(axis=1), 1)
    ratio = np.abs(coupling[:, 0, 0]) ** 2 / np.abs(coupling[:, 1, 0]) ** 2
    np.testing.assert_allclose(10 * np.log10(ratio), 6.0)


def test_albedo_outside_its_range():
    with pytest.raises(SiteTwinError, match="albedo"):
        CanopyScattering(albedo=1.5)
