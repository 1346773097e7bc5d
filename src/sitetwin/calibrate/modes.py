"""Modes of the geometry: several starts, each refined robustly, each with its evidence.

The starts lie on a grid over boresight, lag, scale and the station's place. A direction is read from each row of powers
(`sitetwin.calibrate.readings`); Gauss-Newton steps with Student's t weights lead each start to its maximum a
posteriori. Its evidence is Laplace's: the bounded costs of the rows, the prior, and the volume of the maximum
(D. MacKay, "Information theory, inference, and learning algorithms", 2003, ch. 27).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.geometry import BeamPriors, Seen, direction, held
from sitetwin.calibrate.readings import at
from sitetwin.calibrate.turns import PRICE_OF_A_CHANGE, TURNS_DEG, find_sessions

_BORESIGHTS = np.arange(-60.0, 60.1, 3.0)
_OFFSETS_M = ((-2.0, 0.0, 2.0), (-3.0, 0.0, 3.0))
_LAGS = (-6.0, -3.0, 0.0, 3.0)
_SCALES = (0.9, 1.0)
_STARTS = 8
_APART_DEG = 4.0  # of two starts, in the mean over the rows
_SAME_DEG = 1.0  # nearer modes are one
_LEAST_SHARE = 0.02  # of a mode that is kept
_STEPS = 12
_STEP = 0.8
_ROWS_OF_DRIVE = 3.0
_MOST_ROWS = 200  # that the starts are tried on


@dataclass(frozen=True, eq=False)
class Mode:
    """A maximum of the posterior of the geometry.

    Attributes:
        unknowns: Where it lies.
        evidence: Nats, up to a constant of the rows.
        turn_deg: Turn of the array in the session of each row.
        turn_cost: Nats that each of `TURNS_DEG` costs each row.
        share: Of the posterior.
    """

    unknowns: Float[np.ndarray, " unknowns"]
    evidence: float
    turn_deg: Float[np.ndarray, " rows"]
    turn_cost: Float[np.ndarray, "rows turns"]
    share: float = 1.0


def starts(
    priors: BeamPriors, seen: Seen, cost: Float[np.ndarray, "rows directions"]
) -> Float[np.ndarray, "starts unknowns"]:
    """The best points of the grid that see the rows in different directions."""
    few = np.linspace(0, len(cost) - 1, min(len(cost), _MOST_ROWS)).astype(np.int64)
    seen, cost = seen.rows(few), cost[few]
    axes = np.meshgrid(_BORESIGHTS, *_OFFSETS_M, [0.0], _LAGS, _SCALES, indexing="ij")
    grid = np.stack(axes, axis=-1).reshape(-1, len(axes)).astype(np.float64)
    seen_deg = direction(grid, seen)[0]
    total = at(cost, seen_deg).sum(axis=1) + 0.5 * (((grid - priors.mean) / priors.sd) ** 2).sum(axis=1)
    kept: list[int] = []
    for k in np.argsort(total, kind="stable").tolist():
        if all(np.abs(seen_deg[k] - seen_deg[other]).mean() > _APART_DEG for other in kept):
            kept.append(k)
        if len(kept) == _STARTS:
            break
    return grid[kept]


def refined(
    priors: BeamPriors,
    unknowns: Float[np.ndarray, "modes unknowns"],
    seen: Seen,
    read_deg: Float[np.ndarray, " rows"],
    noise_deg: Float[np.ndarray, " rows"],
) -> tuple[Float[np.ndarray, "modes unknowns"], Float[np.ndarray, "modes unknowns unknowns"]]:
    """Maxima a posteriori from some starts, and the curvature at each."""
    precision, nu = 1 / priors.sd**2, priors.freedom
    curvature = np.tile(np.diag(precision), (len(unknowns), 1, 1))
    for _ in range(_STEPS):
        degrees, slope = direction(unknowns, seen)
        error = read_deg - degrees
        weight = (nu + 1) / (nu + (error / noise_deg) ** 2) / noise_deg**2
        curvature = np.einsum("mni,mn,mnj->mij", slope, weight, slope) + np.diag(precision)
        fall = np.einsum("mni,mn->mi", slope, weight * error) - precision * (unknowns - priors.mean)
        unknowns = held(unknowns + _STEP * np.linalg.solve(curvature, fall[..., None])[..., 0])
    return unknowns, curvature


def find_modes(
    priors: BeamPriors,
    seen: Seen,
    drive: np.ndarray,
    cost: Float[np.ndarray, "rows directions"],
    read_deg: Float[np.ndarray, " rows"],
    noise_deg: Float[np.ndarray, " rows"],
    begun: Float[np.ndarray, "starts unknowns"] | None = None,
) -> list[Mode]:
    """The modes, the likeliest first.

    Args:
        priors: Priors.
        seen: The rows.
        drive: Their drives.
        cost: Nats of each direction for each row.
        read_deg: Directions read from the rows.
        noise_deg: Their errors.
        begun: Where to start; the best points of the grid by default.
    """
    begun = starts(priors, seen, cost) if begun is None else begun
    first, _ = refined(priors, begun, seen, read_deg, noise_deg + 0.5)
    found = [_with_turns(priors, one, seen, drive, cost, read_deg, noise_deg) for one in first]
    found.sort(key=lambda mode: -mode.evidence)
    kept: list[Mode] = []
    for mode in found:
        degrees = direction(mode.unknowns, seen)[0]
        if all(np.abs(degrees - direction(m.unknowns, seen)[0]).mean() > _SAME_DEG for m in kept):
            kept.append(mode)
    share = np.exp(np.array([mode.evidence for mode in kept]) - kept[0].evidence)
    share = np.where(share < _LEAST_SHARE * share.sum(), 0.0, share)
    share /= share.sum()
    return [
        Mode(m.unknowns, m.evidence, m.turn_deg, m.turn_cost, float(s))
        for m, s in zip(kept, share, strict=True)
        if s > 0
    ]


def _with_turns(
    priors: BeamPriors,
    unknowns: np.ndarray,
    seen: Seen,
    drive: np.ndarray,
    cost: np.ndarray,
    read_deg: np.ndarray,
    noise_deg: np.ndarray,
) -> Mode:
    """A mode from where a start has led to, turns of the array between drives found on the way."""
    sessions = find_sessions(drive[None], TURNS_DEG, turn_costs(unknowns, seen, cost)[None])
    turn = sessions.turn_deg[0][sessions.session[0]]
    ended, curvature = refined(priors, unknowns[None], seen, read_deg + turn, noise_deg)
    misfit = at(cost, direction(ended[0], seen)[0] - turn).sum()
    prior = 0.5 * (((ended[0] - priors.mean) / priors.sd) ** 2).sum()
    volume = 0.5 * np.linalg.slogdet(curvature[0])[1]
    price = PRICE_OF_A_CHANGE * (sessions.turn_deg.shape[1] - 1)
    return Mode(ended[0], float(-misfit - prior - volume - price), turn, turn_costs(ended[0], seen, cost))


def turn_costs(
    unknowns: Float[np.ndarray, " unknowns"], seen: Seen, cost: Float[np.ndarray, "rows directions"]
) -> Float[np.ndarray, "rows turns"]:
    """Nats that each of `TURNS_DEG` costs each row; the rows of a drive share its bias, and count as a few at most."""
    _, place, count = np.unique(seen.drive, return_inverse=True, return_counts=True)
    share = np.minimum(1.0, _ROWS_OF_DRIVE / count)[place]
    return (share * at(cost, direction(unknowns, seen)[0] - TURNS_DEG[:, None])).T
