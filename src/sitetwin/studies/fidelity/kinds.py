"""In what twins of the study of fidelity differ from the truth: kinds, their units, their words."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "perfect",
    "plain",
    "wrong site",
    "trees",
    "walls",
    "heights",
    "materials",
    "order",
    "yaw",
    "pattern",
    "station",
]
"""In what a twin differs from the truth: in nothing, in all that is usual, in everything, or in one thing."""

PERFECT: Kind = "perfect"
UNITS = {"walls": "m rms", "heights": "m rms", "yaw": "degrees", "station": "m", "order": "reflections"}
"""Units of the strengths that are numbers."""

WORDS = {
    "trees": ("none", "attenuate only"),
    "materials": ("concrete", "glass", "metal"),
    "pattern": ("TR 38.901",),
}
"""Strengths that are no numbers, by kind."""
