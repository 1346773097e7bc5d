"""Small places made of boxes, sheets and slopes, and ways to say the same place differently."""

from __future__ import annotations

import numpy as np

from sitetwin.site import Site, build_site, itu_material
from sitetwin.site.importers.meshes import unit_cube

Part = tuple[str, np.ndarray]
"""Name and (T, 3, 3) triangle corners, metres."""


def sheet(*corners: tuple[float, float, float]) -> np.ndarray:
    """A flat polygon as a fan of triangles, (T, 3, 3)."""
    points = np.array(corners, dtype=float)
    return np.stack([points[[0, k, k + 1]] for k in range(1, len(points) - 1)])


def level(x0: float, y0: float, x1: float, y1: float, z: float) -> np.ndarray:
    """A level rectangle."""
    return sheet((x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z))


def box(low: tuple[float, float, float], high: tuple[float, float, float], open_sides: str = "") -> np.ndarray:
    """A box; of "x", "X" (its low and high side in x), "y", "Y", "z", "Z" those named are left out."""
    vertices, faces = unit_cube()
    corners = (np.array(low) + (vertices + 1) / 2 * (np.array(high) - np.array(low)))[faces]
    for side in open_sides:
        axis, value = "xyz".index(side.lower()), (high if side.isupper() else low)["xyz".index(side.lower())]
        corners = corners[~(corners[..., axis] == value).all(axis=1)]
    return corners


def hill(half: float = 100.0, cell: float = 20.0, slope: float = 0.2, *, wave: float = 0.0) -> np.ndarray:
    """A slope to the east, with waves, as a net of triangles."""
    grid = np.arange(-half, half + cell / 2, cell)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    p = np.stack([x, y, slope * (x + half) + wave * np.sin(x / 30) * np.cos(y / 25)], axis=-1)
    a, b, c, d = p[:-1, :-1], p[1:, :-1], p[1:, 1:], p[:-1, 1:]
    return np.concatenate(
        [np.stack([a, b, c], axis=2).reshape(-1, 3, 3), np.stack([a, c, d], axis=2).reshape(-1, 3, 3)]
    )


def skirted(top: np.ndarray, bottom: float, *, closed: bool = True) -> np.ndarray:
    """A solid below a net of triangles: skirts along its rim down to a level, and a bottom."""
    flat = top.reshape(-1, 3)
    low, high = flat.min(axis=0), flat.max(axis=0)
    parts = [top]
    for triangle in top:
        for k in range(3):
            a, b = triangle[k], triangle[(k + 1) % 3]
            on_rim = [((a[i] == v) and (b[i] == v)) for i in (0, 1) for v in (low[i], high[i])]
            if any(on_rim):
                parts.append(sheet(tuple(a), tuple(b), (b[0], b[1], bottom), (a[0], a[1], bottom)))
    if closed:
        parts.append(level(low[0], low[1], high[0], high[1], bottom))
    return np.concatenate(parts)


def site_of(*parts: Part, name: str = "place") -> Site:
    """A site of named parts."""
    corners = np.concatenate([c for _, c in parts])
    owner = np.repeat(np.arange(len(parts)), [len(c) for _, c in parts])
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    material = itu_material("concrete", 0.2)
    names = [n for n, _ in parts]
    return build_site(name, corners.reshape(-1, 3), faces, owner, names, [0] * len(parts), [material])


def said_otherwise(parts: list[Part], rng: np.random.Generator, shift: np.ndarray, angle: float) -> list[Part]:
    """The same place: turned and moved, each triangle wound at random and cut at random, in other objects."""
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    named = []
    for _, corners in parts:
        pieces = []
        for t in corners @ turn.T + shift:
            middle = t.mean(axis=0)
            cut = [np.stack([t[k], t[(k + 1) % 3], middle]) for k in range(3)] if rng.random() < 0.3 else [t]
            pieces += [piece[::-1] if rng.random() < 0.5 else piece for piece in cut]
        split = rng.integers(1, 4, len(pieces))
        words = rng.choice(["terrain", "Haus", "mesh_0", "floor", "ground", "Gelaende", "bridge", "地面"], 4)
        for k in np.unique(split):
            named.append(
                (f"{words[k]} {len(named)}", np.stack([p for p, s in zip(pieces, split, strict=True) if s == k]))
            )
    return [named[k] for k in rng.permutation(len(named))]
