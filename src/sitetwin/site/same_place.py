"""Whether two sites are of the same place, so that one may replace the other in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.projection import Georeference, LocalProjection
from sitetwin.site.site import Site


def refuse_another(site: Site, there: dict[str, Any], folder: Path) -> None:
    """Refuse to replace a saved site by one of another place.

    Of two sites with a georeference, the place is the same where the origin of the saved one lies within the bounds of
    the new one; otherwise the files that they were made of must be the same.

    Args:
        site: The new site.
        there: Description of the saved site.
        folder: Its folder.

    Raises:
        SiteTwinError: The saved site is another one.
    """
    provenance = there.get("provenance")
    before = provenance if isinstance(provenance, dict) else {}
    if there.get("hash") == site.hash:
        return
    if _same_place(site, before, there.get("georeference")):
        return
    raise SiteTwinError(
        f"'{folder}' holds a site of another place ('{there.get('name')}'); choose another folder, or replace it "
        "with --force (force=True in Python)"
    )


def _same_place(site: Site, before: dict[str, Any], origin: Any) -> bool:
    if site.georeference is not None and isinstance(origin, dict):
        try:
            there = Georeference(**origin)
            degrees = np.array([[there.longitude, there.latitude]], dtype=np.float64)
            xy = LocalProjection.of(site.georeference).to_local(degrees)[0]
        except (TypeError, ValueError):
            return False
        return bool((xy >= site.bounds[0, :2]).all() and (xy <= site.bounds[1, :2]).all())
    return _hashes(site.provenance.get("source")) == _hashes(before.get("source"))


def _hashes(source: Any) -> set[str]:
    """All SHA-256 that the account of a source names."""
    if isinstance(source, dict):
        own = {str(value) for key, value in source.items() if key.endswith("sha256")}
        return own.union(*(_hashes(value) for value in source.values()))
    return set().union(*map(_hashes, source)) if isinstance(source, list) else set()
