"""What the paper does not have: the twin as statistics of a channel, with random phases of its paths.

A centimetre turns the phase of a path, so a map cannot know it; directions, delays and powers it can. Nothing here is
trained but how far the twin's paths are to be trusted: validation users choose the probabilities of a mixture of the
twin's covariance with those of laws for anywhere, and the delay spread of the generic prior that stands beside it. The
power of each subcarrier is fixed for all methods, for which MRT and MMSE are one precoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import FieldOptions, OfdmGrid, Radio, path_gains
from sitetwin.learn import block_split
from sitetwin.link import (
    LinkCurve,
    PathPrior,
    PriorMixture,
    SeparablePrior,
    covariance_precoder,
    generic_prior,
    observe_pilots,
    path_prior,
    pilot_tones,
    semi_analytic,
    unit_power,
)
from sitetwin.studies.precoding.channels import data_subcarriers, quiet, responses
from sitetwin.studies.precoding.config import PrecodedLink, PrecodingStudy
from sitetwin.studies.precoding.judge import Judge, Judgement
from sitetwin.studies.precoding.worlds import World

PILOT_SNR_DB = 10.0
"""SNR of a pilot of one antenna."""

PILOTS = (1, 4)

SPREADS_S = (5e-9, 10e-9, 20e-9, 50e-9, 100e-9, 200e-9, 400e-9)
"""Delay spreads that a generic prior chooses from."""

LEARNT_TONES = 8
"""Subcarriers of validation users whose measured channels tell how far the twin is to be trusted."""

_PATHS = 64  # strongest paths of a user that make its statistics
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class StatisticsUsers:
    """Users whom the tracer reaches in both worlds, and what is known of them.

    Attributes:
        truth: (users, antennas, taps) complex64, true channels.
        measured: The same as the drive test reports them.
        heard: Those of the twin.
        rows: (users) int64, rows among the users of the worlds.
    """

    truth: Tensor
    measured: Tensor
    heard: Tensor
    rows: np.ndarray

    def take(self, some: Tensor) -> StatisticsUsers:
        """Some of the users."""
        return StatisticsUsers(self.truth[some], self.measured[some], self.heard[some], self.rows[some.numpy()])


def judge_statistics(
    study: PrecodingStudy,
    twin: World,
    target: World | None,
    users: StatisticsUsers,
    positions: Tensor,
    carrier_hz: float,
    seed: int,
) -> tuple[dict[str, Judgement], float]:
    """Judge precoders that use the twin as statistics, alone or with pilots, on blocks of space.

    Args:
        study: The configuration.
        twin: The twin.
        target: The target, whose path powers bound what any covariance can give; None where channels were measured.
        users: Users whom the target reaches; those whom either world's own tracer does not reach are left out.
        positions: (users, 3) float64, reported positions.
        carrier_hz: Carrier frequency, Hz.
        seed: Draws the blocks of validation and the noise of the pilots.

    Returns:
        A judgement of each method on the users outside the blocks of validation; and the mean share of covariances for
        anywhere in the twin's prior, as validation users chose it.
    """
    worlds = [twin] if target is None else [twin, target]
    traced = np.logical_and.reduce([one.paths.counts[users.rows] > 0 for one in worlds])
    some = torch.from_numpy(traced).nonzero()[:, 0]
    users, sizes = users.take(some), study.evaluation
    split = block_split(
        positions[some], torch.Generator().manual_seed(seed), sizes.block_m, sizes.guard_m, _VALIDATION_SHARE
    )
    validation, test = users.take(split.test), users.take(split.train)
    judge = Judge(study.link, test.truth, "mrt", "subcarrier")
    channel = unit_power(responses(study.link, test.truth))
    prior = _prior(study, twin, test.rows, carrier_hz)
    found = {"genie": judge.of_curve(judge.genie)}
    found["twin's channel"] = judge.of_channels(test.heard, 1.0, test.truth)
    found["twin's covariance"] = judge.of_curve(_beamed(judge, channel, prior))
    if target is not None:
        true = _prior(study, target, test.rows, carrier_hz)
        found["true path powers"] = judge.of_curve(_beamed(judge, channel, true))
    known = unit_power(responses(study.link, validation.measured))
    generator = np.random.default_rng([seed, 18, round(carrier_hz / 1e3)])
    generics = [_generic(study.link, twin.radio, spread) for spread in SPREADS_S]
    tones = pilot_tones(channel.shape[2], min(LEARNT_TONES, channel.shape[2]))
    mixture = PriorMixture.even(_prior(study, twin, validation.rows, carrier_hz), generics)
    mixture = mixture.fitted(*_heard(known, tones, generator)).of_users(prior)
    umi = _generic(study.link, twin.radio, umi_delay_spread_s(carrier_hz))
    for pilots in PILOTS:
        tones = pilot_tones(channel.shape[2], pilots)
        generic = _best(generics, known, tones, generator)
        observed = _heard(channel, tones, generator)
        for label, one in (("twin's prior", mixture), ("generic prior", generic), ("3GPP UMi prior", umi)):
            curve = judge.curve(one.estimate(*observed))
            found[f"{label}, {pilots} pilot{'s' if pilots > 1 else ''}"] = judge.of_curve(curve)
    return found, mixture.generic_share


def umi_delay_spread_s(carrier_hz: float) -> float:
    """Median delay spread of 3GPP TR 38.901, table 7.5-6, urban micro cells in line of sight, 2 GHz at least."""
    return float(10 ** (-0.24 * np.log10(1 + max(carrier_hz / 1e9, 2.0)) - 7.14))


def _heard(channel: np.ndarray, tones: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """What is heard of pilots at some tones, these tones, and the variance of the noise."""
    observed, variance = observe_pilots(channel, tones, PILOT_SNR_DB, rng)
    return observed, tones, variance


def _best(
    generics: list[SeparablePrior], measured: np.ndarray, tones: np.ndarray, rng: np.random.Generator
) -> SeparablePrior:
    """The generic prior that estimates measured channels of validation users best."""
    observed = _heard(measured, tones, rng)
    return min(generics, key=lambda one: float((np.abs(one.estimate(*observed) - measured) ** 2).mean()))


def _beamed(judge: Judge, channel: np.ndarray, prior: PathPrior) -> LinkCurve:
    """Bit error rates of one beam a user: the dominant direction of the prior's covariance."""
    given = covariance_precoder(prior.covariance(), channel, judge.normalisation)
    return semi_analytic(channel, given, judge.snr_db, judge.link.constellation)


