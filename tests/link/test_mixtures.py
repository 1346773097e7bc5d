"""Mixtures of priors: their limits, what they learn of planted users, and that nothing single does better."""

from dataclasses import replace

import numpy as np
import pytest

from sitetwin.channel import OfdmGrid, Radio
from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MixedPrior,
    PathPrior,
    PriorMixture,
    SeparablePrior,
    generic_prior,
    observe_pilots,
    pilot_tones,
)
from tests.link.worlds import complex_normal

GRID = OfdmGrid(3.5e9, 16, 600e3)
OFFSETS = GRID.index.numpy() * GRID.spacing_hz
RADIO = Radio(AntennaArray.ula(4))
GENERICS = tuple(generic_prior(GRID, RADIO, spread) for spread in (20e-9, 200e-9))


def twin_of(users, rng, paths=3):
    gains = complex_normal(rng, users, paths, 1) * np.exp(1j * np.pi * rng.random((users, paths, 1)) * np.arange(4))
    return PathPrior(gains, rng.random((users, paths)) * 400e-9, OFFSETS).scaled()


def drawn(twin, generic, wrong, rng):
    """Channels of the twin's paths with Gaussian weights, or, of wrong users, of the law for anywhere."""
    own = twin._responses(complex_normal(rng, *twin.delays.shape))
    factor = np.linalg.cholesky(np.kron(generic.space, generic.frequency) + 1e-9 * np.eye(64))
    other = (complex_normal(rng, len(own), 64) @ factor.T).reshape(own.shape)
    return np.where(wrong[:, None, None], other, own)


@pytest.mark.parametrize(("share", "pilots"), [(0.2, 1), (0.2, 3), (1.0, 2)])
def test_one_share_alone_is_the_mixed_prior(share, pilots):
    rng = np.random.default_rng(0)
    twin = twin_of(5, rng)
    tones = pilot_tones(16, pilots)
    observed, variance = observe_pilots(twin.draw(rng), tones, 10.0, rng)
    mixture = PriorMixture.even(twin, GENERICS[:1], (share,))
    single = MixedPrior(twin, GENERICS[0], share).estimate(observed, tones, variance)
    np.testing.assert_allclose(mixture.estimate(observed, tones, variance), single, rtol=1e-9, atol=1e-12)


def test_planted_shares_are_found_and_the_estimate_is_better_than_any_single_one():
    rng = np.random.default_rng(1)
    wrong = rng.random(300) < 0.3
    twin = twin_of(300, rng)
    channel = drawn(twin, GENERICS[1], wrong, rng)
    tones = pilot_tones(16, 4)
    observed, variance = observe_pilots(channel, tones, 15.0, rng)
    even = PriorMixture.even(twin, GENERICS, (0.01, 1.0))
    found = even.fitted(observed, tones, variance)
    assert found.probabilities[1, 1] == pytest.approx(wrong.mean(), abs=0.06)
    assert found.probabilities[:, 0].sum() == pytest.approx(1 - wrong.mean(), abs=0.06)
    assert found.probabilities[0, 1] < 0.04  # the other delay spread
    assert found.generic_share == pytest.approx(wrong.mean(), abs=0.06)
    others = twin_of(300, rng)
    channel = drawn(others, GENERICS[1], wrong, rng)
    for pilots in (1, 4):
        tones = pilot_tones(16, pilots)
        observed, variance = observe_pilots(channel, tones, 15.0, rng)

        def error(prior, observed=observed, tones=tones, variance=variance):
            return float(np.mean(np.abs(prior.estimate(observed, tones, variance) - channel) ** 2))

        singles = [error(MixedPrior(others, GENERICS[1], share)) for share in (0.01, 0.05, 0.2, 0.5, 1.0)]
        assert error(found.of_users(others)) < 0.97 * min(singles)


def test_users_are_taken_in_parts_of_bounded_size(monkeypatch):
    rng = np.random.default_rng(2)
    twin = twin_of(7, rng)
    tones = pilot_tones(16, 2)
    observed, variance = observe_pilots(twin.draw(rng), tones, 10.0, rng)
    mixture = PriorMixture.even(twin, GENERICS).fitted(observed, tones, variance)
    whole = mixture.estimate(observed, tones, variance)
    monkeypatch.setattr("sitetwin.link.mixtures._AT_ONCE", 1)
    np.testing.assert_allclose(mixture.estimate(observed, tones, variance), whole, rtol=1e-12)
    again = PriorMixture.even(twin, GENERICS).fitted(observed, tones, variance)
    np.testing.assert_allclose(again.probabilities, mixture.probabilities, rtol=1e-9)


def test_what_is_no_mixture_is_refused():
    twin = twin_of(2, np.random.default_rng(3))
    with pytest.raises(SiteTwinError, match="give one or more above 0, 1 at most"):
        PriorMixture.even(twin, GENERICS, (0.0, 0.5))
    with pytest.raises(SiteTwinError, match="make all for one array and grid"):
        PriorMixture.even(twin, [SeparablePrior(np.eye(3, dtype=complex), np.eye(16, dtype=complex))])
    with pytest.raises(SiteTwinError, match="make all for one array and grid"):
        PriorMixture.even(twin, [])
    with pytest.raises(SiteTwinError, match="that add up to 1"):
        replace(PriorMixture.even(twin, GENERICS), probabilities=np.ones((2, 5)))
    with pytest.raises(SiteTwinError, match=r"the twin's prior has a mean power of 4 per antenna, not 1; scale it"):
        PriorMixture.even(replace(twin, gains=2 * twin.gains), GENERICS)
    strong = SeparablePrior(3 * GENERICS[0].space, GENERICS[0].frequency)
    with pytest.raises(SiteTwinError, match="a generic prior has a mean power of 3 per antenna"):
        PriorMixture.even(twin, [GENERICS[0], strong])
    mixture = PriorMixture.even(twin, GENERICS)
    with pytest.raises(SiteTwinError, match="the prior is of 2 users"):
        mixture.estimate(np.zeros((3, 4, 1), complex), np.array([0]), 0.1)
