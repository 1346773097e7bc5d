"""Stages of a calibration are kept where users that they were not fitted to agree."""

import numpy as np
import pytest
import torch
from tests.calibrate.street import channels, street, traced

from sitetwin.calibrate.channels import CalibrationSettings, Priors, calibrate_cell
from sitetwin.calibrate.channels.cell import blocks_of, pose_parameters
from sitetwin.calibrate.channels.geometry import Geometry
from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.properties import MaterialTable, facets_met
from sitetwin.calibrate.channels.scoring import Scorer
from sitetwin.calibrate.channels.stages import _judged, _LeftOut, climb
from sitetwin.channel import AntennaArray, FieldOptions, Radio, path_gains
from sitetwin.measured.profiles import profiles_of_csi

RADIO = Radio(AntennaArray.ula(2))


def made(world, twin, count=60, **choices):
    """A twin of channels of a world, the scorer of all users, and the twin's free parameters."""
    paths = traced(twin, count, depth=choices.get("depth", 2), diffuse=choices.get("diffuse", 0))
    data = channels(world, paths, 2, RADIO)
    profiles = profiles_of_csi(data, RADIO.array, taps=(-2, 80))
    priors = Priors(**choices.get("priors", {}))
    table = MaterialTable.of(twin, profiles.carrier_hz, facets_met(paths, twin), paths.scatters_diffusely, priors)
    whole = ChannelTwin(paths, table, profiles, RADIO, Radio(), FieldOptions())
    parameters = [*pose_parameters(priors, RADIO), *table.parameters(priors)]
    scorer = Scorer(whole, np.ones(count, dtype=bool), blocks_of(profiles.positions, 10.0))
    return whole, scorer, parameters


@pytest.fixture(scope="module")
def planted():
    return made(street(7.5, south=3.5), street(), priors={"tilt_deg": 0.0, "height_m": 0.0})


def test_a_stage_that_explains_left_out_users_is_kept_and_says_by_how_much(planted):
    _, scorer, parameters = planted
    found = climb(scorer, parameters, ("offset", "materials"), 0.0, 0)
    assert found.stages == ("offset", "materials")
    trial = found.trials[1]
    assert trial.kept
    assert trial.nats_per_tap > 0.1
    assert trial.why == "left-out users are explained better"


def test_a_stage_of_which_nothing_is_wrong_is_not_worth_its_noise():
    twin = street(one=True)
    data = channels(twin, traced(twin, 60), 4, snr_db=5.0)
    profiles = profiles_of_csi(data, taps=(-2, 80))
    settings = CalibrationSettings(stages=("offset", "materials", "buildings"))
    found = calibrate_cell(twin, traced(twin, 60), profiles, settings=settings)
    assert "buildings" not in found.stages
    dropped = {trial.stage: trial for trial in found.trials if not trial.kept}
    assert "left-out" in dropped["buildings"].why
    assert set(found.stages) == {trial.stage for trial in found.trials} - set(dropped)


def test_one_step_without_a_fold_is_where_a_fit_without_it_ends(planted):
    twin, scorer, parameters = planted
    own = [p for p in parameters if p.what in ("offset_db", "relative_permittivity")]
    fit = scorer.fit(own, np.zeros(len(own)), scorer.nuisance())
    fold = np.arange(2)
    guess = scorer.without(fit, (), [fold])[0]
    users = ~np.isin(
        blocks_of(twin.profiles.positions, 10.0), np.unique(blocks_of(twin.profiles.positions, 10.0))[fold]
    )
    exact = Scorer(twin, users, blocks_of(twin.profiles.positions, 10.0)).fit(own, fit.theta, fit.nuisance)
    sd = np.sqrt(np.diag(fit.covariance))
    assert (np.abs(guess - exact.theta) < 0.7 * sd).all()
    assert (np.abs(exact.theta - fit.theta) > 0.05 * sd).any()  # the fold had told something


