"""What results of all studies are made of: records, means with intervals, and how documents are written and read.

A reader is lenient: keys that its schema does not know are ignored, so that the results of a newer version can still be
shown, and numbers that are not finite count as missing. The writer is strict: it writes nothing that the schema does
not name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import LARGEST_JSON, parse_json, read_bytes


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite_or_none)]
"""A finite number, or None."""


class Record(BaseModel):
    """A part of a study's results; it does not change."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Document = TypeVar("Document", bound=Record)


class Estimate(Record):
    """A mean with its interval; `low` and `high` are missing where one value gives no interval.

    Attributes:
        mean: Mean of the values.
        low: Lower end of the interval.
        high: Upper end.
        n: Number of values or groups that it comes from.
        values: One for each seed, where the study keeps them.
        level: Confidence level, 0..1.
        kind: How the interval is made.
    """

    mean: Number = None
    low: Number = None
    high: Number = None
    n: int | None = None
    values: list[Number] = Field(default_factory=list)
    level: float = 0.95
    kind: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval to show."""
        if self.low is None or self.high is None:
            return False
        return not (self.n == 1 and self.low == self.high)


def as_document(results: Record) -> dict[str, Any]:
    """Return the content of a results file: the keys that were given, under the names that they have in the file."""
    return results.model_dump(mode="json", by_alias=True, exclude_unset=True)


def checked_record(kind: type[Document], content: Mapping[str, Any]) -> Document:
    """Check what is to be written against its schema, which must name every key.

    Args:
        kind: The schema.
        content: What is to be written.

    Raises:
        ValueError: A key or a value is not as the schema says: the code and its schema have drifted apart. Or a number
            is not finite.
    """
    results = kind.model_validate(content)
    if as_document(results) != json.loads(json.dumps(content, allow_nan=False)):
        raise ValueError("the results hold something that their schema does not name")
    return results


def parsed_record(kind: type[Document], raw: Any, where: str) -> Document:
    """Check and type the content of a results file.

    Args:
        kind: The schema.
        raw: What the JSON text gave.
        where: What to call it in an error.

    Raises:
        SiteTwinError: A value is missing or has the wrong type.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SiteTwinError(f"{where}: wrong at {place} ({first['msg']}); run the study again") from error


def read_document(kind: type[Document], path: Path, key: str, schema: str, refusal: str, where: str) -> Document:
    """Read, check and type a file of results.

    Args:
        kind: The schema's record.
        path: The file.
        key: Under which the file names its schema.
        schema: That name.
        refusal: What is said of a file of another schema, in a sentence.
        where: What to call the file where a value is wrong.

    Raises:
        SiteTwinError: It is missing, damaged, or of another schema.
    """
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get(key) != schema:
        raise SiteTwinError(refusal)
    return parsed_record(kind, raw, where)


def read_json(path: Path) -> Any:
    """Read a JSON file of a finished study.

    Raises:
        SiteTwinError: It is missing or damaged.
    """
    what, mend = f"'{path}'", "run the study again"
    return parse_json(read_bytes(path, what, LARGEST_JSON, mend), what, mend)
