"""Confidence intervals: over seeds (t), over users and over spatial blocks (bootstrap), paired between methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from scipy.special import stdtrit
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.finite import check_finite


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The statistic itself.
        low: Lower end; NaN where one value gives no interval.
        high: Upper end.
        level: Confidence level, 0..1.
        count: Number of independent things it rests on: seeds, users or blocks.
        over: What these things are.
    """

    estimate: float
    low: float
    high: float
    level: float
    count: int
    over: str

    def to_dict(self) -> dict[str, float | int | str]:
        """JSON-serialisable."""
        return asdict(self)


def seed_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean over independent seeds or draws (in the unit of the values, dB here).

    Raises:
        SiteTwinError: There are no values, or one is not finite.
    """
    n = len(values)
    if n == 0:
        raise SiteTwinError("a confidence interval needs at least one value")
    data = torch.tensor(values, dtype=torch.float64)
    check_finite(data, "the value", "seeds")
    mean = float(data.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, level, 1, "seeds")
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(data.std(correction=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, level, n, "seeds")


def mean_nmse_db(errors: Float[Tensor, " users"]) -> float:
    """10 log10 of the linear mean, the usual statistic of the bootstraps."""
    return to_db(errors.mean())


def bootstrap_users(
    errors: Float[Tensor, " users *figures"],
    generator: torch.Generator,
    statistic: Callable[[Tensor], float] = mean_nmse_db,
    level: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """Percentile bootstrap over users. Neighbours are alike, so this interval is too narrow: see `bootstrap_blocks`.

    Args:
        errors: Values per user; the statistic sees resampled rows.
        generator: For the draws.
        statistic: From rows to one number.
        level: Confidence level.
        draws: Resamples.

    Raises:
        SiteTwinError: There are no values, or one is not finite.
    """
    groups = torch.arange(len(errors))
    return _bootstrap(errors, groups, generator, statistic, level, draws, "users")


def bootstrap_blocks(
    errors: Float[Tensor, " users *figures"],
    blocks: Int[Tensor, " users"],
    generator: torch.Generator,
    statistic: Callable[[Tensor], float] = mean_nmse_db,
    level: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """Percentile bootstrap that draws whole spatial blocks, which keeps the correlation between neighbours.

    Args:
        errors: Values per user.
        blocks: The block of each user.
        generator: For the draws.
        statistic: From rows to one number.
        level: Confidence level.
        draws: Resamples.

    Raises:
        SiteTwinError: There are no values, not as many blocks as values, or a value is not finite.
    """
    if len(blocks) != len(errors):
        raise SiteTwinError(f"{len(errors)} errors go with {len(blocks)} blocks; give the block of each user")
    return _bootstrap(errors, blocks.unique(return_inverse=True)[1], generator, statistic, level, draws, "blocks")


def paired_difference_db(
    errors_a: Float[Tensor, " users"],
    errors_b: Tensor,
    generator: torch.Generator,
    blocks: Tensor | None = None,
    level: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """Mean NMSE of method a less that of method b, dB, on the same users; negative where a is better.

    Both are resampled together, by users or, where `blocks` are given, by blocks.

    Raises:
        SiteTwinError: The two are not of the same users, or an error is not finite: such a method wins nothing.
    """
    if errors_a.shape != errors_b.shape:
        raise SiteTwinError(
            f"paired errors must be of the same users, but there are {len(errors_a)} and {len(errors_b)}"
        )
    both = torch.stack([errors_a, errors_b], dim=1)

    def difference(rows: Tensor) -> float:
        a, b = rows.mean(dim=0)
        return to_db(a) - to_db(b)

    if blocks is None:
        return bootstrap_users(both, generator, difference, level, draws)
    return bootstrap_blocks(both, blocks, generator, difference, level, draws)


def _bootstrap(
    errors: Tensor,
    groups: Tensor,
    generator: torch.Generator,
    statistic: Callable[[Tensor], float],
    level: float,
    draws: int,
    over: str,
) -> Interval:
    if len(errors) == 0:
        raise SiteTwinError("a confidence interval needs at least one value")
    check_finite(errors, "the error", "users")
    errors = errors.to(torch.float64)
    members = groups.argsort(stable=True).split(torch.bincount(groups).tolist())
    singles = len(members) == len(errors)
    values = []
    for _ in range(draws):
        drawn = torch.randint(len(members), (len(members),), generator=generator)
        rows = drawn if singles else torch.cat([members[i] for i in drawn.tolist()])
        values.append(statistic(errors[rows]))
    tail = (1 - level) / 2
    low, high = torch.quantile(
        torch.tensor(values, dtype=torch.float64), torch.tensor([tail, 1 - tail]).double()
    ).tolist()
    return Interval(statistic(errors), low, high, level, len(members), over)
