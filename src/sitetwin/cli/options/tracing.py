"""What the commands that trace let one choose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.groups import option_group
from sitetwin.cli.options.single import LatticeSeed, Transmissions
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.rays.dense import TraceSettings


@option_group("Paths")
class TracingOptions:
    """Which paths are traced."""

    transmissions: Transmissions = 0
    diffuse: Annotated[int, typer.Option(min=0, help="Most paths per user that surfaces scatter diffusely.")] = 0
    diffuse_tile: Annotated[float, typer.Option(help="Longest edge of the tiles that scatter, in metres.")] = 5.0
    depth: Annotated[int, typer.Option(min=0, max=8, help="Most interactions of a path.")] = 3
    diffraction: Annotated[
        bool, typer.Option("--diffraction", help="Trace paths with one diffraction at an edge too.")
    ] = False
    seed: LatticeSeed = 0

    def check(self, ctx: Context, of_edges: tuple[str, ...] = (), of_tiles: tuple[str, ...] = ()) -> None:
        """Make sure that every option that was given means something beside the others.

        Args:
            ctx: Context of the command.
            of_edges: Parameters of the command, besides those here, that have no effect without diffraction.
            of_tiles: Parameters of the command, besides those here, that have no effect without diffuse scattering.

        Raises:
            SiteTwinError: One says nothing.
        """
        if self.diffraction and self.depth == 0:
            raise SiteTwinError("--diffraction says nothing with --depth 0, the line of sight; give --depth 1 or more")
        if not self.diffraction:
            refuse_idle(ctx, of_edges, "without --diffraction; add it, or leave this out")
        if not self.diffuse:
            refuse_idle(ctx, ("diffuse_tile", *of_tiles), "without --diffuse; add it, or leave this out")

    def settings(self) -> TraceSettings:
        """The settings of the tracer."""
        from sitetwin.rays.dense import TraceSettings

        return TraceSettings(
            max_depth=self.depth,
            seed=self.seed,
            diffraction=self.diffraction,
            max_transmissions=self.transmissions,
            diffuse_paths=self.diffuse,
            diffuse_tile_m=self.diffuse_tile,
        )


@option_group("Paths")
class EdgeTracingOptions(TracingOptions):
    """Which paths are traced, and how diffracted ones may run."""

    reflections_before: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path before the edge.")
    ] = 1
    reflections_after: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path after the edge.")
    ] = 1
    lit_region: Annotated[
        bool,
        typer.Option(
            "--lit-region/--no-lit-region",
            help="Whether diffracted paths are kept where the edge casts no shadow, too.",
        ),
    ] = True

    def check(self, ctx: Context, of_edges: tuple[str, ...] = (), of_tiles: tuple[str, ...] = ()) -> None:
        """As `TracingOptions.check`, with the options of diffracted paths."""
        own = ("reflections_before", "reflections_after", "lit_region")
        super().check(ctx, (*own, *of_edges), of_tiles)

    def settings(self) -> TraceSettings:
        """The settings of the tracer."""
        return replace(
            super().settings(),
            reflections_before=self.reflections_before,
            reflections_after=self.reflections_after,
            lit_region=self.lit_region,
        )
