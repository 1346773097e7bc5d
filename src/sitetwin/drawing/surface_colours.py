"""Colours of materials, the same in maps and in the viewer."""

from __future__ import annotations

from sitetwin.site import Material

_OF_ITU = {
    "concrete": "#b9b6ae",
    "brick": "#b5735a",
    "plasterboard": "#ddd6c8",
    "wood": "#b08a5b",
    "glass": "#9cc4d4",
    "clear_acrylic": "#c7e3ea",
    "ceiling_board": "#e2ded4",
    "chipboard": "#c29d6b",
    "plywood": "#cfae7d",
    "marble": "#d8d2c4",
    "floorboard": "#a98253",
    "vinyl_tile": "#c9c2b8",
    "carpet_tile": "#8f8794",
    "asphalt_concrete": "#8b8b8e",
    "metal": "#8a97a3",
    "very_dry_ground": "#d9c9a3",
    "medium_dry_ground": "#bfb37f",
    "wet_ground": "#8d8a5c",
}
_OF_NAME = (  # words in names of materials that are not in the table of P.2040
    ("water", "#7fa8c9"),
    ("grass", "#a9bf82"),
    ("asphalt", "#8b8b8e"),
    ("soil", "#bfa982"),
    ("sand", "#e0d3a8"),
    ("roof", "#a8705c"),
    ("ground", "#c4bca2"),
)
_OTHERS = ("#c2b8d6", "#d6bfa9", "#a9c7bd", "#d4b3bd", "#b8c4a4", "#aebfd6")


def material_colours(materials: tuple[Material, ...]) -> tuple[str, ...]:
    """A colour "#rrggbb" for each material: by its name in ITU-R P.2040, else by words in its own, else one of six."""
    colours, others = [], 0
    for material in materials:
        word = next((colour for word, colour in _OF_NAME if word in material.name.lower()), None)
        if material.itu in _OF_ITU:
            colours.append(_OF_ITU[material.itu])
        elif word is not None:
            colours.append(word)
        else:
            colours.append(_OTHERS[others % len(_OTHERS)])
            others += 1
    return tuple(colours)
