"""What results of all studies are made of: records that refuse what they do not know, and means with intervals."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A part of a study's results: it does not change, and refuses keys that its schema does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Record):
    """A mean with its interval.

    Attributes:
        mean: The estimate.
        low: Lower end; None where one value gives no interval.
        high: Upper end, likewise.
        n: How many values or groups it comes from.
        kind: How the interval was found.
    """

    mean: float
    low: float | None
    high: float | None
    n: int | None = None
    kind: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None
