"""What the page shows of some drives, moment by moment: `scenes.json` of the study's folder, as it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from sitetwin.errors import SiteTwinError
from sitetwin.studies.records import Number, Record, parsed_record, read_json
from sitetwin.untrusted import is_missing

SCENES = "scenes.json"
Schema = Literal["sitetwin.vision-scenes/1"]
(SCHEMA,) = get_args(Schema)

SHOWN_DEG = 60
"""Profiles are shown from minus to plus so many degrees; the beams reach 45."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Two = Annotated[list[Finite], Field(min_length=2, max_length=2)]
Three = Annotated[list[Finite], Field(min_length=3, max_length=3)]
Four = Annotated[list[Finite], Field(min_length=4, max_length=4)]
Six = Annotated[list[Finite], Field(min_length=6, max_length=6)]
Nine = Annotated[list[Finite], Field(min_length=9, max_length=9)]
Curve = Annotated[list[int], Field(min_length=2 * SHOWN_DEG + 1, max_length=2 * SHOWN_DEG + 1)]


class SceneMoment(Record):
    """One moment.

    Attributes:
        time_s: Seconds of the drive.
        blocked: Whether a vehicle stands in the line of sight; None where nobody knows.
        told: Probability of it that the twin told, where there is one.
        image: The frame as JPEG in base64.
        boxes: Class, and left, upper, right and lower edge in pixels of the camera.
        marks: Where the points of Algorithm 1 are seen, column and row; its own are `reflectors`.
        reflectors: Class, and x, y, z of each, metres.
        objects: The twin's objects: class, then x, y, heading (radians), length, width and height, metres.
        vehicles: The true ones in the same numbers; that of the user has the class "user".
        fix: x and y of the fix.
        tracked: x and y of the tracked user, where it is tracked.
        place: x, y and z of the user's antenna, or of the fix where the truth is not known.
        profiles: By method, per cent of the peak for each degree from -`SHOWN_DEG`.
        picks: By method, azimuth of its first beam; that of the best measured beam is among them.
        flags: What was wrong.
    """

    time_s: Finite
    blocked: bool | None = None
    told: Number = None
    image: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/=]*$")]
    boxes: list[tuple[str, Four]]
    marks: list[Two]
    reflectors: list[tuple[str, Three]]
    objects: list[tuple[str, Six]]
    vehicles: list[tuple[str, Six]]
    fix: Two
    tracked: Two | None = None
    place: Three
    profiles: dict[str, Curve]
    picks: dict[str, Finite]
    flags: list[str] = Field(default_factory=list)


class SceneDrive(Record):
    """One drive.

    Attributes:
        name: Its folder.
        perception: What saw.
        synthetic: Whether frames and powers are made up.
        size: Columns and rows of the camera.
        horizon: Columns and rows of points of the horizon in the image.
        station: x, y and z, metres.
        boresight_deg: Of the array, from east, counter-clockwise.
        half_span_deg: Azimuth of the outermost beams.
        walls: Triangles of the twin's map near the station, nine numbers each, metres.
        moments: Its moments.
    """

    name: str
    perception: str
    synthetic: bool
    size: Two
    horizon: list[Two]
    station: Three
    boresight_deg: Finite
    half_span_deg: Finite
    walls: list[Nine]
    moments: Annotated[list[SceneMoment], Field(min_length=1)]


class Scenes(Record):
    """All that the page shows of drives."""

    schema_version: Schema = Field(alias="schema")
    shown: int
    moments: int
    drives: Annotated[list[SceneDrive], Field(min_length=1)]


def read_scenes(folder: Path) -> Scenes | None:
    """The drives that a study keeps for its page; None where it has none.

    Raises:
        SiteTwinError: The file is damaged, or of another schema.
    """
    path = folder / SCENES
    if is_missing(path):
        return None
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise SiteTwinError(f"'{path}' holds no drives of a vision study ({SCHEMA}); remove it, or run the study again")
    return parsed_record(Scenes, raw, f"'{path}'")