def test_slopes_are_those_of_finite_differences_at_moved_ends():
    twin, _, parameters = made(
        street(7.5), street(5.0, rough=0.3, one=True), 20, depth=1, diffuse=5, priors={"users_m": 1.0}
    )
    rng = np.random.default_rng(3)
    theta = np.array([0.05 * rng.standard_normal() if p.entries else 0.2 * rng.standard_normal() for p in parameters])
    values = twin.table.values(parameters, theta)
    twin.anchored(values)
    law = twin.law(parameters, theta)
    slopes = twin.derivatives(parameters, theta, law)
    for at, one in enumerate(parameters):
        ends = []
        for sign in (1.0, -1.0):
            there = theta.copy()
            there[at] += sign * 1e-4
            twin.anchored(twin.table.values(parameters, there))
            ends.append(twin.law(parameters, there).signal)
        wanted = (ends[0] - ends[1]) / 2e-4 / law.mean
        assert np.linalg.norm(slopes[:, at] / law.mean - wanted) < 0.1 * np.linalg.norm(wanted), one.name


def test_powers_of_moved_ends_are_exact_at_the_materials_that_are_anchored():
    twin, _, parameters = made(street(7.5), street(), 20, depth=1)
    theta = np.array([0.3 if p.what.startswith("station") else 0.1 if p.entries else 0.0 for p in parameters])
    values, geometry = twin.table.values(parameters, theta), Geometry.of(parameters, theta)
    twin.anchored(values)
    tensors = {name: torch.from_numpy(v) for name, v in values.items() if name != "scattering_coefficient"}
    options = FieldOptions(transmitter_offset=torch.tensor(geometry.station, dtype=torch.float64), **tensors)
    site, carrier = twin.table.site, twin.profiles.carrier_hz
    exact = (
        path_gains(twin.paths, site, carrier, RADIO, Radio(), options, dtype=torch.complex128).power[:, 0, 0].numpy()
    )
    assert twin.powers(values, geometry) == pytest.approx(exact, rel=1e-9)
    twin.anchored(twin.table.values([], np.zeros(0)))
    assert twin.powers(values, geometry) == pytest.approx(exact, rel=0.05)  # near enough for a step


def test_faint_paths_leave_powers_and_what_is_found_nearly_as_they_were():
    twin, scorer, parameters = made(street(7.5, rough=0.2), street(5.0, rough=0.2), 40, depth=2, diffuse=10)
    own = [p for p in parameters if p.what in ("offset_db", "relative_permittivity")]
    light = twin.lighter(0.0)
    assert light.paths.num_paths < 0.9 * twin.paths.num_paths
    laws = [one.law([], np.zeros(0)) for one in (twin, light)]
    assert laws[1].mean == pytest.approx(laws[0].mean, rel=1e-9)
    other = Scorer(light, np.ones(40, dtype=bool), blocks_of(twin.profiles.positions, 10.0))
    fits = [one.fit(own, np.zeros(len(own)), one.nuisance()) for one in (scorer, other)]
    sd = np.sqrt(np.diag(fits[0].covariance))
    assert (np.abs(fits[1].theta - fits[0].theta) < 0.5 * sd).all()


@pytest.mark.parametrize(
    ("stage", "nats", "power", "kept"),
    [
        ("materials", 0.02, 0.0, True),
        ("materials", -0.001, 0.0, True),  # within what blocks differ
        ("buildings", -0.001, 0.0, False),
        ("buildings", 0.005, 0.0, False),  # within what blocks differ: many parameters for little
        ("buildings", 0.005, -0.5, True),
        ("buildings", 0.02, 0.0, True),
        ("materials", -0.05, -0.5, False),
        ("materials", 0.02, 0.5, False),  # likelier taps, but powers are worse
        ("materials", 0.02, 0.03, True),
        ("pose", -0.05, 0.5, True),
    ],
)
def test_taps_and_powers_of_left_out_blocks_decide(stage, nats, power, kept):
    rng = np.random.default_rng(5)
    ten, uneven = np.full(8, 10.0), 0.003 * (rng.random(8) - 0.5)
    before = _LeftOut(np.zeros(8), np.full(8, 2.0), ten)
    after = _LeftOut(nats + uneven - uneven.mean() + np.tile([0.01, -0.01], 4), 2.0 + power + uneven, ten)
    assert _judged(stage, before, after).kept == kept


def test_where_no_power_stands_out_of_the_noise_nothing_judges():
    silent = _LeftOut(np.zeros(8), np.zeros(8), np.zeros(8))
    trial = _judged("materials", silent, silent)
    assert trial.kept
    assert "too few" in trial.why