def _prior(study: PrecodingStudy, world: World, users: np.ndarray, carrier_hz: float) -> PathPrior:
    """Statistics of a world's paths over the data subcarriers, scaled to unit power, delays counted as the taps are."""
    link = study.link
    paths = world.paths.select_users(users)
    with quiet():
        gains = path_gains(paths, world.site, carrier_hz, world.radio, Radio(), FieldOptions(foliage=world.foliage))
        prior = path_prior(paths, gains, _grid(link, carrier_hz), delay_reference="first-path", max_paths=_PATHS)
    late = link.taps_before / link.sampling_hz
    return replace(prior, delays=prior.delays + late, offsets_hz=prior.offsets_hz[data_subcarriers(link)]).scaled()


def _grid(link: PrecodedLink, carrier_hz: float) -> OfdmGrid:
    return OfdmGrid(carrier_hz, link.subcarriers, link.sampling_hz / link.subcarriers)


def _generic(link: PrecodedLink, radio: Radio, spread_s: float) -> SeparablePrior:
    """The prior for anywhere over the data subcarriers, delays counted as the taps are."""
    rows, late = data_subcarriers(link), link.taps_before / link.sampling_hz
    prior = generic_prior(_grid(link, link.carriers_hz[0]), radio, spread_s, delay_reference_s=late)
    return replace(prior, frequency=prior.frequency[np.ix_(rows, rows)])
