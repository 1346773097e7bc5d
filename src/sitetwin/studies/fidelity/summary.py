"""From the errors of single users to the table of fidelity: what each twin costs against the perfect one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.statistics import Interval, bootstrap_blocks, paired_difference_db
from sitetwin.studies.fidelity.config import Difference
from sitetwin.studies.fidelity.kinds import PERFECT


@dataclass(frozen=True)
class Found:
    """What one codec of one twin did in one seed.

    Attributes:
        difference: In what the twin differs.
        method: Codec.
        seed: The seed.
        errors: NMSE of each test user.
        used_bits: Bits of a report, the mean over users.
    """

    difference: Difference
    method: str
    seed: int
    errors: list[float]
    used_bits: float


def rows_of(found: Sequence[Found], blocks: dict[int, list[int]]) -> list[dict[str, Any]]:
    """Rows of the table, over all seeds.

    Users of all seeds are pooled. Intervals draw whole blocks of space, and each block with all that all seeds tested
    in it; a paired difference draws both codecs together.

    Args:
        found: All figures; each twin's seeds are among the perfect twin's.
        blocks: Block of space of each test user, by seed; blocks have the same numbers in all seeds.
    """
    perfect = {(one.method, one.seed): one for one in found if one.difference.kind == PERFECT}
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one.difference.name, one.method), []).append(one)
    rows = []
    for (name, method), group in groups.items():
        true = [perfect[method, one.seed] for one in group]
        a, b = (torch.tensor([error for one in some for error in one.errors]).double() for some in (group, true))
        places = torch.tensor([block for one in group for block in blocks[one.seed]])
        costs = [_db(one.errors) - _db(other.errors) for one, other in zip(group, true, strict=True)]
        rows.append(
            {
                **group[0].difference.model_dump(),
                "name": name,
                "method": method,
                "used_bits": round(sum(one.used_bits for one in group) / len(group), 2),
                "nmse_db": _told(bootstrap_blocks(a, places, _rng(), _mean_db), [_db(one.errors) for one in group]),
                "cost_db": _told(paired_difference_db(a, b, _rng(), places), costs),
            }
        )
    return rows


def _db(errors: list[float]) -> float:
    return _mean_db(torch.tensor(errors).double())


def _mean_db(errors: Tensor) -> float:
    return to_db(errors.mean())


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _told(interval: Interval, values: list[float]) -> dict[str, Any]:
    low, high = (_short(end) if torch.isfinite(torch.tensor(end)) else None for end in (interval.low, interval.high))
    return {
        "mean": _short(interval.estimate),
        "low": low,
        "high": high,
        "n": interval.count,
        "values": [_short(value) for value in values],
        "kind": f"over {interval.over} of space",
    }


def _short(value: float | Tensor) -> float:
    return float(f"{float(value):.6g}")
