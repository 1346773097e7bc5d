"""Vegetation: canopies as volumes that a ray crosses, kept out of the mesh.

A canopy is a medium. Its loss depends on the length of the crossed chord, which a closed mesh of thin slabs gets wrong
(the loss would rise as the chord shrinks). Volumes are ellipsoids, vertical cylinders or extruded polygons. Trunks are
cylinders of wood.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.site.chords import Crossings, VolumeTable, crossings

LEAF_TYPES = ("broadleaved", "needleleaved")
LEAF_CYCLES = ("deciduous", "evergreen")
PARTS = ("crown", "trunk")


def _check(volume: Ellipsoid | Cylinder | ExtrudedPolygon, numbers: Sequence[float], positive: Sequence[float]) -> None:
    what = f"vegetation {volume.shape}"
    if not all(math.isfinite(x) for x in (*numbers, *positive)):
        raise SiteTwinError(f"{what} has a NaN or infinite number; give finite metres")
    if not all(x > 0 for x in positive):
        raise SiteTwinError(f"{what} has a size that is not positive; radii, semi-axes and heights must be above 0 m")
    if volume.leaf_type not in LEAF_TYPES or volume.leaf_cycle not in LEAF_CYCLES:
        raise SiteTwinError(
            f"{what}: leaf_type must be one of {', '.join(LEAF_TYPES)} and leaf_cycle one of {', '.join(LEAF_CYCLES)}, "
            f"not '{volume.leaf_type}' and '{volume.leaf_cycle}'"
        )


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoidal crown.

    Attributes:
        centre: (x, y, z), metres.
        semi_axes: Half lengths along the crown's own x, y and z, metres.
        yaw: Rotation about the vertical, radians, counter-clockwise.
        leaf_type: "broadleaved" or "needleleaved".
        leaf_cycle: "deciduous" or "evergreen".
    """

    centre: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    yaw: float = 0.0
    leaf_type: str = "broadleaved"
    leaf_cycle: str = "deciduous"
    shape: ClassVar[str] = "ellipsoid"

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", tuple(float(x) for x in self.centre))
        object.__setattr__(self, "semi_axes", tuple(float(x) for x in self.semi_axes))
        if len(self.centre) != 3 or len(self.semi_axes) != 3:
            raise SiteTwinError("vegetation ellipsoid needs a centre and semi-axes of three numbers each")
        _check(self, (*self.centre, self.yaw), self.semi_axes)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that define the shape, in a fixed order."""
        return (*self.centre, *self.semi_axes, self.yaw)

    def sample(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 3"]:
        """Draw (count, 3) float64 points, uniform in the volume, metres."""
        direction = rng.standard_normal((count, 3))
        direction /= np.sqrt(np.sum(direction**2, axis=1, keepdims=True))
        local = direction * np.cbrt(rng.random((count, 1))) * np.asarray(self.semi_axes)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        turned = np.stack([c * local[:, 0] - s * local[:, 1], s * local[:, 0] + c * local[:, 1], local[:, 2]], axis=1)
        return turned + np.asarray(self.centre)


@dataclass(frozen=True)
class Cylinder:
    """A vertical cylinder: a crown, or the trunk of a tree.

    Attributes:
        centre: (x, y) of the axis, metres.
        radius: Radius, metres.
        z_min: Lower end, metres.
        z_max: Upper end, metres.
        leaf_type: "broadleaved" or "needleleaved".
        leaf_cycle: "deciduous" or "evergreen".
        part: "crown" (leaves and branches) or "trunk" (wood, the same in every season).
    """

    centre: tuple[float, float]
    radius: float
    z_min: float
    z_max: float
    leaf_type: str = "broadleaved"
    leaf_cycle: str = "deciduous"
    part: str = "crown"
    shape: ClassVar[str] = "cylinder"

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", tuple(float(x) for x in self.centre))
        if len(self.centre) != 2:
            raise SiteTwinError("vegetation cylinder needs a centre of two numbers (x, y)")
        if self.part not in PARTS:
            raise SiteTwinError(f"vegetation cylinder: part must be one of {', '.join(PARTS)}, not '{self.part}'")
        _check(self, (*self.centre, self.z_min), (self.radius, self.z_max - self.z_min))

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that define the shape, in a fixed order."""
        return (*self.centre, self.radius, self.z_min, self.z_max)

    def sample(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 3"]:
        """Draw (count, 3) float64 points, uniform in the volume, metres."""
        angle = rng.uniform(0.0, 2.0 * math.pi, count)
        radius = self.radius * np.sqrt(rng.random(count))
        z = rng.uniform(self.z_min, self.z_max, count)
        return np.stack([self.centre[0] + radius * np.cos(angle), self.centre[1] + radius * np.sin(angle), z], axis=1)


@dataclass(frozen=True)
class ExtrudedPolygon:
    """A vertical prism over a simple polygon, convex or not (a wood, a hedge, a row of trees).

    Attributes:
        ring: Corners (x, y), metres, clockwise or counter-clockwise; the first one is not repeated at the end.
        z_min: Lower end, metres.
        z_max: Upper end, metres.
        leaf_type: "broadleaved" or "needleleaved".
        leaf_cycle: "deciduous" or "evergreen".
    """

    ring: tuple[tuple[float, float], ...]
    z_min: float
    z_max: float
    leaf_type: str = "broadleaved"
    leaf_cycle: str = "deciduous"
    shape: ClassVar[str] = "polygon"

    def __post_init__(self) -> None:
        ring = tuple((float(x), float(y)) for x, y in self.ring)
        if len(ring) > 1 and ring[0] == ring[-1]:
            ring = ring[:-1]
        object.__setattr__(self, "ring", ring)
        if len(ring) < 3:
            raise SiteTwinError("vegetation polygon needs at least three corners")
        _check(self, (*(c for corner in ring for c in corner), self.z_min), (self.z_max - self.z_min,))
        x, y = np.array(ring).T
        if abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) == 0.0:
            raise SiteTwinError("vegetation polygon has no area; its corners lie on one line")

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that define the shape, in a fixed order."""
        return (self.z_min, self.z_max, *(c for corner in self.ring for c in corner))

    def sample(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count 3"]:
        """Draw (count, 3) float64 points, uniform in the volume, metres, by rejection from the bounding box."""
        ring = np.array(self.ring)
        low, high = ring.min(axis=0), ring.max(axis=0)
        x0, y0 = ring.T
        x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
        found: list[np.ndarray] = []
        while sum(len(f) for f in found) < count:
            x, y = (low + (high - low) * rng.random((max(4 * count, 64), 2))).T
            crosses = (y0 > y[:, None]) != (y1 > y[:, None])
            at = x0 + (y[:, None] - y0) * (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
            inside = (np.count_nonzero(crosses & (x[:, None] < at), axis=1) % 2).astype(bool)
            found.append(np.stack([x[inside], y[inside]], axis=1))
        flat = np.concatenate(found)[:count]
        return np.concatenate([flat, rng.uniform(self.z_min, self.z_max, (count, 1))], axis=1)


def _tuples(values: Sequence[Any]) -> tuple[Any, ...]:
    """Nested lists of numbers, as JSON gives them, as tuples of floats."""
    return tuple(_tuples(v) if isinstance(v, (list, tuple)) else float(v) for v in values)


def _entry(volume: Ellipsoid | Cylinder | ExtrudedPolygon) -> dict[str, Any]:
    """Shape and attributes. Only trunks name their part, so that the hashes of sites without trunks stay."""
    entry = {"shape": volume.shape, **asdict(volume)}
    if entry.get("part") == "crown":
        del entry["part"]
    return entry


Volume = Ellipsoid | Cylinder | ExtrudedPolygon
_SHAPES: dict[str, type[Volume]] = {c.shape: c for c in (Ellipsoid, Cylinder, ExtrudedPolygon)}


@dataclass(frozen=True, eq=False)
class Vegetation:
    """All canopies of a site.

    Attributes:
        volumes: The canopy volumes; a path's crossings refer to them by index.
        scatter_centres: (S, 3) float64, metres, fixed scattering points in canopies.
        scatter_volume: (S,) int32, volume of each scatter centre.
    """

    volumes: tuple[Volume, ...] = ()
    scatter_centres: Float[np.ndarray, "centres 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    scatter_volume: Int[np.ndarray, " owners"] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    def __post_init__(self) -> None:
        centres = np.array(self.scatter_centres, dtype=np.float64).reshape(-1, 3)
        owner = np.array(self.scatter_volume, dtype=np.int32).reshape(-1)
        if len(centres) != len(owner) or not np.isfinite(centres).all():
            raise SiteTwinError("scatter centres need finite coordinates and one volume index each")
        if len(owner) and (owner.min() < 0 or owner.max() >= len(self.volumes)):
            raise SiteTwinError(f"a scatter centre names a volume outside 0..{len(self.volumes) - 1}")
        centres.setflags(write=False)
        owner.setflags(write=False)
        object.__setattr__(self, "volumes", tuple(self.volumes))
        object.__setattr__(self, "scatter_centres", centres)
        object.__setattr__(self, "scatter_volume", owner)

    @classmethod
    def none(cls) -> Vegetation:
        """Return a vegetation without canopies."""
        return cls()

    @property
    def num_volumes(self) -> int:
        """Number of canopy volumes."""
        return len(self.volumes)

    @property
    def num_scatter_centres(self) -> int:
        """Number of scatter centres."""
        return len(self.scatter_volume)

    @cached_property
    def leaf_type(self) -> tuple[str, ...]:
        """Leaf type of each volume."""
        return tuple(v.leaf_type for v in self.volumes)

    @cached_property
    def leaf_cycle(self) -> tuple[str, ...]:
        """Leaf cycle of each volume."""
        return tuple(v.leaf_cycle for v in self.volumes)

    @cached_property
    def is_trunk(self) -> Bool[np.ndarray, " volumes"]:
        """(V,) bool: whether each volume is a trunk (wood) instead of leaves."""
        return np.array([isinstance(v, Cylinder) and v.part == "trunk" for v in self.volumes], dtype=bool)

    @cached_property
    def _table(self) -> VolumeTable:
        return VolumeTable.of([(v.shape, v.numbers) for v in self.volumes])

    def chords(self, starts: Float[np.ndarray, "segments 3"], ends: Float[np.ndarray, "segments 3"]) -> Crossings:
        """Find where segments run through canopies; closed form, float64, the same bits for any batching.

        An endpoint inside a volume counts as entry or exit. A segment that crosses a non-convex polygon several times
        has one row per crossing; a mere touch (a chord of zero length) has none.

        Args:
            starts: (N, 3) starts of the segments, metres.
            ends: (N, 3) ends of the segments, metres.

        Returns:
            segment (C,) int64 ascending, volume (C,) int32 ascending within a segment, entry (C,) and exit (C,)
            float64, metres from the start, entry < exit.

        Raises:
            SiteTwinError: A coordinate is NaN or infinite, or the shapes differ.
        """
        starts = np.ascontiguousarray(starts, dtype=np.float64)
        ends = np.ascontiguousarray(ends, dtype=np.float64)
        if starts.shape != ends.shape or starts.ndim != 2 or starts.shape[1] != 3:
            raise SiteTwinError(f"segments need starts and ends of shape (N, 3), not {starts.shape} and {ends.shape}")
        if not (np.isfinite(starts).all() and np.isfinite(ends).all()):
            raise SiteTwinError("a segment has a NaN or infinite endpoint")
        return crossings(self._table, starts, ends)

    def with_scatter_centres(self, per_volume: int, rng: np.random.Generator) -> Vegetation:
        """Return the canopies with new scatter centres, uniform in each volume except trunks.

        Args:
            per_volume: Number of centres in each volume.
            rng: Source of randomness.
        """
        if per_volume < 0:
            raise SiteTwinError(f"{per_volume} scatter centres per volume were asked for; give 0 or more")
        crowns = np.flatnonzero(~self.is_trunk).astype(np.int32)
        points = [self.volumes[i].sample(per_volume, rng) for i in crowns]
        centres = np.concatenate(points) if points else np.zeros((0, 3))
        owner = np.repeat(crowns, per_volume)
        return replace(self, scatter_centres=centres, scatter_volume=owner)

    def geometry_bytes(self) -> bytes:
        """Return canonical bytes of the shapes and scatter centres (without leaf attributes), for hashing."""
        parts = [b"vegetation-1", struct.pack("<qq", self.num_volumes, self.num_scatter_centres)]
        for volume in self.volumes:
            numbers = volume.numbers
            parts.append(struct.pack(f"<16sq{len(numbers)}d", volume.shape.encode(), len(numbers), *numbers))
        parts += [self.scatter_centres.astype("<f8").tobytes(), self.scatter_volume.astype("<i4").tobytes()]
        return b"".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole vegetation as a JSON-serialisable dictionary."""
        return {
            "volumes": [_entry(v) for v in self.volumes],
            "scatter_centres": self.scatter_centres.tolist(),
            "scatter_volume": self.scatter_volume.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Any) -> Vegetation:
        """Make the vegetation that `to_dict` described.

        Raises:
            SiteTwinError: A shape is unknown, or an attribute is missing or refused.
        """
        try:
            volumes = []
            for entry in values["volumes"]:
                if not isinstance(entry, dict):
                    raise ValueError(f"a volume is {type(entry).__name__} where its attributes are due")
                attributes: dict[str, Any] = {
                    k: _tuples(v) if isinstance(v, (list, tuple)) else v for k, v in entry.items()
                }
                volumes.append(_SHAPES[attributes.pop("shape")](**attributes))
            centres = np.array(values["scatter_centres"], dtype=np.float64).reshape(-1, 3)
            return cls(tuple(volumes), centres, np.array(values["scatter_volume"], dtype=np.int32))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise SiteTwinError(
                f"the description of the vegetation is malformed ({error}); make the site again"
            ) from error
