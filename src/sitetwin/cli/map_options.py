"""How a map is built: the options that `sitetwin site import` and `sitetwin site fetch` share."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sitetwin.cli.console import Context, refuse_idle
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.site.maps import MapOptions

_PARAMETER = "build"


@dataclass(frozen=True)
class MapBuild:
    """The options as they were given; their help says what each means."""

    materials: Annotated[
        str, typer.Option(help="Materials by tags: default, mc1, mc2, mc3, or a table of your own (.toml).")
    ] = "default"
    terrain: Annotated[Path | None, typer.Option(help="Raster of heights (GeoTIFF); flat ground without.")] = None
    terrain_spacing: Annotated[float, typer.Option(help="Metres between the nodes of the terrain.")] = 20.0
    default_height: Annotated[
        float, typer.Option(help="Metres, of a building whose height and levels nobody noted.")
    ] = 9.0
    height_spread: Annotated[
        float, typer.Option(help="Metres by which such heights are drawn about their default.")
    ] = 0.0
    level_height: Annotated[float, typer.Option(help="Metres of one level.")] = 3.0
    shared_walls: Annotated[
        str, typer.Option(help="Walls between touching buildings: merge leaves them out, or keep.")
    ] = "merge"
    no_trees: Annotated[bool, typer.Option("--no-trees", help="Leave trees and woods out.")] = False
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn: heights nobody noted, with a spread.")] = 0

    def options(self, ctx: Context) -> MapOptions:
        """The options for `sitetwin.site.maps.site_from_map`.

        Raises:
            SiteTwinError: One cannot be, or says nothing beside the others.
        """
        from sitetwin.site.maps import BuildingOptions, MapOptions, TreeOptions, load_rules

        if self.terrain is None:
            refuse_idle(ctx, {"terrain_spacing": "--terrain-spacing"}, "without --terrain; add it, or leave this out")
        if self.height_spread == 0:
            refuse_idle(ctx, {"seed": "--seed"}, "without --height-spread; add it, or leave this out")
        policy: Literal["merge", "keep"] = "keep" if self.shared_walls == "keep" else "merge"
        if self.shared_walls not in ("merge", "keep"):
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


OF_MAPS = {f.name: f"--{f.name.replace('_', '-')}" for f in fields(MapBuild) if f.name != "materials"}
"""By parameter, the options that say nothing for a model."""


def takes_map_build(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `MapBuild` in place of its parameter ``build``, in which it gets them."""
    hints = typing.get_type_hints(MapBuild, include_extras=True)
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != _PARAMETER:
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(f.name, parameter.kind, default=f.default, annotation=hints[f.name])
            for f in fields(MapBuild)
        ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        build = MapBuild(**{f.name: given.pop(f.name) for f in fields(MapBuild)})
        command(**given, **{_PARAMETER: build})

    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options
