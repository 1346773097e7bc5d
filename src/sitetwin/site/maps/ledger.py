"""The account of an import: what was read, repaired, assumed and dropped. Every loss has an entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["read", "repaired", "assumed", "dropped"]
KINDS: tuple[Kind, ...] = ("read", "repaired", "assumed", "dropped")

_EXAMPLES = 5
_SHOWN = 15  # lines of a ledger that prints itself


@dataclass
class Entry:
    """One line of the account.

    Attributes:
        kind: "read", "repaired", "assumed" or "dropped".
        what: The thing and the reason, in the same words for all cases of one kind ("building height from levels").
        count: How often it happened.
        examples: Keys of the first few features.
    """

    kind: Kind
    what: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Ledger:
    """Counts what an importer does, by kind and wording, and keeps the keys of the first few features of each."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Kind, str], Entry] = {}

    def __repr__(self) -> str:
        lines = [f"{e.kind:<9} {e.count:>9,}  {e.what}" for e in self.entries]
        shown = [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else lines
        return "\n".join(["Ledger", *(f"  {line}" for line in shown)])

    def note(self, kind: Kind, what: str, key: str = "", count: int = 1) -> None:
        """Count one thing that an importer did.

        Args:
            kind: "read", "repaired", "assumed" or "dropped".
            what: The thing and the reason; equal wordings share one line of the table.
            key: Key of the feature, for the examples.
            count: How many times to count it.
        """
        entry = self._entries.setdefault((kind, what), Entry(kind, what))
        entry.count += count
        if key and len(entry.examples) < _EXAMPLES and key not in entry.examples:
            entry.examples.append(key)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the lines in the order read, repaired, assumed, dropped, and by wording within each kind."""
        return tuple(sorted(self._entries.values(), key=lambda e: (KINDS.index(e.kind), e.what)))

    def count(self, kind: Kind) -> int:
        """Return the sum of the counts of one kind."""
        return sum(e.count for e in self._entries.values() if e.kind == kind)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the lines as dictionaries, for a site's provenance."""
        return [{"kind": e.kind, "what": e.what, "count": e.count, "examples": e.examples} for e in self.entries]
