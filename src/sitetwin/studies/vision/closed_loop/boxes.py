"""Boxes that a detector has found in the frames of a drive, kept as a part of the study: networks take long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sitetwin.studies.frame import read_part, write_part
from sitetwin.vision import Detection, Detector, Frame


class Remembering:
    """A detector that looks at each frame of a drive once.

    Args:
        detector: Finds the boxes that are not kept.
        path: The part in which they are kept.
        key: Of the part.
    """

    def __init__(self, detector: Detector, path: Path, key: str) -> None:
        self.name = detector.name
        self._detector, self._path, self._key = detector, path, f"{key} {detector.name}"
        self._kept: dict[str, list[dict[str, Any]]] = dict(read_part(path, self._key) or {})

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the objects of a frame; masks are not kept."""
        name = Path(frame.source).name
        if name not in self._kept:
            found = self._detector.detect(frame)
            self._kept[name] = [
                {"box": list(one.box), "name": one.name, "score": one.score, "identity": one.identity} for one in found
            ]
        return [
            Detection(tuple(one["box"]), one["name"], one["score"], identity=one["identity"])
            for one in self._kept[name]
        ]

    def write(self) -> None:
        """Keep the boxes."""
        write_part(self._path, self._key, self._kept)
