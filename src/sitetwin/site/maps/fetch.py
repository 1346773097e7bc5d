"""Download a map from Overpass once, keep it with its hash, and read it from the disk afterwards."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import wrapped
from sitetwin.site.maps.clipping import Radius
from sitetwin.site.maps.download import Download, UnreachableError, download
from sitetwin.store.files import canonical_json, disk_errors, hash_bytes, write_file
from sitetwin.untrusted import parse_json, read_bytes, read_json

OVERPASS = "https://overpass-api.de/api/interpreter"
NOMINATIM = "https://nominatim.openstreetmap.org/search"
LARGEST_ANSWER = 2**28
LARGEST_RADIUS = 10_000.0
"""Metres; public servers answer no larger questions."""

MAP, SOURCE, QUERY = "map.osm.json", "map.source.json", "map.query.overpassql"
ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL 1.0, https://www.openstreetmap.org/copyright"

_LATLON = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*,\s*([+-]?\d+(?:\.\d*)?)\s*")
_LONGEST_PLACE = 200
_LONGEST_QUERY = _LONGEST_SOURCE = 2**20  # bytes
_SERVER_SECONDS = 180

_WANTED = (
    'nwr["building"]',
    'nwr["building:part"]',
    'rel["type"="building"]',
    'nwr["natural"]',
    'nwr["landuse"]',
    'nwr["leisure"]',
    'nwr["waterway"]',
    'nwr["man_made"]',
    'nwr["barrier"]',
    'nwr["surface"]',
    'nwr["area:highway"]',
    'nwr["amenity"="parking"]',
    'way["highway"]',
    'way["railway"]',
)


@dataclass(frozen=True)
class FetchedMap:
    """A downloaded map that is kept unchanged, with its hash.

    Attributes:
        path: Path of the payload, byte for byte as Overpass sent it; `read_map` reads it.
        clip: The circle that was asked for; its centre is a good origin for the site.
        sha256: SHA-256 of the payload.
    """

    path: Path
    clip: Radius
    sha256: str


def fetch_map(
    place: str,
    radius: float,
    folder: str | Path,
    *,
    endpoint: str = OVERPASS,
    geocoder: str = NOMINATIM,
    pauses: tuple[float, ...] = (5.0, 15.0, 45.0),
    progress: Callable[[str, float], None] | None = None,
) -> FetchedMap:
    """Download the OpenStreetMap data around a place, or read them from a folder that already holds them.

    The folder gets the payload (`MAP`), the query (`QUERY`) and where both come from (`SOURCE`: place, coordinates,
    radius, endpoint, SHA-256, licence). The query covers the square around the circle; things that reach beyond the
    square are whole. A folder that holds the payload never needs the network again. A payload that was downloaded by
    hand, with the query of the folder, is accepted and frozen.

    Args:
        place: "latitude,longitude" in degrees, or a name that Nominatim finds.
        radius: Radius of the circle around the place, metres.
        folder: Folder for the map; it is made if it does not exist.
        endpoint: URL of an Overpass interpreter: https, or http on this machine.
        geocoder: URL of a Nominatim search, likewise.
        pauses: Seconds to wait before each further attempt when a server is busy (HTTP 429, 502, 503, 504); if a server
            names a time itself (Retry-After), that time is used, up to a minute.
        progress: Called with the stage "download" and its finished share, 0 to 1, if the server names the size.

    Raises:
        SiteTwinError: The place is not found, the network or the server does not answer (the message says what to
            download by hand), the answer is not a map or is too large, or the folder holds another map or a changed
            one.
    """
    folder = Path(folder)
    if not 0 < radius <= LARGEST_RADIUS:
        raise SiteTwinError(
            f"a radius of {radius:g} m cannot be fetched; give more than 0, at most {LARGEST_RADIUS:g}, or import an "
            "extract of the area"
        )
    if not place.strip() or len(place) > _LONGEST_PLACE:
        raise SiteTwinError("the place is empty or too long to be one; give a name or latitude,longitude")
    with disk_errors("freezing a map", folder, "fetch again"):
        if (folder / SOURCE).exists():
            return _frozen(folder, place, radius)
        clip = _locate(place, radius, geocoder, pauses)
        query = overpass_query(clip)
        folder.mkdir(parents=True, exist_ok=True)
        payload = _by_hand(folder, query)
        if payload is None:
            write_file(folder / QUERY, query.encode())
            payload = _ask_overpass(query, folder, endpoint, pauses, progress)
        _check_payload(payload, folder / MAP)
        return _freeze(folder, place, clip, endpoint, query, payload)


def overpass_query(clip: Radius) -> str:
    """Make the query for Overpass.

    It asks for buildings, ground, water, vegetation, streets and barriers in the square around a circle, with all nodes
    and ways that they are made of.
    """
    west, south, east, north = clip.degrees
    sides = [(west, east)]
    if west < -180 or east > 180:  # Overpass does not follow over the antimeridian: both sides are asked for
        sides = [(wrapped(west), 180.0), (-180.0, wrapped(east))]
    boxes = [f"{south:.6f},{w:.6f},{north:.6f},{e:.6f}" for w, e in sides]
    wanted = "\n".join(f"  {what}({box});" for box in boxes for what in _WANTED)
    settings = f"[out:json][timeout:{_SERVER_SECONDS}][maxsize:{2 * LARGEST_ANSWER}];"
    return f"{settings}\n(\n{wanted}\n);\n(._;>;);\nout body qt;\n"


def _locate(place: str, radius: float, geocoder: str, pauses: tuple[float, ...]) -> Radius:
    """The circle; a name costs a question to the geocoder."""
    match = _LATLON.fullmatch(place)
    if match:
        return Radius(float(match[1]), float(match[2]), float(radius))
    try:
        answer = download(
            Download(geocoder, query={"q": place, "format": "jsonv2", "limit": "1"}, largest=2**20, pauses=pauses)
        )
    except UnreachableError as error:
        raise SiteTwinError(f"the place '{place}' cannot be looked up ({error}); give latitude,longitude") from error
    try:
        found = parse_json(answer, "the answer")
        latitude, longitude = float(found[0]["lat"]), float(found[0]["lon"])
    except (SiteTwinError, ValueError, LookupError, TypeError) as error:
        raise SiteTwinError(
            f"the place '{place}' is not found; write it otherwise, or give latitude,longitude"
        ) from error
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise SiteTwinError(f"the place '{place}' is not found; give latitude,longitude")
    return Radius(latitude, longitude, float(radius))


def _by_hand(folder: Path, query: str) -> bytes | None:
    """A payload that somebody downloaded with the query of this folder."""
    file, asked = folder / MAP, folder / QUERY
    if not file.exists():
        return None
    if not asked.exists() or read_bytes(asked, str(asked), _LONGEST_QUERY) != query.encode():
        raise SiteTwinError(f"{file} is there, but not from this query; choose another folder, or import it as it is")
    return _read_payload(file)


def _read_payload(file: Path) -> bytes:
    return read_bytes(file, str(file), LARGEST_ANSWER, "ask for a smaller radius")


def _ask_overpass(
    query: str,
    folder: Path,
    endpoint: str,
    pauses: tuple[float, ...],
    progress: Callable[[str, float], None] | None,
) -> bytes:
    request = Download(
        endpoint,
        form={"data": query},
        largest=LARGEST_ANSWER,
        pauses=pauses,
        seconds=_SERVER_SECONDS + 30.0,
        progress=None if progress is None else partial(progress, "download"),
    )
    try:
        return download(request)
    except UnreachableError as error:
        raise SiteTwinError(
            f"the map cannot be downloaded ({error}); on a machine with a network run `curl -o {MAP} "
            f"--data-urlencode data@{QUERY} {endpoint}` with {folder / QUERY}, put {MAP} beside it, and fetch again"
        ) from error


def _check_payload(payload: bytes, file: Path) -> None:
    """Whether it is an Overpass answer, and a complete one."""
    try:
        value = parse_json(payload, str(file), half_characters=True)
    except SiteTwinError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("elements"), list):
        start = payload[:80].decode(errors="replace").strip()
        _refuse(file, f"is no Overpass answer (it starts with {start!r})")
    if "error" in str(value.get("remark", "")).lower():
        _refuse(file, f'is incomplete, Overpass says "{str(value["remark"])[:100]}"')


def _refuse(file: Path, what: str) -> NoReturn:
    raise SiteTwinError(
        f"the answer for {file} {what}; remove the file if it is there, then fetch again or a smaller radius"
    )


def _freeze(folder: Path, place: str, clip: Radius, endpoint: str, query: str, payload: bytes) -> FetchedMap:
    """Write the payload, then what it is: a folder with the second has the first."""
    digest = hash_bytes(payload)
    write_file(folder / MAP, payload)
    source = {
        "place": place,
        "latitude": clip.latitude,
        "longitude": clip.longitude,
        "radius": clip.metres,
        "endpoint": endpoint,
        "query": query,
        "sha256": digest,
        "attribution": ATTRIBUTION,
    }
    write_file(folder / SOURCE, canonical_json(source).encode())
    return FetchedMap(folder / MAP, clip, digest)


def _frozen(folder: Path, place: str, radius: float) -> FetchedMap:
    """The map that a folder holds, if it is the one that is asked for and as it was."""
    source = _read_source(folder / SOURCE)
    try:
        clip = Radius(float(source["latitude"]), float(source["longitude"]), float(source["radius"]))
        same = source["place"] == place and clip.metres == radius
        digest = str(source["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise SiteTwinError(f"{folder / SOURCE} is damaged; remove the folder and fetch again") from error
    if not same:
        raise SiteTwinError(
            f"{folder} holds the map of '{source['place']}' with radius {clip.metres:g} m; choose another folder for "
            f"'{place}' with {radius:g} m"
        )
    file = folder / MAP
    if not file.is_file():
        raise SiteTwinError(f"{file} is missing; put it back, or remove {folder / SOURCE} and fetch again")
    if hash_bytes(_read_payload(file)) != digest:
        raise SiteTwinError(f"{file} was changed since it was fetched; put it back, or fetch into another folder")
    return FetchedMap(file, clip, digest)


def _read_source(file: Path) -> dict[str, Any]:
    try:
        value = read_json(file, str(file), _LONGEST_SOURCE)
    except SiteTwinError:
        value = None
    return value if isinstance(value, dict) else {}
