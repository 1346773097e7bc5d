"""The part of the page that shows drives moment by moment: its data, and the one script that a page may run."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sitetwin.studies.vision.printed.names import END_TO_END, MEASURED, PRINTED, RIDGE, TRACED
from sitetwin.studies.vision.scene_records import read_scenes

_SCRIPT = "vision_drives.js"

CURVES: tuple[tuple[str, str, list[int]], ...] = (
    (MEASURED, "", []),
    (PRINTED, "#e69f00", [7, 4]),
    (RIDGE, "#009e73", [2, 3]),
    (END_TO_END, "#cc79a7", [10, 3, 2, 3]),
    (TRACED, "#0072b2", []),
)
"""Profiles of the figure: name, colour (that of the text where it is empty), and dashes."""

CLASSES = (
    ("car", "#e69f00"),
    ("van", "#d55e00"),
    ("bus, truck", "#cc79a7"),
    ("pole", "#56b4e9"),
    ("tree", "#009e73"),
    ("person, two-wheeler", "#f0e442"),
)
"""Colours of classes, for the legend; the script has the same."""


def drives_part(folder: Path, environment: jinja2.Environment) -> dict[str, Any]:
    """What the template needs to show drives; nothing where the study has none.

    Args:
        folder: The study's folder.
        environment: Templates of the pages.

    Raises:
        SiteTwinError: The file of the drives is damaged.
    """
    scenes = read_scenes(folder)
    if scenes is None:
        return {"scenes": None, "script_hash": ""}
    there = {name for drive in scenes.drives for moment in drive.moments for name in moment.profiles}
    assert environment.loader is not None
    script = environment.loader.get_source(environment, _SCRIPT)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return {
        "scenes": scenes,
        "drives": scenes.model_dump(mode="json", include={"drives"}),
        "curves": [one for one in CURVES if one[0] == MEASURED or one[0] in there],
        "classes": CLASSES,
        "script": Markup(script),  # the package's own file
        "script_hash": f"sha256-{digest}",
    }
