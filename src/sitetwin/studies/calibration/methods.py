"""The methods of the study: each is given measured rows and predicts others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sitetwin.calibrate.power.clutter import ROOFS
from sitetwin.calibrate.power.covariance import Design, Term
from sitetwin.calibrate.power.layout import DISTANCE, ONE, SECTOR, Layout
from sitetwin.calibrate.power.process import fit_process, terms_of
from sitetwin.studies.calibration.config import (
    KRIGING,
    MEAN,
    NEAREST,
    NO_MAP,
    NO_MAP_TOGETHER,
    REGRESSION,
    TWIN,
    TWIN_TOGETHER,
)

_KRIGING = (Term("receiver", 4.2, (ONE,), group="receiver"), Term("field", 10.0, length=80.0))


@dataclass(frozen=True, eq=False)
class Rows:
    """Measured rows of all cells.

    Attributes:
        layout: Cells and receivers.
        design: What processes see of the rows.
        power: (N,) dBm.
        cell: (N,) number of each row's cell.
    """

    layout: Layout
    design: Design
    power: Float[np.ndarray, " rows"]
    cell: Int[np.ndarray, " rows"]

    def of_cell(self, number: int) -> tuple[Layout, Design]:
        """A layout of one cell alone, and the rows as it sees them; rows of other cells mean nothing in it."""
        layout = Layout((self.layout.sectors[number],), self.layout.receivers)
        one = np.ones((len(self.design), 1))
        receiver = self.design.groups["receiver"]
        groups = {"cell": one, "mast": one, "direction": one, "receiver": receiver, "reading": receiver}
        return layout, Design(self.design.plan, self.design.features, groups, receiver.argmax(axis=1))


def predict(
    method: str, rows: Rows, train: Int[np.ndarray, " some"], test: Int[np.ndarray, " others"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, " others"], Float[np.ndarray, " others"]]:
    """Power of the test rows, and the standard deviation of readings there (NaN where the method has none).

    Args:
        method: Its name.
        rows: All rows.
        train: Rows whose power is given; of one cell, or of all for cells together.
        test: Rows to predict.
        rng: For fits of very many rows.
    """
    alone = method not in (TWIN_TOGETHER, NO_MAP_TOGETHER)
    layout, design = rows.of_cell(int(rows.cell[test[0]])) if alone else (rows.layout, rows.design)
    given, asked, power = design.take(train), design.take(test), rows.power[train]
    if method in (TWIN, NO_MAP, KRIGING, TWIN_TOGETHER, NO_MAP_TOGETHER):
        terms = _KRIGING if method == KRIGING else terms_of(layout, method in (TWIN, TWIN_TOGETHER))
        posterior = fit_process(terms, given, power, rng)
        mean, spread = posterior.at(asked)
        return mean, np.hypot(spread, posterior.weights.noise_sd[asked.noise])
    return _simple(method, given, asked, power), np.full(len(test), np.nan)


def _simple(method: str, given: Design, asked: Design, power: np.ndarray) -> np.ndarray:
    if method == NEAREST:
        return np.asarray(power[cKDTree(given.plan).query(asked.plan)[1]])
    if method == MEAN:
        columns: list[str] = []
    else:
        assert method == REGRESSION
        columns = [DISTANCE, *SECTOR, ROOFS[-1]]  # the last step tells whether the line to the mast is clear
    middle = given.columns([ONE, *columns])[:, 1:].mean(
        axis=0
    )  # with it, a receiver without rows has the mean's offset
    a, b = (
        np.concatenate([d.groups["receiver"], d.columns([ONE, *columns])[:, 1:] - middle], axis=1)
        for d in (given, asked)
    )
    found = np.linalg.lstsq(a, power - power.mean(), rcond=None)[0]
    return np.asarray(power.mean() + b @ found)
