"""What the paper does not have: the twin as statistics of a channel, with random phases of its paths.

A centimetre turns the phase of a path, so a map cannot know it; directions, delays and powers it can. Nothing here is
trained. The power of each subcarrier is fixed for all methods, for which MRT and MMSE are one precoder.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sitetwin.channel import FieldOptions, OfdmGrid, Radio, path_gains
from sitetwin.link import (
    LinkCurve,
    PathPrior,
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

GENERIC_SPREADS_S = (10e-9, 20e-9, 50e-9, 100e-9, 200e-9, 400e-9)
"""Delay spreads that the generic prior is tried with."""

_PATHS = 64  # strongest paths of a user that make its statistics


def judge_statistics(
    study: PrecodingStudy,
    twin: World,
    target: World,
    truth: torch.Tensor,
    heard: torch.Tensor,
    users: torch.Tensor,
    carrier_hz: float,
    rng: np.random.Generator,
) -> dict[str, Judgement]:
    """Judge precoders that use the twin as statistics, alone or with pilots.

    Args:
        study: The configuration.
        twin: The twin.
        target: The target, whose path powers bound what any covariance can give.
        truth: (users, antennas, taps) complex64, true channels.
        heard: (users, antennas, taps) complex64, those of the twin.
        users: (users) int64, their rows in both worlds.
        carrier_hz: Carrier frequency, Hz.
        rng: Source of the pilots' noise.

    Returns:
        A judgement for each method; users whom either world's own tracer does not reach are left out.
    """
    rows = users.numpy()
    kept = (twin.paths.counts[rows] > 0) & (target.paths.counts[rows] > 0)
    some = torch.from_numpy(kept)
    judge = Judge(study.link, truth[some], "mrt", "subcarrier")
    channel = unit_power(responses(study.link, truth[some]))
    priors = {
        name: _prior(study, world, rows[kept], carrier_hz) for name, world in (("twin", twin), ("target", target))
    }
    found = {"genie": judge.of_curve(judge.genie)}
    found["twin's channel"] = judge.of_channels(heard[some], 1.0, truth[some])
    for name, label in (("twin", "twin's covariance"), ("target", "true path powers")):
        found[label] = judge.of_curve(_beamed(judge, channel, priors[name]))
    for pilots in PILOTS:
        tones = pilot_tones(channel.shape[2], pilots)
        observed, variance = observe_pilots(channel, tones, PILOT_SNR_DB, rng)
        estimates = {
            "twin's prior": priors["twin"].estimate(observed, tones, variance),
            "generic prior": _generic_estimate(study.link, twin.radio, channel, observed, tones, variance),
        }
        for label, estimate in estimates.items():
            found[f"{label}, {pilots} pilot{'s' if pilots > 1 else ''}"] = judge.of_curve(judge.curve(estimate))
    return found


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


def _generic_estimate(
    link: PrecodedLink, radio: Radio, channel: np.ndarray, observed: np.ndarray, tones: np.ndarray, variance: float
) -> np.ndarray:
    """The estimate of a prior for anywhere, at the delay spread that serves these very channels best.

    No receiver could choose it so: it is the most that such a prior can do.
    """
    rows, late = data_subcarriers(link), link.taps_before / link.sampling_hz
    best, least = channel, np.inf
    for spread in GENERIC_SPREADS_S:
        prior = generic_prior(_grid(link, link.carriers_hz[0]), radio, spread, delay_reference_s=late)
        estimate = replace(prior, frequency=prior.frequency[np.ix_(rows, rows)]).estimate(observed, tones, variance)
        error = float((np.abs(estimate - channel) ** 2).mean())
        if error < least:
            best, least = estimate, error
    return best
