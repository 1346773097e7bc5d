"""Turns of the array between drives: sessions with one orientation each.

For the fit: segments of consecutive drives, each with its own turn, that minimise misfit plus a price per change
(Bellman's dynamic programme; B. Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE
Signal Process. Lett. 12(2), 2005). For prediction: the posterior of each drive's turn under a constant hazard of a
change, all segmentations averaged (forward-backward recursion; L. Rabiner, Proc. IEEE 77(2), 1989). It says how far a
drive without measured rows, near a change, may belong to either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sitetwin.learn.finite import best_finite

CHANGES_PER_DRIVE = 1 / 30
"""Hazard: one change in some thirty drives."""

TURN_SD_DEG = 8.0
"""Standard deviation of a session's turn."""

TURNS_DEG = np.arange(-20, 20.1, 0.5)
"""Turns that are tried."""

PRICE_OF_A_CHANGE = float(-np.log(CHANGES_PER_DRIVE) + np.log(20))
"""Nats: the hazard, and a turn that is anywhere within twenty degrees, to a degree."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions of R fits; the one with most rows comes first and has no turn: the boresight says it.

    Attributes:
        session: (R, k) int64: the session of each measured row.
        turn_deg: (R, S) float64.
    """

    session: np.ndarray
    turn_deg: np.ndarray

    @classmethod
    def none(cls, fits: int, rows: int) -> Sessions:
        """One session each."""
        return cls(np.zeros((fits, rows), np.int64), np.zeros((fits, 1)))

    def free(self) -> Tensor:
        """(R, S) one where the turn is an unknown, zero for the first session and those that a fit has not."""
        number = np.arange(self.turn_deg.shape[1])
        most = self.session.max(axis=1, initial=0)
        return torch.from_numpy((number > 0) & (number <= most[:, None])).float()


def find_sessions(drive: np.ndarray, turns_deg: np.ndarray, cost: np.ndarray) -> Sessions:
    """The sessions of R fits.

    Args:
        drive: (R, k) drive of each measured row.
        turns_deg: (T,) turns that are tried.
        cost: (R, k, T) nats that each turn costs each row.
    """
    sessions, turns = [], []
    for own, price in zip(drive, cost, strict=True):
        number, turn = _partition(_of_drives(own, price, np.unique(own)).cumsum(axis=0), turns_deg)
        of_row = number[np.unique(own, return_inverse=True)[1]]
        order = np.argsort(-np.bincount(of_row, minlength=len(turn)), kind="stable")
        sessions.append(np.argsort(order)[of_row])
        turns.append(turn[order] - turn[order[0]])
    table = np.zeros((len(turns), max(len(turn) for turn in turns)))
    for row, turn in zip(table, turns, strict=True):
        row[: len(turn)] = turn
    return Sessions(np.stack(sessions), table)


def turn_posterior(drive: np.ndarray, turns_deg: np.ndarray, cost: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(R, M, T) probability of each turn in the drives that are asked about.

    A session's turn is normal with `TURN_SD_DEG`; between neighbouring drives a new session begins with probability
    `CHANGES_PER_DRIVE`.

    Args:
        drive: (R, k) drive of each measured row.
        turns_deg: (T,) turns.
        cost: (R, k, T) nats that each turn costs each row.
        asked: (R, M) drives.
    """
    out = np.zeros((*asked.shape, len(turns_deg)))
    fresh = np.exp(-0.5 * (turns_deg / TURN_SD_DEG) ** 2)
    fresh /= fresh.sum()
    for fit, (own, price) in enumerate(zip(drive, cost, strict=True)):
        drives, of_asked = np.unique(np.concatenate([own, asked[fit]]), return_inverse=True)
        total = _of_drives(own, price, drives)[1:]
        likely = np.exp(total.min(axis=1, keepdims=True) - total)
        stay = (1 - CHANGES_PER_DRIVE) ** np.diff(drives)
        forward, backward = np.empty_like(likely), np.ones_like(likely)
        forward[0] = fresh * likely[0]
        for k in range(1, len(drives)):
            past = forward[k - 1] / forward[k - 1].sum()
            forward[k] = (stay[k - 1] * past + (1 - stay[k - 1]) * fresh) * likely[k]
        for k in range(len(drives) - 2, -1, -1):
            future = backward[k + 1] * likely[k + 1]
            backward[k] = stay[k] * future + (1 - stay[k]) * (fresh @ future)
            backward[k] /= backward[k].max()
        share = forward * backward
        out[fit] = (share / share.sum(axis=1, keepdims=True))[of_asked[len(own) :]]
    return out


def _of_drives(drive: np.ndarray, cost: np.ndarray, drives: np.ndarray) -> np.ndarray:
    """(D + 1, T) costs (k, T) of rows summed over each of D drives, after a row of zeros."""
    total = np.zeros((len(drives) + 1, cost.shape[1]))
    np.add.at(total, np.searchsorted(drives, drive) + 1, cost)
    return total


def _partition(cumulated: np.ndarray, turns_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Session (D,) of each of D drives, and the turn of each session, from cumulated costs (D + 1, T)."""
    count = len(cumulated) - 1
    best = np.full(count + 1, np.inf)
    best[0] = -PRICE_OF_A_CHANGE  # the first session is free
    begin = np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        whole = (cumulated[stop] - cumulated[:stop]).min(axis=1) + best[:stop] + PRICE_OF_A_CHANGE
        begin[stop] = int(best_finite(-whole, "the cost of a turn"))
        best[stop] = whole[begin[stop]]
    bounds = [count]
    while bounds[-1]:
        bounds.append(int(begin[bounds[-1]]))
    bounds = bounds[::-1]
    session = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    turn = [turns_deg[(cumulated[b] - cumulated[a]).argmin()] for a, b in pairwise(bounds)]
    return session, np.array(turn)
