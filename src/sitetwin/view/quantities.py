"""What users are coloured by: numbers per user, from the powers of their paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from sitetwin.channel.antennas.codebooks import dft_codebook
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.link_statistics import link_statistics
from sitetwin.channel.synthesis.steering import responses
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site import Site

Leaves = Literal["in leaf", "out of leaf", "no trees"]
LEAVES: tuple[Leaves, ...] = ("in leaf", "out of leaf", "no trees")

_PATHS_AT_ONCE = 1 << 17


@dataclass(frozen=True, eq=False)
class Quantity:
    """One number per user.

    Attributes:
        label: Label with the unit.
        values: (U,) float64, NaN where there is none; may be infinite.
        step: The ends of the colour scale are multiples of it; 0 takes the values' own ends.
        names: Names of the values 0, 1, ..., where they are labels; empty for numbers.
    """

    label: str
    values: Float[np.ndarray, " users"]
    step: float = 0.0
    names: tuple[str, ...] = ()


def path_powers(paths: Paths, site: Site, carrier_hz: float, tx: Radio, leaves: Leaves) -> Float[np.ndarray, " paths"]:
    """Compute the received over the transmitted power of each path, with trees in a state of leaf.

    Without trees, canopies neither weaken paths nor scatter, so that paths scattered in them carry nothing. All other
    paths are the same with trees and without.

    Args:
        paths: P paths.
        site: Site of the paths.
        carrier_hz: Carrier frequency, Hz.
        tx: Radio of the transmitter, with one antenna.
        leaves: "in leaf", "out of leaf" (deciduous trees are bare) or "no trees".

    Returns:
        (P,) float64.
    """
    if leaves == "no trees":
        options = FieldOptions(foliage=None)
    else:
        options = FieldOptions(season="summer" if leaves == "in leaf" else "winter")
    gains = path_gains(paths, site, carrier_hz, tx=tx, options=options)
    power = gains.power[:, 0, 0].numpy()
    if leaves == "no trees":
        power = np.where((paths.kinds == Interaction.CANOPY).any(axis=1), 0.0, power)
    return power


def user_quantities(paths: Paths, power: Float[np.ndarray, " paths"], beams: Radio) -> dict[str, Quantity]:
    """Compute all quantities of the users, by name.

    Args:
        paths: P paths of U users.
        power: (P,) received over transmitted power of each path.
        beams: Radio of the codebook, a linear array of N elements.

    Returns:
        "path gain", "delay spread", "K-factor", "best beam", "line of sight", as `link_statistics` defines them.
    """
    link = link_statistics(paths, power)
    reached = link.path_gain > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        gain_db = np.where(reached, 10 * np.log10(link.path_gain), np.nan)
        k_db = 10 * np.log10(link.rician_k)
    beam = best_beam(paths, power, beams)
    sight = np.where(reached, link.line_of_sight.astype(np.float64), np.nan)
    return {
        "path gain": Quantity("path gain (dB)", gain_db, 5.0),
        "delay spread": Quantity("rms delay spread (ns)", 1e9 * link.delay_spread, 10.0),
        "K-factor": Quantity("Rician K-factor (dB); grey: no line of sight", k_db, 5.0),
        "best beam": Quantity(
            f"best of {beams.array.num_antennas} DFT beams; {beams.array.num_antennas // 2} is broadside",
            np.where(beam >= 0, beam, np.nan),
        ),
        "line of sight": Quantity("line of sight", sight, names=("no", "yes")),
    }


def best_beam(paths: Paths, power: Float[np.ndarray, " paths"], radio: Radio) -> Int[np.ndarray, " users"]:
    """Find the beam of a DFT codebook that brings each user most power, the mean over small-scale fading.

    Beams are those of `dft_codebook`, counted like the angles of delay-angle channels: N // 2 is broadside.

    Args:
        paths: P paths of U users.
        power: (P,) power of each path between single antennas.
        radio: The array at the transmitter: linear, one port.

    Returns:
        (U,) int64, -1 for users without power.
    """
    best = np.full(paths.num_users, -1, dtype=np.int64)
    departure = torch.from_numpy(np.ascontiguousarray(paths.departure))
    codebook = dft_codebook(radio.array).T
    first = 0
    while first < paths.num_users:
        begin = int(paths.offsets[first])
        last = int(np.searchsorted(paths.offsets, begin + _PATHS_AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), paths.num_users)
        rows = slice(begin, int(paths.offsets[last]))
        response = responses(departure[rows], radio, None, torch.complex128)
        beams = (response @ codebook).abs().square().numpy()
        some = first + np.flatnonzero(np.diff(paths.offsets[first : last + 1]))
        if len(some):
            totals = np.add.reduceat(beams * power[rows, None], paths.offsets[some] - begin, axis=0)
            best[some] = np.where(totals.max(axis=1) > 0, totals.argmax(axis=1), -1)
        first = last
    return best
