"""The account of an import: what was read, repaired, assumed and dropped. Nothing is lost without an entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["read", "repaired", "assumed", "dropped"]
KINDS: tuple[Kind, ...] = ("read", "repaired", "assumed", "dropped")

_EXAMPLES = 5


@dataclass
class Entry:
    """One line of the account.

    Attributes:
        kind: "read", "repaired", "assumed" or "dropped".
        what: The thing and the reason, in words equal for all alike ("building height from levels").
        count: How often.
        examples: Keys of the first few.
    """

    kind: Kind
    what: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Ledger:
    """Counts what an importer does, by kind and wording; keeps the keys of the first few of each."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Kind, str], Entry] = {}

    def note(self, kind: Kind, what: str, key: str = "", count: int = 1) -> None:
        """Count something.

        Args:
            kind: "read", "repaired", "assumed" or "dropped".
            what: The thing and the reason; equal wordings are one line of the table.
            key: Which feature, for the examples.
            count: How many.
        """
        entry = self._entries.setdefault((kind, what), Entry(kind, what))
        entry.count += count
        if key and len(entry.examples) < _EXAMPLES and key not in entry.examples:
            entry.examples.append(key)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The lines: read, repaired, assumed, dropped; by wording within each."""
        return tuple(sorted(self._entries.values(), key=lambda e: (KINDS.index(e.kind), e.what)))

    def count(self, kind: Kind) -> int:
        """Sum over the lines of one kind."""
        return sum(e.count for e in self._entries.values() if e.kind == kind)

    def to_list(self) -> list[dict[str, Any]]:
        """The lines as dictionaries, for a site's provenance."""
        return [{"kind": e.kind, "what": e.what, "count": e.count, "examples": e.examples} for e in self.entries]
