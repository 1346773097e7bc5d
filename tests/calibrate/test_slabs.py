"""Pairs of permittivity and thickness of slabs."""

import numpy as np
import pytest
from tests.calibrate.street import channels, street, traced

from sitetwin.calibrate.channels import CalibrationSettings, Priors, calibrate_cell
from sitetwin.calibrate.channels.climbs import Climb, Peak, peaks_of
from sitetwin.calibrate.channels.likelihood import Contamination
from sitetwin.calibrate.channels.modes import Mode, Slab, Surroundings, axes_of, mixture, slabs_of
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.samples import Sample, sampled
from sitetwin.calibrate.channels.scoring import Fit
from sitetwin.calibrate.channels.slabs import Pairs, SlabScan, placed
from sitetwin.measured.profiles import profiles_of_csi


@pytest.fixture(scope="module")
def planted():
    twin = street(5.0, 0.1)
    paths = traced(twin, count=30, depth=1)  # single reflections: a scan leaves nothing out
    data = channels(street(6.2, 0.135), paths, 2)
    settings = CalibrationSettings(stages=("offset", "materials"))
    return calibrate_cell(twin, paths, profiles_of_csi(data, taps=(-2, 80)), settings=settings)


def test_the_scan_ends_as_high_as_the_planted_pair(planted):
    scorer, fit = planted.scorer, planted.fit
    parameters = list(fit.parameters)
    theta = fit.theta.copy()
    for slab in slabs_of(scorer, parameters, "materials"):
        theta[slab.permittivity] = placed(parameters[slab.permittivity], 6.2)
        theta[slab.thickness] = placed(parameters[slab.thickness], 0.135)
    best, there = (scorer.objective(parameters, t, fit.nuisance, fit.dispersion) for t in (fit.theta, theta))
    assert best > there - 1.0


def test_slabs_say_what_their_widths_leave_out(planted):
    said = "standard deviations of slabs hold the other pairs of one slab at a time"
    assert any(said in note for note in planted.notes)
    twin = street(5.0)
    paths = traced(twin, count=20, depth=1)
    profiles = profiles_of_csi(channels(street(6.2), paths, 2), taps=(-2, 80))
    found = calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=("offset", "materials")))
    assert not any("of slabs" in note for note in found.notes)


def test_the_scan_has_the_likelihood_of_the_twin(planted):
    scorer, fit = planted.scorer, planted.fit
    parameters = list(fit.parameters)
    slab = slabs_of(scorer, parameters, "materials")[0]
    scan = SlabScan(scorer, parameters, fit.theta, fit.nuisance, list(slab.entries))
    for permittivity, thickness in ((3.0, 0.07), (6.2, 0.2)):
        theta = fit.theta.copy()
        theta[slab.permittivity] = placed(parameters[slab.permittivity], permittivity)
        theta[slab.thickness] = placed(parameters[slab.thickness], thickness)
        whole = scorer.scores(parameters, theta, fit.nuisance).each[scan.rows].sum()
        quick = scan.log_likelihood(np.array([permittivity]), np.array([thickness]))
        assert quick[0] == pytest.approx(whole, rel=1e-6)


def test_peaks_are_local_maxima_best_first():
    height = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0], [2.0, 0.0, 0.0, 0.0]])
    pairs = Pairs(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3, 0.4]), height)
    assert pairs.peaks(5, 2.5) == [(2.0, 0.4), (3.0, 0.1), (1.0, 0.2)]
    assert pairs.peaks(5, 1.5) == [(2.0, 0.4), (3.0, 0.1)]


def test_a_slab_that_no_path_meets_has_nothing_to_scan():
    twin = street(5.0, 0.1, rows=3)
    paths = traced(twin, count=10, depth=1)
    profiles = profiles_of_csi(channels(twin, paths, 2), taps=(-2, 80))
    found = calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=("offset",)))
    far = [m.name for m in found.table.site.materials].index("far stone@far")
    scan = SlabScan(found.scorer, list(found.fit.parameters), found.fit.theta, found.fit.nuisance, [far])
    assert len(scan.observed) == 0


@pytest.fixture(scope="module")
def climb(planted):
    scorer, fit = planted.scorer, planted.fit
    parameters = list(fit.parameters)
    slab = slabs_of(scorer, parameters, "materials")[0]
    scan = SlabScan(scorer, parameters, fit.theta, fit.nuisance, list(slab.entries))
    return Climb(scan, axes_of(parameters, fit.theta, slab), fit.dispersion)


