"""The ASU campus: meshes of Wireless InSite, and line of sight at every point of their published grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Site, check_site, load_scene
from tests.real_data.cases import Case, at_most, between, exactly

FOLDER = "asu_campus"
STATION = np.array([166.0, 104.0, 22.0])
"""Metres, of the scenario's transmitter (`asu_campus1.TX_Loc.mat`)."""

STEP, HEIGHT = 1.0, 1.5
"""Metres, of the grid of users."""

MARGINAL = 1e-6
"""Barycentric coordinates: nearer to the edge of a triangle than this, a point may be counted on either side."""


def grid(data: Path) -> np.ndarray:
    """(U, 3) points of the published grid."""
    frame = json.loads((data / FOLDER / "georeference.json").read_text())
    x, y = (np.arange(low, high + STEP / 2, STEP) for low, high in (frame["x"], frame["y"]))
    plan = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.column_stack([plan, np.full(len(plan), HEIGHT)])


def sees(site: Site, station: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) which users see the station, and which are too near the rim of a shadow to tell.

    A triangle hides a user if the user lies in the cone that it spans from the station, and beyond it: three
    non-negative coordinates along its corners, with a sum of at least one. No ray is cast, nothing is rounded.
    """
    seen, marginal = np.ones(len(users), bool), np.zeros(len(users), bool)
    away = users - station
    for corners in site.vertices[site.triangles] - station:
        if abs(np.linalg.det(corners)) < 1e-9:  # the station lies in its plane
            continue
        share = away @ np.linalg.inv(corners)
        inside = np.minimum(share.min(axis=1), share.sum(axis=1) - 1)
        seen &= inside <= 0
        marginal |= np.abs(inside) < MARGINAL
    return seen, marginal


def _campus(data: Path) -> dict[str, float]:
    site = load_scene(data / FOLDER)
    report = check_site(site, 3.5e9)
    users = grid(data)
    traced = trace(site, STATION, users, TraceSettings(max_depth=0)).counts > 0
    seen, marginal = sees(site, STATION, users)
    return {
        "places with an error of the site check": sum(f.count for f in report.of("error")),
        "highest corner (m)": float(site.bounds[1, 2]),
        "points of the grid": len(users),
        "points too near a shadow's rim to tell": int(marginal.sum()),
        "points with another line of sight": int((traced != seen)[~marginal].sum()),
    }


CASES = (
    Case(
        "ASU campus, line of sight",
        (f"{FOLDER}/asu_buildings.city", f"{FOLDER}/asu_plane.ter", f"{FOLDER}/georeference.json"),
        (
            exactly("places with an error of the site check", 0, "the import is fit to be traced"),
            exactly("points of the grid", 131_931, "the published grid, 411 x 321"),
            at_most("points too near a shadow's rim to tell", 30, "the width of a rounding error"),
            exactly("points with another line of sight", 0, "plane geometry in double precision"),
            between("highest corner (m)", 27.24, 27.25, "the mesh file"),
        ),
        _campus,
    ),
)
