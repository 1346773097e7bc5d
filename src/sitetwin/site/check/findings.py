"""What a check of a site says: findings, and the report that holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

EXAMPLES = 5
"""Objects that a finding names."""


@dataclass(frozen=True)
class Finding:
    """Something that is worth knowing before a trace.

    Attributes:
        severity: "error" (rays or places of users will be wrong there), "warning" (likely unwanted), "note".
        check: Short name of the check.
        text: What was found, one sentence.
        count: How often.
        objects: Names of the first few.
        mend: What to do about it; empty where nothing need be done.
    """

    severity: Severity
    check: str
    text: str
    count: int
    objects: tuple[str, ...] = ()
    mend: str = ""


@dataclass(frozen=True)
class SiteReport:
    """What `check_site` found.

    Attributes:
        site: Name of the site.
        hash: Its hash.
        counts: Triangles, facets, objects, buildings, materials, canopies, trunks, scatter centres.
        extent: (2, 3) lowest and highest corner, metres, as lists.
        kinds: For ground, roofs, walls and undersides: triangles, facets, area in m2.
        materials: Name, share of the surface area, thickness, and whether the carrier lies in its range (None: not
            asked).
        vegetation: Canopies by shape, by leaf type and by leaf cycle.
        imported: The account of the import: kind, what, count, examples.
        findings: Errors first, then warnings, then notes.
    """

    site: str
    hash: str
    counts: dict[str, int]
    extent: list[list[float]]
    kinds: dict[str, dict[str, float]]
    materials: list[dict[str, Any]]
    vegetation: dict[str, dict[str, int]]
    imported: list[dict[str, Any]]
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-serialisable."""
        facts = asdict(self)
        facts["findings"] = [{**asdict(f), "objects": list(f.objects)} for f in self.findings]
        return {**facts, "ok": self.ok}
