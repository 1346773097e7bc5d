"""Plane waves in delay and angle: real kernels on the grid of taps and beams.

A path of delay tau (in taps) and angle mu (in beams) adds ``g f_K(n - tau) f_M(m - mu)`` to the matrix, where
``f_N(x) = sin(pi x) / (N sin(pi x / N))``, once each tap and each beam has been turned by a phase of its own
(`Waves.turned`). So a path is a real matrix of rank one, of norm 1 where the taps hold all of it, times a complex gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.compiled import compiled

BINS_PER_TAP = 2
"""Bins of delay for each tap, and of angle for each beam."""

MARGIN = 2
"""Delays are sought this many taps beyond the first and the last tap."""


@dataclass(frozen=True)
class Waves:
    """The grid of taps and beams of a linear array.

    Attributes:
        taps: Delay taps T.
        beams: Beams M, as many as antennas.
        subcarriers: Subcarriers K.
        first_tap: Index of the first tap.
        spacing: Spacing of the antennas, wavelengths.
    """

    taps: int
    beams: int
    subcarriers: int
    first_tap: int
    spacing: float = 0.5

    @property
    def delay_bins(self) -> int:
        """Bins of delay, from `MARGIN` taps before the first tap to as many behind the last one."""
        return BINS_PER_TAP * (self.taps + 2 * MARGIN)

    @property
    def angle_bins(self) -> int:
        """Bins of angle."""
        return BINS_PER_TAP * self.beams

    def turned(self, x: Complex[Tensor, "users taps beams"]) -> Complex[Tensor, "users taps beams"]:
        """Matrices in which paths are real."""
        return x * self._turns()

    def turned_back(self, x: Complex[Tensor, "users taps beams"]) -> Complex[Tensor, "users taps beams"]:
        """The inverse of `turned`."""
        return x * self._turns().conj()

    def _turns(self) -> Tensor:
        """Phases of taps and beams: those of the middle subcarrier and of the middle antenna."""
        middle = -(self.subcarriers // 2) + (self.subcarriers - 1) / 2
        tap = -2 * math.pi * middle / self.subcarriers * (self.first_tap + torch.arange(self.taps, dtype=torch.float64))
        place = torch.arange(self.beams, dtype=torch.float64) - self.beams // 2
        beam = math.pi * (self.beams - 1) / self.beams * place
        angle = tap[:, None] + beam
        return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernels at the centres of all bins: (delay bins, taps) and (angle bins, beams) float32."""
        delays = np.zeros((self.delay_bins, self.taps), np.float32)
        angles = np.zeros((self.angle_bins, self.beams), np.float32)
        work = np.zeros((2, max(self.taps, self.beams)), np.float32)
        for k in range(self.delay_bins):
            kernel((k + 0.5) / BINS_PER_TAP - MARGIN, self.subcarriers, delays[k], work[0], work[1])
        for k in range(self.angle_bins):
            kernel((k + 0.5) / BINS_PER_TAP, self.beams, angles[k], work[0], work[1])
        return delays, angles


@compiled(divisions_checked=False)
def kernel(place: Any, size: Any, value: np.ndarray, slope: np.ndarray, curve: np.ndarray) -> None:
    """Write ``f_size(n - place)`` for n = 0, 1, ... and its first two derivatives by `place`."""
    turn = math.pi / size
    whole = math.floor(place + 0.5)
    away = place - whole
    sine, cosine = math.sin(math.pi * away), math.cos(math.pi * away)
    low, high = math.sin(-turn * place), math.cos(-turn * place)  # of turn (n - place), step by step
    by_sine, by_cosine = math.sin(turn), math.cos(turn)
    bend = math.pi**2 / 6 * (1 - 1 / (size * size))
    for n in range(len(value)):
        sign = 1.0 if (n - whole) % 2 == 0 else -1.0
        if abs(low) < 1e-2 * turn:
            # f = 1 - bend x^2 up to terms of x^4, where x counts from the nearest period
            x = low / turn * (1.0 if high > 0 else -1.0)
            period = 1.0 if high > 0 or size % 2 == 1 else -1.0
            value[n] = period * (1 - bend * x * x)
            slope[n] = period * 2 * bend * x
            curve[n] = -period * 2 * bend
        else:
            s, c = -sign * sine, sign * cosine  # of pi (n - place)
            below, cot = size * low, high / low
            f = s / below
            first = math.pi * c / below - turn * cot * f
            value[n], slope[n] = f, -first
            curve[n] = -(math.pi**2) * f - 2 * turn * cot * first + turn * turn * f
        low, high = low * by_cosine + high * by_sine, high * by_cosine - low * by_sine


@compiled(divisions_checked=False)
def kernel_alone(place: Any, size: Any, value: np.ndarray) -> None:
    """Write what `kernel` writes, without its derivatives."""
    turn = math.pi / size
    whole = math.floor(place + 0.5)
    sine = math.sin(math.pi * (place - whole))
    low, high = math.sin(-turn * place), math.cos(-turn * place)
    by_sine, by_cosine = math.sin(turn), math.cos(turn)
    bend = math.pi**2 / 6 * (1 - 1 / (size * size))
    for n in range(len(value)):
        if abs(low) < 1e-2 * turn:
            x = low / turn
            value[n] = (1.0 if high > 0 or size % 2 == 1 else -1.0) * (1 - bend * x * x)
        else:
            value[n] = (-sine if (n - whole) % 2 == 0 else sine) / (size * low)
        low, high = low * by_cosine + high * by_sine, high * by_cosine - low * by_sine
