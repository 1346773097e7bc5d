"""What is checked on real data: a register of cases, each with its figures and their bounds.

A case names the files that it needs below the data folder. Its function returns one number for each bound, so that
nothing is measured without a bound and no bound is left unmeasured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Measure = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True)
class Bound:
    """What a figure must keep to.

    Attributes:
        figure: What is measured, with its unit.
        low: Smallest number allowed; None for no limit.
        high: Largest number allowed; None for no limit.
        why: Where the bound comes from: a law, a count of the data's makers, a published figure.
    """

    figure: str
    low: float | None
    high: float | None
    why: str

    def keeps(self, value: float) -> bool:
        """Whether a number keeps to the bound; what is not a number keeps to none."""
        if math.isnan(value):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low == self.high and self.low is not None:
            return shown(self.low)
        if self.low is not None and self.high is not None:
            return f"{shown(self.low)} to {shown(self.high)}"
        return f"at least {shown(self.low)}" if self.low is not None else f"at most {shown(self.high or 0.0)}"


def exactly(figure: str, value: float, why: str) -> Bound:
    """A figure that must be this number."""
    return Bound(figure, value, value, why)


def at_most(figure: str, value: float, why: str) -> Bound:
    """A figure that must not be larger."""
    return Bound(figure, None, value, why)


def at_least(figure: str, value: float, why: str) -> Bound:
    """A figure that must not be smaller."""
    return Bound(figure, value, None, why)


def between(figure: str, low: float, high: float, why: str) -> Bound:
    """A figure that must lie between two numbers."""
    return Bound(figure, low, high, why)


def shown(value: float) -> str:
    """A number as the table writes it: counts and thousands whole, the rest with five digits."""
    if math.isfinite(value) and (abs(value) >= 1e4 or value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.5g}"


@dataclass(frozen=True)
class Case:
    """One check on real data.

    Attributes:
        name: Name of the case.
        needs: Files or folders below the data folder without which it is skipped.
        bounds: Its figures with their bounds.
        measure: Function that takes the data folder and returns one number for each figure.
    """

    name: str
    needs: tuple[str, ...]
    bounds: tuple[Bound, ...]
    measure: Measure

    def missing(self, data: Path) -> list[str]:
        """What it needs and the folder has not."""
        return [name for name in self.needs if not (data / name).exists()]
