"""A synthetic site for the learn layer: image sources, Dirichlet delay taps, ULA steering; no other layer is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

LIGHT = 299_792_458.0
CARRIER = 3.5e9  # Hz
SPACING = 30e3  # Hz
SUBCARRIERS = 256
TAPS = 32
ANTENNAS = 32


@dataclass(frozen=True)
class Street:
    """Image sources of one base station, each seen from a half-plane and through an attenuator (foliage) in a disc."""

    images: np.ndarray  # (I, 2) m
    turn: np.ndarray  # (I,) rad, departure = turn - direction
    normals: np.ndarray  # (I, 2) of the half-plane of visibility
    edges: np.ndarray  # (I,) m
    trees: np.ndarray  # (T, 3) x, y, radius in m

    @classmethod
    def draw(cls, rng: np.random.Generator, images: int = 14, trees: int = 12) -> Street:
        """A random street scene; the first image is the base station itself, visible from everywhere."""
        radius, bearing = rng.uniform(60, 260, images), rng.uniform(0, 2 * np.pi, images)
        positions = np.stack([radius * np.cos(bearing), radius * np.sin(bearing)], axis=1)
        positions[0] = 0.0
        side = rng.uniform(0, 2 * np.pi, images)
        edges = rng.uniform(-60, 60, images)
        edges[0] = -1e9
        spots = np.concatenate([rng.uniform(-80, 80, (trees, 2)), rng.uniform(6, 15, (trees, 1))], axis=1)
        turn = rng.uniform(0, 2 * np.pi, images)
        return cls(positions, turn, np.stack([np.cos(side), np.sin(side)], axis=1), edges, spots)

    def csi(self, users: np.ndarray, foliage: bool) -> torch.Tensor:
        """Truncated delay-angle matrices (N, 32, 32) complex64 of users at (N, 2) m."""
        n = np.arange(TAPS)
        m = np.arange(ANTENNAS)
        total = np.zeros((len(users), TAPS, ANTENNAS), dtype=np.complex128)
        for i, image in enumerate(self.images):
            ray = users + np.array([0.0, 100.0]) - image
            length = np.hypot(ray[:, 0], ray[:, 1])
            delay = length / LIGHT
            gain = LIGHT / CARRIER / (4 * np.pi * length) * np.where(i == 0, 1.0, 0.5)
            gain = gain * (users @ self.normals[i] > self.edges[i])
            if foliage and i < 5:
                for x, y, radius in self.trees:
                    inside = np.hypot(users[:, 0] - x - 3 * i, users[:, 1] - y + 2 * i) < radius
                    gain = np.where(inside, gain * 0.25, gain)
            angle = self.turn[i] - np.arctan2(ray[:, 1], ray[:, 0])
            steering = np.exp(1j * np.pi * m * np.sin(angle)[:, None])
            beams = np.fft.fftshift(np.fft.fft(steering, axis=1), axes=1)
            offset = n - SUBCARRIERS * SPACING * delay[:, None]
            phase = np.exp(-1j * np.pi * offset / SUBCARRIERS) / SUBCARRIERS
            with np.errstate(invalid="ignore", divide="ignore"):
                kernel = np.sin(np.pi * offset) / np.sin(np.pi * offset / SUBCARRIERS)
            taps = np.where(np.abs(offset) < 1e-9, 1.0, kernel * phase)
            path = gain * np.exp(-2j * np.pi * CARRIER * delay)
            total += path[:, None, None] * taps[:, :, None] * beams[:, None, :]
        return torch.from_numpy(total.astype(np.complex64))


@dataclass(frozen=True)
class World:
    """A twin (no foliage) and a target (foliage) of the same street, with user positions in metres."""

    twin: torch.Tensor
    twin_positions: torch.Tensor
    target: torch.Tensor
    target_positions: torch.Tensor


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """Factory of worlds: `make_world(seed, twin_users, target_users)`."""
    return draw_world


def draw_world(seed: int = 0, twin_users: int = 600, target_users: int = 400, extent: float = 160.0) -> World:
    """Users uniform over a square of side `extent` metres."""
    rng = np.random.default_rng(seed)
    street = Street.draw(rng)
    twin = rng.uniform(-extent / 2, extent / 2, (twin_users, 2))
    target = rng.uniform(-extent / 2, extent / 2, (target_users, 2))
    return World(
        street.csi(twin, foliage=False),
        torch.from_numpy(twin),
        street.csi(target, foliage=True),
        torch.from_numpy(target),
    )


@pytest.fixture(scope="session")
def world() -> World:
    """A small world shared by the tests."""
    return draw_world()


@pytest.fixture
def rng() -> torch.Generator:
    """A seeded generator, fresh for each test."""
    return torch.Generator().manual_seed(7)
