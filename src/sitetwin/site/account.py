"""Read the account of an import from a site: most importers keep a table, some keep sentences."""

from __future__ import annotations

from typing import Any

from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.site import Site

LEFT_OUT = "left out"
"""Words of a sentence about what an importer dropped, not assumed."""


def account_of(site: Site) -> list[dict[str, Any]]:
    """Return what an import read, repaired, assumed and dropped: kind, what, count and examples of each.

    Importers of Mitsuba scenes and Wireless InSite projects keep sentences, in ``provenance["assumptions"]``; they
    become lines of the same account.
    """
    stored = [entry for entry in site.provenance.get("import", []) if isinstance(entry, dict)]
    if stored or "source" not in site.provenance:
        return stored
    ledger = Ledger()
    ledger.note("read", "objects", count=len(site.objects))
    for sentence in map(str, site.provenance.get("assumptions", [])):
        ledger.note("dropped" if LEFT_OUT in sentence else "assumed", sentence)
    return ledger.to_list()


def file_origin(site: Site) -> tuple[float, float, float] | None:
    """Return x, y, z of a site's origin in the coordinates of the file it was imported from, or None if they are equal.

    The coordinates are in metres, or in the units of the file's reference system.
    """
    stored = site.provenance.get("source", {}).get("origin")
    if not isinstance(stored, list) or len(stored) != 3 or not any(stored):
        return None
    x, y, z = (float(value) for value in stored)
    return x, y, z
