"""Splits of measured users into training and test, and how far apart they lie.

The twin may be rendered everywhere: only the target world's users need to be disjoint in space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree
from torch import Tensor

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True, eq=False)
class Split:
    """User indices of both sides.

    Attributes:
        train: int64, ascending for block splits, shuffled for random ones.
        test: int64.
        block: int64, id of each user's spatial block, or None for a random split.
        dropped: Users in the guard zone, in neither.
    """

    train: Int[Tensor, " train"]
    test: Int[Tensor, " test"]
    block: Int[Tensor, " users"] | None
    dropped: int


def random_split(users: int, generator: torch.Generator, train_share: float = 0.8) -> Split:
    """Shuffle and cut, as in the papers. Neighbours end up on both sides: good for comparability only.

    Raises:
        SiteTwinError: One side would be empty.
    """
    cut = int(users * train_share)
    if not 0 < cut < users:
        raise SiteTwinError(f"{users} users cannot be split at {train_share:g}; both sides need at least one user")
    order = torch.randperm(users, generator=generator)
    return Split(order[:cut], order[cut:], None, 0)


def spatial_blocks(positions: Shaped[Tensor, "users axes"], block_m: float = 25.0) -> Int[Tensor, " users"]:
    """Id of the square block (horizontal) each user stands in, counted from 0.

    Args:
        positions: Two or three coordinates, m.
        block_m: Side of a block, m.

    Raises:
        SiteTwinError: The side is not positive, or a position is not finite.
    """
    if not block_m > 0:
        raise SiteTwinError(f"the side of a spatial block must be positive, not {block_m:g} m")
    return _cells(positions, block_m).unique(dim=0, return_inverse=True)[1]


def _cells(positions: Tensor, block_m: float) -> Tensor:
    flat = positions[:, :2].to(torch.float64)
    if not bool(torch.isfinite(flat).all()):
        raise SiteTwinError("some user positions are not finite; drop these users before splitting")
    return torch.floor((flat - flat.amin(dim=0)) / block_m).to(torch.int64)


def block_split(
    positions: Shaped[Tensor, "users axes"],
    generator: torch.Generator,
    block_m: float = 25.0,
    guard_m: float = 10.0,
    test_share: float = 0.2,
) -> Split:
    """Whole blocks are test until they hold `test_share` of the users; users in the guard zone are dropped.

    Args:
        positions: Two or three coordinates, m; the horizontal ones count.
        generator: Order of the blocks.
        block_m: Side of the square blocks, m.
        guard_m: Least horizontal distance between a training and a test user, m.
        test_share: Share of users in test blocks, 0..1.

    Raises:
        SiteTwinError: Either side ends up empty.
    """
    block = spatial_blocks(positions, block_m)
    counts = torch.bincount(block)
    order = torch.randperm(len(counts), generator=generator)
    taken = int((counts[order].cumsum(0) < test_share * len(block)).sum()) + 1
    is_test = torch.isin(block, order[:taken])
    test, rest = is_test.nonzero()[:, 0], (~is_test).nonzero()[:, 0]
    far = nearest_distance(positions[rest], positions[test]) >= guard_m if len(test) else torch.ones(len(rest)).bool()
    train = rest[far]
    if not len(train) or not len(test):
        raise SiteTwinError(
            f"splitting {len(positions)} users in {len(counts)} blocks of {block_m:g} m with a guard of {guard_m:g} m "
            "leaves one side empty; use smaller blocks, a smaller guard or a larger area"
        )
    return Split(train, test, block, len(rest) - len(train))


def nearest_distance(
    points: Shaped[Tensor, "points axes"], others: Shaped[Tensor, "others axes"]
) -> Float[Tensor, " points"]:
    """Metres: horizontal distance from each point to the nearest of `others`; infinite without others."""
    if not len(points) or not len(others):
        return torch.full((len(points),), torch.inf, dtype=torch.float64)
    tree = cKDTree(others[:, :2].to(torch.float64).numpy())
    return torch.from_numpy(tree.query(points[:, :2].to(torch.float64).numpy())[0])