def test_a_peak_is_a_maximum_that_falls_as_its_covariance_says(climb):
    """One standard deviation along an axis of the covariance lies half a nat below."""
    best = peaks_of(climb, 3, 12.0)[0]
    assert climb.heights(best.at[None])[0] == pytest.approx(best.log_posterior, abs=1e-6)
    size, ways = np.linalg.eigh(best.covariance)
    for length, way in zip(np.sqrt(size)[:2], ways.T[:2], strict=True):  # along the widest one it is no normal law
        ends = climb.heights(best.at + np.array([[length], [-length]]) * way)
        assert best.log_posterior - ends.mean() == pytest.approx(0.5, abs=0.35)


class Ridge(Climb):
    """A curved posterior: x is normal, and y lies about its square."""

    WIDE, NARROW = 0.5, 0.1

    def __init__(self):
        self.centre, self.sd = np.zeros(2), np.ones(2)

    def heights(self, at):
        return -np.square(at[:, 0] / self.WIDE) / 2 - np.square((at[:, 1] - at[:, 0] ** 2) / self.NARROW) / 2


def test_a_sample_has_the_moments_of_a_curved_ridge():
    """The normal law at its peak has the variance 0.01 of y, where that of the ridge is 0.135."""
    top = np.zeros(2)
    peak = Peak(5.0, 0.1, 0.01, 0.0, top, np.diag([Ridge.WIDE**2, Ridge.NARROW**2]))
    sample = sampled(Ridge(), [peak], seed=3)
    weight = sample.weights(np.zeros(1))
    mean = weight @ sample.at
    spread = np.sqrt(weight @ (sample.at - mean) ** 2)
    np.testing.assert_allclose(mean, (0.0, Ridge.WIDE**2), atol=0.1)
    np.testing.assert_allclose(spread, np.sqrt((Ridge.WIDE**2, 2 * Ridge.WIDE**4 + Ridge.NARROW**2)), rtol=0.3)


def test_heights_of_modes_change_their_shares():
    """A mode that all parameters follow holds more of the posterior than one whose neighbours are kept."""
    sample = Sample(np.array([[0.0], [1.0]]), np.zeros(2), np.array([0, 1]))
    np.testing.assert_allclose(sample.weights(np.zeros(2)), (0.5, 0.5))
    np.testing.assert_allclose(sample.weights(np.array([0.0, np.log(3.0)])), (0.25, 0.75))


def test_modes_are_weighed_into_the_covariance():
    """Two modes of one parameter: the variance about the first is that of the mixture."""
    what = "relative_permittivity"
    one = Parameter(f"{what} of stone", what, "", "materials", 5.0, 0.5, "log", 1.0, 20.0, "")
    fit = Fit((one,), np.zeros(1), np.array([[0.01]]), Contamination(0.1, 0.01, -2.0), 1.0, 0.0)
    moment = np.array([[0.75 * 0.01 + 0.25 * (0.6**2 + 0.02)]])
    around = Surroundings(
        Slab((0,), 0, None, None, "stone"), (Mode(np.array([0.6]), -1.0, 0.25),), moment, fit.covariance
    )
    widened, (other,) = mixture(fit, [around])
    assert other.weight == pytest.approx(0.25)
    assert other.permittivity == pytest.approx(5.0 * np.exp(0.6))
    assert np.isnan(other.thickness)
    assert widened.covariance[0, 0] == pytest.approx(moment[0, 0])


@pytest.mark.parametrize(("permittivity", "thickness", "seed"), [(8.0, 0.16, 5), (3.0, 0.1, 12)])
def test_two_slabs_are_found_together(permittivity, thickness, seed):
    """Taps hold both rows of houses: a pair of one is judged well only where the other's is right."""
    twin = street(5.0, 0.12)
    paths = traced(twin, count=40, depth=2)
    true = street(permittivity, thickness, south=6.5)
    profiles = profiles_of_csi(channels(true, paths, seed), taps=(-2, 80))
    found = calibrate_cell(twin, paths, profiles, settings=CalibrationSettings(stages=("offset", "materials")))
    known = {e.parameter.name: e for e in found.estimates}
    for row, value in (("north", permittivity), ("south", 6.5)):
        for what, planted_value in (("relative_permittivity", value), ("thickness", thickness)):
            one = known[f"{what} of {row} stone"]
            assert abs(one.value - planted_value) < 3 * one.sd


def test_a_far_permittivity_with_a_held_thickness():
    twin = street(5.0, 0.1)
    paths = traced(twin, count=30, depth=1)
    profiles = profiles_of_csi(channels(street(16.0, 0.1), paths, 7), taps=(-2, 80))
    settings = CalibrationSettings(stages=("offset", "materials"), priors=Priors(thickness_log=0.0))
    found = calibrate_cell(twin, paths, profiles, settings=settings)
    for row in ("north", "south"):
        one = next(e for e in found.estimates if e.parameter.name == f"relative_permittivity of {row} stone")
        assert abs(one.value - 16.0) < 3 * one.sd
    assert not any("nan" in note for note in found.notes)
