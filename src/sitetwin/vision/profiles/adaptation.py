"""The angular mapping M between simulated and measured profiles, fitted to few measured rows (equation 3).

The paper minimises the mean squared error by stochastic gradient descent, batches of 256 and a rate of 1e-3, and states
neither the scale of the profiles nor the first M. With path gains as they are, near 1e-10, M would not move. Here each
profile is brought to the peak 1 before it is mapped, M begins as the identity, and training ends where held-out rows no
longer gain. M has 32,400 numbers and a calibration set tens of rows: the default is the ridge towards the identity in
closed form, which leaves alone what the rows say nothing of.

Two rows of one drive are nearly the same row. Whatever is held out is held out by drives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.vision.profiles.codebook import ANGLES

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Ridges that cross-validation chooses among, in units of a profile's energy."""

FitBy = Literal["ridge", "sgd"]
POOLED = "pooled"
"""Name of the mapping for scenarios that have none of their own."""


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent.

    Attributes:
        batch: Rows of a step, as printed.
        rate: As printed.
        steps: Most steps; the paper states none.
        patience: Steps without gain on the held-out rows after which training ends.
        seed: Of the order of the rows.
    """

    batch: int = 256
    rate: float = 1e-3
    steps: int = 5000
    patience: int = 500
    seed: int = 0


@dataclass(frozen=True, eq=False)
class AngleMap:
    """A fitted M.

    Attributes:
        matrix: M.
        by: "ridge" or "sgd".
        strength: The ridge, or the number of steps.
        converged: False where descent ended because its steps did.
    """

    matrix: Float[np.ndarray, "180 180"]
    by: FitBy
    strength: float
    converged: bool = True

    def __call__(self, profiles: Float[np.ndarray, "rows 180"]) -> Float[np.ndarray, "rows 180"]:
        """Map profiles, each brought to the peak 1; a profile of nothing stays nothing."""
        return peak_one(profiles) @ self.matrix.T


def peak_one(profiles: Float[np.ndarray, "rows 180"]) -> Float[np.ndarray, "rows 180"]:
    """Bring each profile to the largest magnitude 1; a profile of nothing stays nothing."""
    peak = np.abs(profiles).max(axis=1, keepdims=True)
    return profiles / np.where(peak > 0, peak, 1.0)


def fit_map(
    simulated: Float[np.ndarray, "rows 180"],
    measured: Float[np.ndarray, "rows 180"],
    drive: Int[np.ndarray, " rows"],
    by: FitBy = "ridge",
    ridge: float | None = None,
    descent: Descent = Descent(),
) -> AngleMap:
    """Fit M to pairs of profiles.

    Args:
        simulated: What M is applied to.
        measured: What should come of it.
        drive: Drive of each row; held out together.
        by: "ridge", or "sgd" as printed.
        ridge: Weight of the identity; chosen by cross-validation over drives by default, 1 where there is one drive.
        descent: For "sgd". A fifth of the drives, at least one, is held out to end it; with one drive all steps are
            taken.

    Raises:
        SiteTwinError: There are no rows, or a profile is not finite.
    """
    if by not in get_args(FitBy):
        raise SiteTwinError(f"the angular mapping is fitted by one of {', '.join(get_args(FitBy))}, not by '{by}'")
    if not len(simulated) or len(simulated) != len(measured) or len(drive) != len(measured):
        raise SiteTwinError(
            f"the angular mapping needs pairs of profiles with their drives; there are {len(simulated)}, "
            f"{len(measured)} and {len(drive)}"
        )
    if not (np.isfinite(simulated).all() and np.isfinite(measured).all()):
        raise SiteTwinError("profiles to fit the angular mapping to must be finite; drop the other rows")
    x, y = peak_one(simulated), peak_one(measured)
    if by == "sgd":
        return _descended(x, y, drive, descent)
    if ridge is None:
        ridge = _chosen_ridge(x, y, drive)
    if not ridge > 0:
        raise SiteTwinError(f"the ridge of the angular mapping must be positive, not {ridge:g}")
    return AngleMap(_ridge(x, y, ridge), "ridge", float(ridge))


def _ridge(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """The M that minimises the squared error plus `ridge` times the energy of a profile times |M - I|^2."""
    energy = float((x**2).sum(axis=1).mean()) or 1.0
    gram = x.T @ x + ridge * energy * np.eye(ANGLES)
    return np.asarray(np.eye(ANGLES) + np.linalg.solve(gram, x.T @ (y - x)).T)


def _chosen_ridge(x: np.ndarray, y: np.ndarray, drive: np.ndarray) -> float:
    """The ridge with the least error on drives left out, the strongest among equals."""
    drives = np.unique(drive)
    if len(drives) < 2:
        return 1.0
    groups = np.searchsorted(drives, drive) % 5
    error = dict.fromkeys(reversed(RIDGES), 0.0)
    for group in np.unique(groups):
        out = groups == group
        for ridge in error:
            error[ridge] += float(((x[out] @ _ridge(x[~out], y[~out], ridge).T - y[out]) ** 2).sum())
    return min(error, key=error.__getitem__)


def _descended(x: np.ndarray, y: np.ndarray, drive: np.ndarray, descent: Descent) -> AngleMap:
    rng = np.random.default_rng(descent.seed)
    drives = rng.permutation(np.unique(drive))
    held = np.isin(drive, drives[: max(1, len(drives) // 5)]) if len(drives) > 1 else np.zeros(len(x), dtype=bool)
    inputs, wanted = (torch.from_numpy(np.ascontiguousarray(part[~held])) for part in (x, y))
    matrix = torch.eye(ANGLES, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([matrix], lr=descent.rate)
    judged, sought = x[held], y[held]
    best, kept, since, taken = np.inf, np.eye(ANGLES), 0, 0
    while taken < descent.steps and (not held.any() or since < descent.patience):
        for rows in torch.from_numpy(rng.permutation(len(inputs))).split(descent.batch):
            loss = (inputs[rows] @ matrix.T - wanted[rows]).square().sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            taken, since = taken + 1, since + 1
            now = matrix.detach().numpy()
            error = float(((judged @ now.T - sought) ** 2).sum()) if len(judged) else -float(taken)
            if error < best:
                best, kept, since = error, now.copy(), 0
            if taken == descent.steps:
                break
    return AngleMap(kept, "sgd", float(taken), converged=bool(held.any()) and since >= descent.patience)


@dataclass(frozen=True, eq=False)
class ScenarioMaps:
    """One M for each scenario that has calibration rows, and one of all of them together for those that have none.

    The paper says "calibration set only" and does not say whether M is one for each scenario. The calibration set of
    the challenge has no rows of scenario 34, although a result is printed for it: it takes the pooled mapping here.

    Attributes:
        of: By name of the scenario, and `POOLED`.
    """

    of: Mapping[str, AngleMap]

    @classmethod
    def fit(
        cls,
        simulated: Float[np.ndarray, "rows 180"],
        measured: Float[np.ndarray, "rows 180"],
        scenario: np.ndarray,
        drive: Int[np.ndarray, " rows"],
        by: FitBy = "ridge",
        ridge: float | None = None,
        descent: Descent = Descent(),
    ) -> ScenarioMaps:
        """Fit the mappings.

        Args:
            simulated: Of all scenarios.
            measured: Of all scenarios.
            scenario: Name of the scenario of each row.
            drive: Drive of each row within its scenario.
            by: As for `fit_map`.
            ridge: As for `fit_map`.
            descent: As for `fit_map`.

        Raises:
            SiteTwinError: As for `fit_map`.
        """
        names = [str(name) for name in np.unique(scenario)]
        place = np.searchsorted(np.array(names), scenario.astype(str))
        apart = np.unique(np.stack([place, drive], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        maps = {POOLED: fit_map(simulated, measured, apart.astype(np.int64), by, ridge, descent)}
        for name in names:
            rows = scenario.astype(str) == name
            maps[name] = fit_map(simulated[rows], measured[rows], drive[rows], by, ridge, descent)
        return cls(maps)

    def __getitem__(self, scenario: str) -> AngleMap:
        """The mapping of a scenario, or the pooled one."""
        return self.of.get(scenario, self.of[POOLED])

    def is_pooled(self, scenario: str) -> bool:
        """Whether a scenario takes the pooled mapping."""
        return scenario not in self.of
