"""Which material a surface of a building or of the ground is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from sitetwin.site.materials import Material


@runtime_checkable
class SurfaceRules(Protocol):
    """Materials by the tags of a thing on the map, as in OpenStreetMap."""

    @property
    def materials(self) -> Mapping[str, Material]:
        """The materials that the rules name."""

    def wall(self, tags: Mapping[str, str]) -> str:
        """Name of the material of a building's walls."""

    def roof(self, tags: Mapping[str, str]) -> str:
        """Name of the material of a building's roof."""

    def ground(self, tags: Mapping[str, str]) -> str | None:
        """Name of the material of a piece of ground, or None where it is like the ground around it."""


class PlainRules:
    """Rules that ask no tags but whether a road is paved: concrete walls and roofs, asphalt roads, soil, water."""

    materials: Mapping[str, Material] = {
        "concrete": Material("concrete", itu="concrete", thickness=0.2),
        "asphalt": Material("asphalt", itu="asphalt_concrete"),
        "soil": Material("soil", itu="medium_dry_ground"),
        # Fresh water of 20 degrees Celsius at 3.5 GHz: one Debye relaxation from 80.1 to 5.5 at 17.1 GHz.
        "water": Material("water", relative_permittivity=77.0, conductivity=2.9),
    }

    def wall(self, tags: Mapping[str, str]) -> str:
        """Concrete."""
        return "concrete"

    def roof(self, tags: Mapping[str, str]) -> str:
        """Concrete."""
        return "concrete"

    def ground(self, tags: Mapping[str, str]) -> str | None:
        """Asphalt for roads, water, soil for what has no tag, None for the rest."""
        if "highway" in tags:
            return "asphalt"
        if tags.get("natural") == "water":
            return "water"
        return None if tags else "soil"
