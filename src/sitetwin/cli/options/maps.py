"""How a map is built: the options that `sitetwin site import` and `sitetwin site fetch` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.groups import option_group, option_names
from sitetwin.cli.options.single import choice
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.site.maps import MapOptions

WALLS = ("merge", "keep")


@option_group("Map")
class MapBuild:
    """How a map becomes a site, as it was given on the command line."""

    materials: Annotated[
        str, typer.Option(help="Table from tags to materials: default, mc1, mc2, mc3, or your own (.toml).")
    ] = "default"
    terrain: Annotated[
        Path | None, typer.Option(help="Raster of heights (GeoTIFF); without it the ground is flat.")
    ] = None
    terrain_spacing: Annotated[float, typer.Option(help="Metres between the nodes of the terrain.")] = 20.0
    default_height: Annotated[
        float, typer.Option(help="Height in metres of a building for which the map has neither height nor levels.")
    ] = 9.0
    height_spread: Annotated[
        float, typer.Option(help="Metres by which such heights are drawn around their default.")
    ] = 0.0
    level_height: Annotated[float, typer.Option(help="Height in metres of one level.")] = 3.0
    shared_walls: Annotated[
        str,
        choice(*WALLS, help="Walls between touching buildings: merge leaves them out, keep does not.", checked=False),
    ] = "merge"
    no_trees: Annotated[bool, typer.Option("--no-trees", help="Leave trees and woods out.")] = False
    seed: Annotated[int, typer.Option(min=0, help="Seed of the heights that are drawn.")] = 0

    def options(self, ctx: Context) -> MapOptions:
        """The options for `sitetwin.site.maps.site_from_map`.

        Raises:
            SiteTwinError: One cannot be, or says nothing beside the others.
        """
        from sitetwin.site.maps import BuildingOptions, MapOptions, TreeOptions, load_rules

        if self.terrain is None:
            refuse_idle(ctx, ("terrain_spacing",), "without --terrain; add it, or leave this out")
        if self.height_spread == 0:
            refuse_idle(ctx, ("seed",), "without --height-spread; add it, or leave this out")
        policy: Literal["merge", "keep"] = "keep" if self.shared_walls == "keep" else "merge"
        if self.shared_walls not in WALLS:
            raise SiteTwinError(f"--shared-walls '{self.shared_walls}' is unknown; choose merge or keep")
        return MapOptions(
            rules=load_rules(self.materials),
            buildings=BuildingOptions(
                default_height=self.default_height,
                default_spread=self.height_spread,
                level_height=self.level_height,
                shared_walls=policy,
            ),
            trees=None if self.no_trees else TreeOptions(),
            terrain=self.terrain,
            terrain_spacing=self.terrain_spacing,
            seed=self.seed,
        )


OF_MAPS = tuple(name for name in option_names(MapBuild) if name != "materials")
"""The options that say nothing for a model."""
