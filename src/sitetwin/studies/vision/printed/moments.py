"""The rendered moments as the published chain takes them: powers, azimuths, and points in the frame of the array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.vision.profiles import ProfileCodebook, azimuth_deg, in_array_frame, linear_array_book
from sitetwin.vision.worlds import Recording, World

Parts = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""What was kept of each moment, by perception, then drive by drive."""


@dataclass(frozen=True, eq=False)
class Sightings:
    """What one perception makes of each moment.

    Attributes:
        names: (N,) classes of the reflectors of each.
        points: (N,) their places (n, 3) in the frame of the array, metres.
        order: (N, beams) beams as the traced twin ranks them.
        traced: (N, beams) powers in the traced scene, relative to the best beam of each draw.
    """

    names: tuple[tuple[str, ...], ...]
    points: tuple[Float[np.ndarray, "objects 3"], ...]
    order: Int[np.ndarray, "moments beams"]
    traced: Float[np.ndarray, "moments beams"]


@dataclass(frozen=True, eq=False)
class RenderedMoments:
    """Judged moments.

    Attributes:
        book: The station's beams, which all streets share.
        power: (N, beams) mW.
        blocked: (N,) bool.
        drive: (N,) number of the drive.
        street: (N,) number of the street.
        row: (N,) row of its recording.
        user: (N, 3) the fix in the frame of the array, metres; no filter has seen it.
        images: (N,) files.
        share: Natural share of blocked moments.
        seen: By perception.
    """

    book: ProfileCodebook
    power: Float[np.ndarray, "moments beams"]
    blocked: Bool[np.ndarray, " moments"]
    drive: Int[np.ndarray, " moments"]
    street: Int[np.ndarray, " moments"]
    row: Int[np.ndarray, " moments"]
    user: Float[np.ndarray, "moments 3"]
    images: tuple[Path, ...]
    share: float
    seen: Mapping[str, Sightings]

    @property
    def azimuth_deg(self) -> Float[np.ndarray, " moments"]:
        """(N,) degrees from the boresight, by the fix."""
        return azimuth_deg(self.user)

    @property
    def dead(self) -> Bool[np.ndarray, " beams"]:
        """(beams,) none: all beams of the synthetic station work."""
        return ~self.book.alive


def rendered_moments(
    recordings: Sequence[Recording], worlds: Sequence[World], share: float, parts: Parts, antenna: float
) -> RenderedMoments:
    """Collect the moments that every perception has followed.

    Args:
        recordings: The drives.
        worlds: The world of each.
        share: Natural share of blocked frames.
        parts: What was kept.
        antenna: Height of the user's antenna over the ground, metres.
    """
    first = next(iter(parts.values()))
    places = [(number, int(kept["row"])) for number, drive in enumerate(first) for kept in drive]
    station = worlds[0].station
    streets = {name: k for k, name in enumerate(sorted({str(one.world.get("name")) for one in recordings}))}
    fixes = [np.array([*recordings[number].fixes[row], antenna]) for number, row in places]
    return RenderedMoments(
        book=ProfileCodebook.of(
            linear_array_book(station.array.num_positions, station.beams, math.degrees(station.half_span), floor=0.0)
        ),
        power=np.stack([recordings[number].powers[row] for number, row in places]),
        blocked=np.array([bool(recordings[number].blocked[row]) for number, row in places]),
        drive=np.array([number for number, _ in places]),
        street=np.array([streets[str(recordings[number].world.get("name"))] for number, _ in places]),
        row=np.array([row for _, row in places]),
        user=np.stack([_local(worlds[number], fix) for (number, _), fix in zip(places, fixes, strict=True)]),
        images=tuple(
            recordings[number].folder / "frames" / f"{int(recordings[number].numbers[row]):05d}.jpg"
            for number, row in places
        ),
        share=share,
        seen={name: _sightings(drives, worlds) for name, drives in parts.items()},
    )


def _sightings(drives: Sequence[Sequence[Mapping[str, Any]]], worlds: Sequence[World]) -> Sightings:
    rows = [(worlds[number], kept) for number, drive in enumerate(drives) for kept in drive]
    found = [kept["scene"]["reflectors"] for _, kept in rows]
    points = [np.array([one[1:] for one in each], dtype=np.float64).reshape(-1, 3) for each in found]
    return Sightings(
        names=tuple(tuple(str(one[0]) for one in each) for each in found),
        points=tuple(_local(world, each) for (world, _), each in zip(rows, points, strict=True)),
        order=np.array([kept["order"] for _, kept in rows]),
        traced=np.array([kept["scene"]["traced"] for _, kept in rows], dtype=np.float64),
    )


def _local(world: World, points: np.ndarray) -> np.ndarray:
    """Points of the site in the frame of its array, metres."""
    pose = world.station.pose
    return in_array_frame(points, np.array(pose.position), pose.yaw)
