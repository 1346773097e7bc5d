"""Impulse responses of worlds, and what a measurement makes of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import FieldOptions, PathGains, Radio, impulse_response, path_gains
from sitetwin.channel.delay_shares import first_delays
from sitetwin.errors import SiteTwinWarning
from sitetwin.link import response_of_taps, taps_of_response
from sitetwin.rays import Paths
from sitetwin.site import Site
from sitetwin.studies.precoding.config import PrecodedLink, PrecodingStudy
from sitetwin.studies.precoding.worlds import World

_SAID_ON_THE_PAGE = (
    "the shortest path is",
    "ITU-R",
    "a path bends at one edge only",
    r"[0-9,]+ of [0-9,]+ users have more than 1 %",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notes that the page holds: plane waves, materials outside their frequencies, edges, taps."""
    with warnings.catch_warnings():
        for known in (
            "the shortest path is",
            "ITU-R",
            "a path bends at one edge only",
            r"[0-9,]+ of [0-9,]+ users have",
        ):
            warnings.filterwarnings("ignore", message=known, category=SiteTwinWarning)
        yield


def taps_of(study: PrecodingStudy, world: World, carrier_hz: float, site: Site | None = None) -> Tensor:
    """Impulse responses of all users of a world; the common delay of each user is taken out.

    Args:
        study: The configuration.
        world: The world.
        carrier_hz: Carrier frequency, Hz.
        site: The same geometry with other materials; the world's own by default.

    Returns:
        (users, antennas, taps) complex64, zero for users without a path. Tap `taps_before` is the delay of the first
        path.
    """
    where = world.site if site is None else site
    found = path_taps(study.link, world.paths, where, world.radio, carrier_hz, world.foliage)
    if world.other_paths is not None:
        other = path_taps(study.link, world.other_paths, where, world.radio, carrier_hz, world.foliage)
        found[torch.from_numpy(world.other_users)] = other
    return found


def path_taps(
    link: PrecodedLink, paths: Paths, site: Site, radio: Radio, carrier_hz: float, foliage: str | None
) -> Tensor:
    """Impulse responses (users, antennas, taps) complex64 of traced paths, each user's first path at one tap."""
    if not paths.num_paths:
        return torch.zeros(paths.num_users, link.antennas, link.taps, dtype=torch.complex64)
    with quiet():
        return taps_of_gains(
            link, paths, path_gains(paths, site, carrier_hz, radio, Radio(), FieldOptions(foliage=foliage))
        )


def taps_of_gains(link: PrecodedLink, paths: Paths, gains: PathGains) -> Tensor:
    """Impulse responses (users, antennas, taps) complex64 of paths with gains, each user's first path at one tap."""
    with quiet():
        first = torch.from_numpy(np.nan_to_num(first_delays(paths)))
        taps = impulse_response(
            paths, gains, link.sampling_hz, link.taps, first_tap=-link.taps_before, delay_reference_s=first
        )
    return taps[:, 0].to(torch.complex64)


def outside_taps(study: PrecodingStudy, world: World, carrier_hz: float) -> float:
    """Share of the median user's power that lies outside the taps, of what one period of the subcarriers holds."""
    link = study.link
    before = link.subcarriers // 4
    whole = link.model_copy(update={"taps": link.subcarriers, "taps_before": before})
    taps = path_taps(whole, world.paths, world.site, world.radio, carrier_hz, world.foliage).abs().square().sum(1)
    first = before - link.taps_before
    kept = taps[:, first : first + link.taps].sum(1) / taps.sum(1)
    return float(1 - kept[taps.sum(1) > 0].median())


def antenna_errors(study: PrecodingStudy, rng: np.random.Generator) -> Tensor:
    """(antennas) complex64: gain and phase of each antenna of the target's base station, which the twin takes as 1."""
    wrong, count = study.target, study.link.antennas
    gain = 10 ** (wrong.antenna_gain_db * rng.standard_normal(count) / 20)
    phase = np.radians(wrong.antenna_phase_deg) * rng.standard_normal(count)
    return torch.from_numpy((gain * np.exp(1j * phase)).astype(np.complex64))


def measured(study: PrecodingStudy, truth: Tensor, rng: np.random.Generator) -> Tensor:
    """What a receiver of the drive test reports of true channels: its clock's phase and timing errors, and noise.

    Args:
        study: The configuration.
        truth: (users, antennas, taps) complex64.
        rng: Source of the errors, drawn for each measurement.
    """
    wrong, link, (users, antennas, taps) = study.target, study.link, truth.shape
    index = np.arange(link.subcarriers) - link.subcarriers // 2
    late = wrong.timing_samples * rng.standard_normal((users, 1))
    clock = np.exp(-2j * np.pi * late * index / link.subcarriers + 2j * np.pi * rng.random((users, 1)))
    response = response_of_taps(truth.numpy(), link.subcarriers) * clock[:, None, :]
    seen = taps_of_response(response)[..., :taps]
    power = (np.abs(truth.numpy()) ** 2).mean(axis=(1, 2), keepdims=True)
    noise = rng.standard_normal((2, users, antennas, taps))
    seen = seen + np.sqrt(power / 2 * 10 ** (-wrong.csi_snr_db / 10)) * (noise[0] + 1j * noise[1])
    return torch.from_numpy(seen.astype(np.complex64))


def data_subcarriers(link: PrecodedLink) -> np.ndarray:
    """Places, along the axis of all subcarriers, of those that lie in the band."""
    spacing = link.sampling_hz / link.subcarriers
    index = np.arange(link.subcarriers) - link.subcarriers // 2
    return np.flatnonzero(np.abs(index) * spacing <= link.band_hz / 2)


def responses(link: PrecodedLink, taps: Tensor) -> np.ndarray:
    """(users, antennas, data subcarriers) complex128 of impulse responses; tap 0 is the receiver's delay 0."""
    return response_of_taps(taps.numpy(), link.subcarriers)[..., data_subcarriers(link)]
