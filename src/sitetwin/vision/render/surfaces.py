"""Coloured triangles, as the camera sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from sitetwin.vision.frames import NOTHING


@dataclass(frozen=True)
class Look:
    """How a surface looks.

    Attributes:
        colour: Share of red, green and blue light that is scattered, 0 to 1.
        mirror: Share of the light that is mirrored at vertical incidence: 0 for plaster, 0.04 for glass and lacquer.
        glow: Luminance of red, green and blue that it emits, cd/m2.
        grain: Relative spread of the colour over patches of a few decimetres.
    """

    colour: tuple[float, float, float]
    mirror: float = 0.0
    glow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grain: float = 0.0

    def lit(self, luminance: float) -> Look:
        """Return the look of a surface of the same colour that emits so many cd/m2."""
        r, g, b = self.colour
        return Look(self.colour, self.mirror, (luminance * r, luminance * g, luminance * b), self.grain)


@dataclass(frozen=True)
class Surfaces:
    """Triangles with what the shading needs of each.

    Attributes:
        vertices: (V, 3) metres.
        triangles: (T, 3) vertices of each triangle.
        colour: (T, 3) as in `Look`.
        mirror: (T,) as in `Look`.
        glow: (T, 3) as in `Look`.
        grain: (T,) as in `Look`.
        identity: (T,) number of the object, `NOTHING` for what is none.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    colour: Float[np.ndarray, "triangles 3"]
    mirror: Float[np.ndarray, " triangles"]
    glow: Float[np.ndarray, "triangles 3"]
    grain: Float[np.ndarray, " triangles"]
    identity: Int[np.ndarray, " triangles"]

    @classmethod
    def joined(cls, parts: Sequence[Surfaces]) -> Surfaces:
        """Return all surfaces as one."""
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])[:-1]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("vertices", "colour", "mirror", "glow", "grain", "identity")
        }
        triangles = [part.triangles + start for part, start in zip(parts, starts, strict=True)]
        return cls(triangles=np.concatenate(triangles).astype(np.int32), **columns)


@dataclass
class Builder:
    """Collects surfaces, piece by piece."""

    _vertices: list[np.ndarray] = field(default_factory=list)
    _triangles: list[np.ndarray] = field(default_factory=list)
    _looks: list[tuple[Look, int, int]] = field(default_factory=list)
    _count: int = 0

    def add(self, vertices: np.ndarray, triangles: np.ndarray, look: Look, identity: int = NOTHING) -> None:
        """Add triangles (T, 3) of vertices (V, 3) that look alike."""
        self._vertices.append(np.asarray(vertices, dtype=np.float64))
        self._triangles.append(np.asarray(triangles) + self._count)
        self._looks.append((look, len(triangles), identity))
        self._count += len(vertices)

    def add_quads(self, corners: np.ndarray, look: Look, identity: int = NOTHING) -> None:
        """Add quadrilaterals (Q, 4, 3) that look alike."""
        first = 4 * np.arange(len(corners))[:, None]
        triangles = np.concatenate([first + np.array(half) for half in ((0, 1, 2), (0, 2, 3))], axis=0)
        self.add(np.reshape(corners, (-1, 3)), triangles, look, identity)

    def done(self) -> Surfaces:
        """Return what was collected."""
        if not self._vertices:
            nothing = np.zeros((0, 3))
            none = np.zeros(0, dtype=np.int32)
            return Surfaces(nothing, np.zeros((0, 3), np.int32), nothing, nothing[:, 0], nothing, nothing[:, 0], none)
        counts = [count for _, count, _ in self._looks]

        def column(values: list[object]) -> np.ndarray:
            return np.repeat(np.array(values), counts, axis=0)

        return Surfaces(
            np.concatenate(self._vertices),
            np.concatenate(self._triangles).astype(np.int32),
            column([look.colour for look, _, _ in self._looks]),
            column([look.mirror for look, _, _ in self._looks]),
            column([look.glow for look, _, _ in self._looks]),
            column([look.grain for look, _, _ in self._looks]),
            column([identity for _, _, identity in self._looks]).astype(np.int32),
        )
