"""Sessions: drives between which somebody turned the array, found by penalised change-point detection.

Segments of consecutive drives, each with its own turn of the array, minimise misfit plus a price per change (Bellman's
dynamic programme; B. Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE Signal
Process. Lett. 12(2), 2005). A drive without measured rows belongs to the session around it; between two sessions the
change may have come before or after it, each with the probability of a constant hazard.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

PRICE_OF_A_CHANGE = float(np.log(30) + np.log(20))
"""Nats: one change in some thirty drives, and a turn that is anywhere within twenty degrees, to a degree."""


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions of R fits; the one with most rows comes first and has no turn: the boresight says it.

    Attributes:
        drives: R arrays of drives with measured rows, rising.
        session: R arrays: the session of each of these.
        turn_deg: (R, S) float64.
    """

    drives: list[np.ndarray]
    session: list[np.ndarray]
    turn_deg: np.ndarray

    @classmethod
    def none(cls, fits: int) -> Sessions:
        """One session each."""
        return cls([np.zeros(1, np.int64)] * fits, [np.zeros(1, np.int64)] * fits, np.zeros((fits, 1)))

    def free(self) -> Tensor:
        """(R, S) one where the turn is an unknown, zero for the first session and those that a fit has not."""
        free = np.zeros(self.turn_deg.shape)
        for row, session in zip(free, self.session, strict=True):
            row[1 : session.max() + 1] = 1
        return torch.from_numpy(free).float()

    def shares(self, drive: np.ndarray) -> np.ndarray:
        """(R, n, S) probability of each session for drives (R, n)."""
        out = np.zeros((*drive.shape, self.turn_deg.shape[1]))
        for fit, (known, session) in enumerate(zip(self.drives, self.session, strict=True)):
            after = np.clip(np.searchsorted(known, drive[fit]), 0, len(known) - 1)
            before = np.clip(np.searchsorted(known, drive[fit], side="right") - 1, 0, len(known) - 1)
            span = known[after] - known[before]
            late = np.where(span > 0, (drive[fit] - known[before]) / np.maximum(span, 1), 0.0)
            rows = np.arange(drive.shape[1])
            np.add.at(out[fit], (rows, session[before]), 1 - late)
            np.add.at(out[fit], (rows, session[after]), late)
        return out

    def of_rows(self, drive: np.ndarray) -> np.ndarray:
        """(R, n) int64: the most probable session."""
        return self.shares(drive).argmax(axis=-1)


def find_sessions(drive: np.ndarray, turns_deg: np.ndarray, cost: np.ndarray) -> Sessions:
    """The sessions of R fits.

    Args:
        drive: (R, k) drive of each measured row.
        turns_deg: (T,) turns that are tried.
        cost: (R, k, T) nats that each turn costs each row.
    """
    drives, sessions, turns = [], [], []
    for own, price in zip(drive, cost, strict=True):
        known, of_drive = np.unique(own, return_inverse=True)
        total = np.zeros((len(known) + 1, len(turns_deg)))
        np.add.at(total, of_drive + 1, price)
        number, turn = _partition(total.cumsum(axis=0), turns_deg)
        rows = np.bincount(number, weights=np.bincount(of_drive, minlength=len(known)))
        order = np.argsort(-rows, kind="stable")
        drives.append(known)
        sessions.append(np.argsort(order)[number])
        turns.append(turn[order] - turn[order[0]])
    table = np.zeros((len(drives), max(len(turn) for turn in turns)))
    for row, turn in zip(table, turns, strict=True):
        row[: len(turn)] = turn
    return Sessions(drives, sessions, table)


def _partition(cumulated: np.ndarray, turns_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Session (D,) of each of D drives, and the turn of each session, from cumulated costs (D + 1, T)."""
    count = len(cumulated) - 1
    best = np.full(count + 1, np.inf)
    best[0] = -PRICE_OF_A_CHANGE  # the first session is free
    begin = np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        whole = (cumulated[stop] - cumulated[:stop]).min(axis=1) + best[:stop] + PRICE_OF_A_CHANGE
        begin[stop] = int(whole.argmin())
        best[stop] = whole[begin[stop]]
    bounds = [count]
    while bounds[-1]:
        bounds.append(int(begin[bounds[-1]]))
    bounds = bounds[::-1]
    session = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    turn = [turns_deg[(cumulated[b] - cumulated[a]).argmin()] for a, b in pairwise(bounds)]
    return session, np.array(turn)
