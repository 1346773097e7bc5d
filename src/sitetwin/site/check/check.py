"""Check whether a site is fit to be traced: what it holds, what is wrong with it, and how to mend that.

The check covers the mesh (holes, facing, surfaces in one another, slivers), the places of buildings and trees, the
materials at a carrier, and what an import assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.account import account_of
from sitetwin.site.assumption_effects import CARRIERS_HZ, assumption_effects
from sitetwin.site.check.findings import EXAMPLES, SEVERITIES, Finding, SiteReport
from sitetwin.site.check.geometry import geometry_findings
from sitetwin.site.check.view import View
from sitetwin.site.site import Site

KINDS = ("ground", "roofs", "walls", "undersides")

_STEEP = 0.5  # cosine between normal and vertical: less is a wall


def check_site(site: Site, frequency_hz: float | None = None) -> SiteReport:
    """Look for everything that would make traces of a site wrong.

    Buildings are the objects that are not ground; which of them are one building the importer or their shapes say
    (`Mesh.buildings`), not their names.

    Args:
        site: The site.
        frequency_hz: Carrier at which the materials must be specified, Hz; with None, materials are not checked.

    Raises:
        SiteTwinError: The frequency is not positive.
    """
    if frequency_hz is not None and not (np.isfinite(frequency_hz) and frequency_hz > 0):
        raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
    view = View(site)
    materials = _materials(view, frequency_hz)
    imported = account_of(site)
    findings = [
        *geometry_findings(view),
        *_material_findings(materials, frequency_hz),
        *_import_findings(imported),
        *_assumed_findings(site, frequency_hz),
    ]
    trunks = int(site.vegetation.is_trunk.sum())
    return SiteReport(
        site=site.name,
        hash=site.hash,
        counts={
            "triangles": site.num_triangles,
            "facets": site.num_facets,
            "objects": len(site.objects),
            "buildings": int(np.isfinite(view.bodies.low).sum()),
            "materials": len(site.materials),
            "canopies": site.vegetation.num_volumes - trunks,
            "trunks": trunks,
            "scatter_centres": site.vegetation.num_scatter_centres,
        },
        extent=site.bounds.tolist(),
        kinds=_kinds(view),
        materials=materials,
        vegetation=_vegetation(site),
        imported=imported,
        findings=tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))),
    )


def _materials(view: View, frequency_hz: float | None) -> list[dict[str, Any]]:
    site = view.site
    area = np.bincount(site.facet_material[site.triangle_facet], weights=view.area, minlength=len(site.materials))
    total = float(area.sum())
    found: list[dict[str, Any]] = []
    for material, covered in zip(site.materials, area, strict=True):
        inside: bool | None = None
        if frequency_hz is not None:
            inside = not material.ranges or any(row.contains(frequency_hz / 1e9) for row in material.ranges)
        found.append(
            {
                "name": material.name,
                "itu": material.itu,
                "thickness_m": material.thickness,
                "area_share": float(covered) / total if total else 0.0,
                "in_range": inside,
                "ranges_ghz": [[row.low_ghz, row.high_ghz] for row in material.ranges],
            }
        )
    return found


def _material_findings(materials: list[dict[str, Any]], frequency_hz: float | None) -> Iterator[Finding]:
    outside = [m for m in materials if m["in_range"] is False and m["area_share"] > 0]
    if outside and frequency_hz is not None:
        ranges = "; ".join(
            f"{m['name']}: {', '.join(f'{low:g}-{high:g}' for low, high in m['ranges_ghz'])} GHz" for m in outside
        )
        yield Finding(
            "warning",
            "material range",
            f"the ITU-R does not give {len(outside)} materials at {frequency_hz / 1e9:g} GHz ({ranges})",
            len(outside),
            tuple(m["name"] for m in outside[:EXAMPLES]),
            "take another material or constants of your own; by default the values at the nearest edge are used",
        )


def _import_findings(imported: list[dict[str, Any]]) -> Iterator[Finding]:
    for entry in imported:
        if entry.get("kind") in ("assumed", "dropped") and entry.get("count"):
            examples = tuple(str(key) for key in entry.get("examples", ())[:EXAMPLES])
            yield Finding("note", f"import, {entry['kind']}", str(entry.get("what", "")), int(entry["count"]), examples)


def _assumed_findings(site: Site, frequency_hz: float | None) -> Iterator[Finding]:
    carriers = CARRIERS_HZ if frequency_hz is None else (frequency_hz,)
    for sentence in assumption_effects(site, carriers):
        yield Finding("note", "assumed materials", sentence, 1)


def _kinds(view: View) -> dict[str, dict[str, float]]:
    kind = np.where(view.normal[:, 2] > _STEEP, 1, np.where(view.normal[:, 2] < -_STEEP, 3, 2))
    kind[view.is_ground] = 0
    facet_kind = np.zeros(view.site.num_facets, dtype=np.int64)
    facet_kind[view.site.triangle_facet[::-1]] = kind[::-1]
    return {
        name: {
            "triangles": int(np.count_nonzero(kind == k)),
            "facets": int(np.count_nonzero(facet_kind == k)),
            "area_m2": float(view.area[kind == k].sum()),
        }
        for k, name in enumerate(KINDS)
    }


def _vegetation(site: Site) -> dict[str, dict[str, int]]:
    volumes = [v for v, trunk in zip(site.vegetation.volumes, site.vegetation.is_trunk, strict=True) if not trunk]
    counted: dict[str, dict[str, int]] = {}
    for what, values in (
        ("shape", [v.shape for v in volumes]),
        ("leaf_type", [v.leaf_type for v in volumes]),
        ("leaf_cycle", [v.leaf_cycle for v in volumes]),
    ):
        counted[what] = {value: values.count(value) for value in sorted(set(values))}
    return counted
