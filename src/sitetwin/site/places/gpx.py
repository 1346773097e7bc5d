"""Read GPX 1.0 and 1.1: recorded tracks and planned routes of GPS receivers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.xml import parse_xml
from sitetwin.untrusted import read_bytes

LARGEST_GPX = 64 * 2**20
"""Bytes; a day at one point a second has some 10 MB."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class GpxTrack:
    """One segment of a track, or one route, with its points in the order of the file.

    Attributes:
        name: Name of the track or route; may be empty.
        latitude: (N,) latitudes, WGS84 degrees.
        longitude: (N,) longitudes, WGS84 degrees.
        elevation: (N,) metres over mean sea level as the receiver reports it; NaN where it is missing.
        times: (N,) seconds since 1970 (UTC); NaN where the time is missing.
    """

    name: str
    latitude: Float[np.ndarray, " points"]
    longitude: Float[np.ndarray, " points"]
    elevation: Float[np.ndarray, " points"]
    times: Float[np.ndarray, " points"]


def read_gpx(path: str | Path) -> tuple[GpxTrack, ...]:
    """Read the segments of all tracks of a file, then its routes; those without points are left out.

    Args:
        path: Path of the file.

    Raises:
        SiteTwinError: The file cannot be read, is larger than 64 MB, is not GPX, declares a document type, or has
            neither track nor route; or a point lacks a valid latitude or longitude, or has an invalid time or
            elevation.
    """
    what = f"GPX file '{path}'"
    root = parse_xml(read_bytes(Path(path), what, LARGEST_GPX), what, LARGEST_GPX)
    if _tag(root) != "gpx":
        raise SiteTwinError(f"{what} is no GPX: its outermost element is <{_tag(root)[:40]}>, not <gpx>")
    lines: list[tuple[str, list[ET.Element]]] = []
    for track in _children(root, "trk"):
        lines += [(_text(track, "name"), _children(part, "trkpt")) for part in _children(track, "trkseg")]
    lines += [(_text(route, "name"), _children(route, "rtept")) for route in _children(root, "rte")]
    tracks = tuple(_read_track(name, points, what) for name, points in lines if points)
    if not tracks:
        raise SiteTwinError(f"{what} holds no track and no route; waypoints alone are no way")
    return tracks


def _read_track(name: str, points: list[ET.Element], what: str) -> GpxTrack:
    rows = np.array([_read_point(point, f"{what}, point {k} of '{name}'") for k, point in enumerate(points, 1)])
    return GpxTrack(name, *np.ascontiguousarray(rows.T))


def _read_point(point: ET.Element, where: str) -> tuple[float, float, float, float]:
    latitude = _number(point.get("lat"), -90, 90, f"{where}: its latitude")
    longitude = _number(point.get("lon"), -360, 360, f"{where}: its longitude")
    elevation, time = _text(point, "ele"), _text(point, "time")
    return (
        latitude,
        longitude,
        _number(elevation, -12_000, 100_000, f"{where}: its elevation") if elevation else math.nan,
        _seconds(time, where) if time else math.nan,
    )


def _number(text: str | None, low: float, high: float, what: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise SiteTwinError(f"{what} is {(text or 'missing')[:40]!r}; it must be a number from {low:g} to {high:g}")
    return value


def _seconds(text: str, where: str) -> float:
    """Seconds since 1970; a time without a zone is UTC, as the format has it."""
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    except (ValueError, OverflowError) as error:
        raise SiteTwinError(f"{where}: its time is {text[:40]!r}; write it as 2024-05-01T12:00:00Z") from error


def _tag(element: ET.Element) -> str:
    """The name of an element, without the namespace's prefix."""
    return element.tag.rpartition(":")[2]


def _children(element: ET.Element, tag: str) -> list[ET.Element]:
    return [child for child in element if _tag(child) == tag]


def _text(element: ET.Element, tag: str) -> str:
    return next(((child.text or "").strip() for child in element if _tag(child) == tag), "")
