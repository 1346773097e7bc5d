"""Coherence of paths: against phases of paths traced anew to displaced places, and in what priors make of it."""

from dataclasses import replace

import numpy as np
import pytest

from sitetwin.channel import AntennaArray, OfdmGrid, Radio, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MixedPrior,
    PathPrior,
    PositionErrors,
    PriorMixture,
    generic_prior,
    observe_pilots,
    path_prior,
    phase_coherence,
    pilot_tones,
)
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import open_site
from tests.link.worlds import complex_normal

CARRIER, STATION = 751e6, np.array([-40.0, 0.0, 12.0])
USERS = np.array([[-5.0, 2.0, 1.5], [30.0, -3.0, 1.5]])
GRID = OfdmGrid(CARRIER, 16, 600e3)
OFFSETS = GRID.index.numpy() * GRID.spacing_hz
RADIO = Radio(AntennaArray.ula(4))


@pytest.fixture(scope="module")
def street():
    site = open_site("simple_street_canyon")
    return site, trace(site, STATION, USERS, TraceSettings(max_depth=2))


def every_path(paths):
    most = int(paths.counts.max())
    return np.broadcast_to(np.arange(most), (paths.num_users, most))


def test_coherence_follows_the_lengths_of_paths_that_are_traced_to_displaced_ends(street):
    site, paths = street
    errors, step, slopes = PositionErrors(0.03, 0.1, 0.0), 1e-3, []
    for end, axes, sd in ((0, 3, errors.transmitter_m), (1, 2, errors.users_m)):
        for axis in range(axes):
            shift = step * np.eye(3)[axis]
            moved = trace(site, STATION + (1 - end) * shift, USERS + end * shift, TraceSettings(max_depth=2))
            np.testing.assert_array_equal(moved.facets, paths.facets)
            slopes.append(sd * (moved.length - paths.length) / step)
    change = 2 * np.pi * CARRIER / 299_792_458.0 * np.array(slopes)
    found = phase_coherence(paths, CARRIER, errors, every_path(paths))
    for user in range(2):
        own = change[:, slice(*paths.offsets[user : user + 2])]
        apart = ((own[:, :, None] - own[:, None, :]) ** 2).sum(axis=0)
        np.testing.assert_allclose(found[user, : own.shape[1], : own.shape[1]], np.exp(-apart / 2), atol=2e-3)
    assert found.min() < 0.9  # some pairs do lose their phases


def test_walls_turn_phases_by_twice_their_displacement_and_the_ground_does_not(street):
    _, paths = street
    found = phase_coherence(paths, CARRIER, PositionErrors(0, 0, 0.02), every_path(paths))
    wave = 2 * np.pi * CARRIER / 299_792_458.0
    for user in range(2):
        rows = np.arange(*paths.offsets[user : user + 2])
        for place, row in enumerate(rows):
            if (paths.kinds[row] > 0).sum() != 1:
                continue
            turn = paths.departure[row] + paths.arrival[row]  # the direction before less that after the one vertex
            change = wave * 0.02 * np.linalg.norm(turn[:2])
            assert found[user, 0, place] == pytest.approx(np.exp(-(change**2) / 2), rel=1e-6)
            if abs(turn[2]) > 1e-6:
                assert found[user, 0, place] == pytest.approx(1, abs=1e-9)  # over the ground


@pytest.mark.filterwarnings("ignore:ITU-R")
def test_priors_with_a_coherence_have_the_covariance_written_out(street):
    site, paths = street
    gains = path_gains(paths, site, CARRIER, RADIO)
    prior = path_prior(paths, gains, GRID, errors=PositionErrors(0.05, 0.1, 0.1), max_paths=4).scaled()
    turns = np.exp(-2j * np.pi * prior.delays[:, :, None] * OFFSETS)
    every = (prior.gains[:, :, :, None] * turns[:, :, None, :]).reshape(2, 4, -1)
    whole = np.einsum("upx,upq,uqy->uxy", every, prior.coherence, every.conj())
    tones = pilot_tones(16, 2)
    heard = (np.arange(4)[:, None] * 16 + tones).ravel()
    np.testing.assert_allclose(prior.covariance_with(tones), whole[:, :, heard], atol=1e-12)
    assert np.trace(prior.covariance(), axis1=1, axis2=2).real == pytest.approx(4)
    rng = np.random.default_rng(1)
    observed, variance = observe_pilots(complex_normal(rng, 2, 4, 16), tones, 10.0, rng)
    inner = whole[:, heard][:, :, heard] + variance * np.eye(8)
    exact = (whole[:, :, heard] @ np.linalg.solve(inner, observed.reshape(2, 8, 1)))[..., 0]
    np.testing.assert_allclose(prior.estimate(observed, tones, variance).reshape(2, -1), exact, atol=1e-9)
    generic = generic_prior(GRID, RADIO, 50e-9)
    mixed = MixedPrior(prior, generic, 0.2).estimate(observed, tones, variance)
    mixture = PriorMixture.even(prior, [generic], (0.2,)).estimate(observed, tones, variance)
    np.testing.assert_allclose(mixture, mixed, atol=1e-9)
    alone = replace(prior, coherence=None)
    assert np.abs(alone.estimate(observed, tones, variance) - prior.estimate(observed, tones, variance)).max() > 1e-3
    strongest = path_prior(paths, gains, GRID, max_paths=4)
    np.testing.assert_allclose(strongest.delays, prior.delays)  # the same paths in the same order


def test_drawn_channels_have_the_covariance_and_nothing_known_is_random_phases():
    rng = np.random.default_rng(2)
    gains, delays = complex_normal(rng, 1, 3, 4), rng.random((1, 3)) * 1e-7
    together = np.array([[[1, 0.8, 0.1], [0.8, 1, 0.1], [0.1, 0.1, 1]]])
    prior = PathPrior(
        np.repeat(gains, 20_000, 0), np.repeat(delays, 20_000, 0), OFFSETS, np.repeat(together, 20_000, 0)
    )
    drawn = prior.draw(rng)[:, :, 3]
    exact = prior.select_users([0]).covariance_with(np.array([3])).reshape(4, 16, 4)[:, 3]
    np.testing.assert_allclose(drawn.T @ drawn.conj() / len(drawn), exact, atol=0.25)
    known, nothing = (PathPrior(gains, delays, OFFSETS, one) for one in (np.eye(3)[None], None))
    np.testing.assert_allclose(known.covariance(), nothing.covariance())
    np.testing.assert_allclose(known.scaled().gains, nothing.scaled().gains)


def test_impossible_errors_and_coherences_are_refused():
    with pytest.raises(SiteTwinError, match=r"walls_m is -1\.0; give a standard deviation"):
        PositionErrors(0.1, 0.1, -1.0)
    gains, delays = np.ones((1, 2, 4), complex), np.zeros((1, 2))
    for together in (2 * np.eye(2)[None], np.array([[[1, 2], [2, 1.0]]])):
        with pytest.raises(SiteTwinError, match="coherence of the shape"):
            PathPrior(gains, delays, OFFSETS, together)
