"""Pairs of permittivity and thickness of slabs."""

import numpy as np
import pytest
from tests.calibrate.street import channels, street, traced

from sitetwin.calibrate.channels import CalibrationSettings, calibrate_cell
from sitetwin.calibrate.channels.modes import slabs_of
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
