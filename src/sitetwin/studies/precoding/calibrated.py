"""Beside Fig. 5: materials that are fitted to measured channels, in place of a choice from three."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.calibrate.channels import CalibrationSettings, TooFewProfilesError, calibrate_cell
from sitetwin.calibrate.channels.candidates import FITTED
from sitetwin.calibrate.channels.parameters import Stage
from sitetwin.channel import FieldOptions, OfdmGrid, Radio, frequency_response, path_gains, prepare
from sitetwin.channel.delay_shares import first_delays
from sitetwin.errors import SiteTwinError
from sitetwin.measured import csi_dataset
from sitetwin.measured.profiles import profiles_of_csi
from sitetwin.studies.precoding.channels import antenna_errors, quiet, taps_of_gains
from sitetwin.studies.precoding.config import PrecodedLink, PrecodingStudy
from sitetwin.studies.precoding.worlds import World

_STAGES: tuple[Stage, ...] = ("offset", "materials", "buildings")


@dataclass(frozen=True, eq=False)
class SoundedTarget:
    """What a synchronised sounder measures in a simulated target: with its noise, timing errors and antennas.

    Attributes:
        study: The configuration.
        target: The target.
        seed: Seed of the target, which draws the errors of its antennas.
    """

    study: PrecodingStudy
    target: World
    seed: int

    def reached(self, rows: np.ndarray) -> np.ndarray:
        """(users) bool, whether a path of the target reaches users."""
        found: np.ndarray = self.target.paths.counts[rows] > 0
        return found

    def response(self, rows: np.ndarray, grid: OfdmGrid, rng: np.random.Generator) -> np.ndarray:
        """(users, antennas, subcarriers) complex64."""
        return _sounded(self.study, self.target, rows, grid, self.seed, rng)


@dataclass(frozen=True, eq=False)
class SoundedFile:
    """Channels of a file, each moved to the delay at which it agrees best with the twin's.

    Attributes:
        link: The link, whose subcarriers are those of the file.
        twin: The twin.
        timed: (users, antennas, subcarriers) complex, the first path of the twin at tap `taps_before` of each.
    """

    link: PrecodedLink
    twin: World
    timed: np.ndarray

    def reached(self, rows: np.ndarray) -> np.ndarray:
        """(users) bool: all of them."""
        return np.ones(len(rows), dtype=bool)

    def response(self, rows: np.ndarray, grid: OfdmGrid, rng: np.random.Generator) -> np.ndarray:
        """(users, antennas, subcarriers) complex64, the delay of the twin's first path put back."""
        late = first_delays(self.twin.paths)[rows] - self.link.taps_before / self.link.sampling_hz
        index = np.arange(self.link.subcarriers) - self.link.subcarriers // 2
        turns = np.exp(-2j * np.pi * late[:, None] * index * self.link.sampling_hz / self.link.subcarriers)
        moved: np.ndarray = (self.timed[rows] * turns[:, None, :]).astype(np.complex64)
        return moved


Sounded = SoundedTarget | SoundedFile
"""Channels that were measured at users."""


def calibrated_taps(
    study: PrecodingStudy, twin: World, sounded: Sounded, training: Tensor, carrier_hz: float, seed: int
) -> tuple[Tensor, list[str]]:
    """Impulse responses of the twin, its materials fitted to channels that were measured at training users.

    Geometry, pose and positions stay those of the twin.

    Args:
        study: The configuration.
        twin: The twin.
        sounded: Gives the measured channels of users whom the twin reaches.
        training: (users) int64, rows of the users whose channels may be looked at.
        carrier_hz: Carrier frequency, Hz.
        seed: Draws the users who are fitted, and the errors of measurement.

    Returns:
        (users, antennas, taps) complex64 of all users, as `taps_of`; and what a reader must know: whether the site has
        too many buildings for values of their own, and whether other materials were taken in place of the fit.

    Raises:
        SiteTwinError: The channels tell no materials: there are fewer of them than parameters, or no path stands out of
            their noise.
    """
    rng = np.random.default_rng([seed, 19, round(carrier_hz / 1e3)])
    rows = training.numpy()
    rows = rows[(twin.paths.counts[rows] > 0) & sounded.reached(rows)]
    if not len(rows):
        raise SiteTwinError("no training user is reached by a path of the twin")
    rows = np.sort(rng.permutation(rows)[: study.evaluation.calibration_users])
    grid = OfdmGrid(carrier_hz, study.link.subcarriers, study.link.sampling_hz / study.link.subcarriers)
    paths, options = twin.paths.select_users(rows), FieldOptions(foliage=twin.foliage)
    data = csi_dataset(
        sounded.response(rows, grid, rng),
        grid.frequencies_hz.numpy(),
        np.asarray(paths.users, dtype=np.float64),
        np.full(len(rows), np.nan),
    )
    said: list[str] = []
    with quiet():
        profiles = profiles_of_csi(data, twin.radio.array, carrier_hz=carrier_hz)
        settings = CalibrationSettings(_STAGES, block_m=study.evaluation.block_m, seed=seed, ready=study.materials)
        try:
            found = calibrate_cell(twin.site, paths, profiles, twin.radio, Radio(), settings, options)
        except TooFewProfilesError as error:
            said.append(f"materials were fitted by class, not by building: {error}")
            settings = replace(settings, stages=_STAGES[:-1])
            found = calibrate_cell(twin.site, paths, profiles, twin.radio, Radio(), settings, options)
        taken = [one.name for one in found.candidates if one.chosen and one.name != FITTED]
        said += [f"the candidate '{name}' was taken in place of the fit" for name in taken]
        evaluate = prepare(twin.paths, found.table.site, carrier_hz, twin.radio, Radio(), options)
        values = found.table.values(found.fit.parameters, found.fit.theta)
        tensors: dict[str, Any] = {
            name: torch.from_numpy(v) for name, v in values.items() if name != "scattering_coefficient"
        }
        return taps_of_gains(study.link, twin.paths, evaluate(**tensors)), said


def _sounded(
    study: PrecodingStudy, target: World, rows: np.ndarray, grid: OfdmGrid, seed: int, rng: np.random.Generator
) -> np.ndarray:
    """(users, antennas, subcarriers) complex64: what a synchronised sounder measures in the target."""
    wrong, paths = study.target, target.paths.select_users(rows)
    with quiet():
        gains = path_gains(
            paths, target.site, grid.carrier_hz, target.radio, Radio(), FieldOptions(foliage=target.foliage)
        )
        h = frequency_response(paths, gains, grid)[:, 0].numpy()
    h = h * antenna_errors(study, np.random.default_rng([seed, 16])).numpy()[:, None]
    late = wrong.timing_samples * rng.standard_normal((len(rows), 1, 1))
    clock = np.exp(-2j * np.pi * late * grid.index.numpy() / grid.num_subcarriers)
    power = (np.abs(h) ** 2).mean(axis=(1, 2), keepdims=True)
    noise = rng.standard_normal((2, *h.shape)) * np.sqrt(power / 2 * 10 ** (-wrong.csi_snr_db / 10))
    return (h * clock + noise[0] + 1j * noise[1]).astype(np.complex64)
