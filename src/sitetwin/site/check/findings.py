"""What a check of a site says: findings, and the report that holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

EXAMPLES = 5
"""Objects that a finding names."""

_SHOWN = 12  # findings of a report that prints itself


@dataclass(frozen=True)
class Finding:
    """One thing that a user should know before tracing a site.

    Attributes:
        severity: "error" (rays or places of users will be wrong there), "warning" (likely unwanted), "note".
        check: Short name of the check.
        text: What was found, one sentence.
        count: How often it was found.
        objects: Names of the first few objects that it was found in.
        mend: What to do about it; empty if nothing has to be done.
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
        hash: Hash of the site.
        counts: Triangles, facets, objects, buildings, materials, canopies, trunks, scatter centres.
        extent: Lowest and highest corner of the mesh, metres, as two lists of three numbers.
        kinds: Number of triangles, number of facets and area (m2) of the ground, roofs, walls and undersides.
        materials: For each material its name, share of the surface area, thickness, and whether the carrier lies in its
            range (None if no carrier was given).
        vegetation: Number of canopies by shape, by leaf type and by leaf cycle.
        imported: The account of the import: kind, what, count and examples of each entry.
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

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of(kind))} {kind}s" for kind in ("error", "warning", "note"))
        lines = [f"  {finding.severity}: {finding.text}" for finding in self.findings[:_SHOWN]]
        more = len(self.findings) - _SHOWN
        rest = [f"  and {more} more findings"] if more > 0 else []
        return "\n".join([f"SiteReport of '{self.site}': {counts}", *lines, *rest])

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of one severity ("error", "warning" or "note")."""
        return tuple(f for f in self.findings if f.severity == severity)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as a JSON-serialisable dictionary."""
        facts = asdict(self)
        facts["findings"] = [{**asdict(f), "objects": list(f.objects)} for f in self.findings]
        return {**facts, "ok": self.ok}
