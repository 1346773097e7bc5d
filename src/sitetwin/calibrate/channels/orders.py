"""Whether measured antennas stand in another order than the array's: powers of beams tell it, and it is said.

Channels hold no names of antennas. A planar array that was listed column by column, an array that was listed from its
other end, or ports that alternate look like power from directions where the twin has no path. Every usual order is
tried on the twin as given; nothing is put into another order, since a turned array can look alike.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from jaxtyping import Complex, Float, Int

from sitetwin.calibrate.channels.likelihood import Contamination, TapLaw, log_powers, outlier_density, scores
from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields import PathGains
from sitetwin.measured.profiles import dft_beams
from sitetwin.rays.paths import Paths

_MISFIT, _SHARE = 0.5, 0.1  # of powers that a twin with errors gives
_NATS = 1.0  # a user, by which another order must be better
_DEVIATIONS = 4.0  # of the mean over the blocks
_FEWEST = 5  # blocks
_MOST = 1000  # users, evenly among all: more of them take minutes for large arrays and say the same
_AXES = ("port", "row", "column")
_FLIPPED = ("the ports exchanged", "the rows from the bottom", "the columns from the other end")


def other_orders(array: AntennaArray) -> dict[str, Int[np.ndarray, " antennas"]]:
    """Usual orders of an array's antennas other than its own, by what a sentence calls them.

    Args:
        array: The array.

    Returns:
        For each order, which antenna of the array stands first, second, and so on.
    """
    rows, columns = array.shape or (1, array.num_positions)
    own = np.arange(array.num_antennas).reshape(array.num_ports, rows, columns)
    known = {tuple(own.reshape(-1))}
    found = {}
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            order = own[:: flips[0], :: flips[1], :: flips[2]].transpose(axes).reshape(-1)
            if tuple(order) in known:
                continue
            known.add(tuple(order))
            words = [text for text, flip in zip(_FLIPPED, flips, strict=True) if flip < 0]
            told = [_AXES[axis] for axis in axes if own.shape[axis] > 1]
            if told != [_AXES[axis] for axis in range(3) if own.shape[axis] > 1]:
                words.insert(0, f"by {', '.join(told)}, the last of which changes fastest")
            found["; ".join(words)] = order
    return found


def order_notes(
    covariance: Complex[np.ndarray, "users antennas antennas"],
    noise: Float[np.ndarray, " users"],
    paths: Paths,
    gains: PathGains,
    tx: Radio,
    block: Int[np.ndarray, " users"],
) -> list[str]:
    """Say that the twin fits better with the antennas in another order, if it clearly does.

    Args:
        covariance: Mean of ``h h^H`` over the subcarriers of each user.
        noise: Mean power of the noise of one antenna.
        paths: The twin's paths to the users.
        gains: Their gains, to one port of the users.
        tx: Radio of the station, whose array measured.
        block: Block of each user; errors of the twin are alike within.

    Returns:
        One sentence, or nothing.
    """
    heard = np.flatnonzero(np.asarray(paths.counts) > 0)
    if tx.array.num_antennas < 2 or len(np.unique(block[heard])) < _FEWEST:
        return []
    heard = heard[:: -(-len(heard) // _MOST)]
    covariance, noise, block = covariance[heard], noise[heard], block[heard]
    orders = {"": np.arange(tx.array.num_antennas), **other_orders(tx.array)}
    fit = dict.fromkeys(orders, np.zeros(len(heard)))
    for beams in _beams(tx.array):
        signal, squares = (sums[heard] for sums in _of_twin(paths, gains, tx, beams))
        for name, order in orders.items():
            fit[name] = fit[name] + _likelihood(covariance, noise, beams, signal, squares, order) / 2
    best = max(fit, key=lambda name: float(fit[name].mean()))
    gained = fit[best] - fit[""]
    each = np.array([gained[block == one].mean() for one in np.unique(block)])
    sure = each.mean() > _DEVIATIONS * each.std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else False
    if not best or gained.mean() < _NATS or not sure:
        return []
    return [
        f"the powers of the beams fit the twin better with the antennas in another order ({best}: {gained.mean():.1f} "
        "nats a user): check that they are listed port by port, within a port row by row from the top, columns along "
        "the array's own +y, and where the array looks; they were taken as they stand"
    ]


def _beams(array: AntennaArray) -> tuple[np.ndarray, np.ndarray]:
    """The transform of the array, and the one half a step beside it, which tells mirrored arrays of two columns."""
    rows, columns = array.shape or (1, array.num_positions)
    half = np.add.outer(np.arange(rows) / rows, np.arange(columns) / columns).reshape(-1) / 2
    beams = dft_beams(array)
    return beams, beams * np.exp(2j * math.pi * np.tile(half, array.num_ports))


def _of_twin(
    paths: Paths, gains: PathGains, tx: Radio, beams: np.ndarray
) -> tuple[Float[np.ndarray, "users beams"], Float[np.ndarray, "users beams"]]:
    """Sums of the powers of the paths in each beam, and of their squares."""
    cycles = tx.cycles(torch.from_numpy(np.ascontiguousarray(paths.departure))).numpy()
    ports = gains.at_carrier.detach().numpy()[:, 0, :]
    antennas = (ports[:, :, None] * np.exp(2j * math.pi * cycles)[:, None, :]).reshape(len(cycles), -1)
    power = np.abs(antennas @ beams.conj().T) ** 2
    sums = np.zeros((2, paths.num_users, len(beams)))
    for values, total in zip((power, power**2), sums, strict=True):
        np.add.at(total, paths.user_of_path, values)
    return sums[0], sums[1]


def _likelihood(
    covariance: np.ndarray,
    noise: np.ndarray,
    beams: np.ndarray,
    signal: np.ndarray,
    squares: np.ndarray,
    order: np.ndarray,
) -> Float[np.ndarray, " users"]:
    """Log-likelihood of the powers of all beams of each user, whose sum is that of the twin."""
    turned = beams[:, order]  # the beams in the order of the antennas that measured
    power = np.maximum(((turned.conj() @ covariance) * turned).sum(axis=2).real, 0.0)
    level = np.maximum(noise, 1e-12 * power.mean(axis=1))[:, None]
    scale = np.maximum(power.sum(axis=1) - len(beams) * level[:, 0], 0) / np.maximum(signal.sum(axis=1), 1e-300)
    flat = np.broadcast_to(level, power.shape)
    law = TapLaw(scale[:, None] * signal, scale[:, None] ** 2 * squares, np.ascontiguousarray(flat))
    observed = log_powers(power, law.noise)
    each: np.ndarray = scores(observed, law, Contamination(_MISFIT, _SHARE, outlier_density(observed))).each
    found: np.ndarray = each.sum(axis=1)
    return found
