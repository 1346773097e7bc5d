"""The command `sitetwin site variant`: another world made from a site by a recipe."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import out, plain, say
from sitetwin.cli.options.single import SiteName
from sitetwin.errors import SiteTwinError, SiteTwinWarning


def variant(
    scene: SiteName,
    recipe: Annotated[str, typer.Option(help="TOML file of a recipe, or a level of fidelity such as lod2.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the site to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
) -> None:
    """Make another world from a site: walls, heights, trees, buildings, vehicles or materials differ by a recipe."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise SiteTwinError(f"{to} exists already; choose another folder")

    import numpy as np

    from sitetwin.site import open_site, read_recipe, save_site
    from sitetwin.site.recipes import FIDELITY, fidelity_recipe

    known = recipe in FIDELITY or (not Path(recipe).exists() and not Path(recipe).suffix)
    chosen = fidelity_recipe(recipe) if known else read_recipe(recipe)
    made = chosen.apply(open_site(scene), np.random.default_rng(seed))
    save_site(made, to)
    if chosen.pose is not None:
        warnings.warn(
            f"the recipe '{chosen.name}' has an error of pose, which a site has no base station to take; draw it in "
            "Python with VariantRecipe.apply_pose",
            SiteTwinWarning,
            stacklevel=2,
        )
    _print_differences(made)
    say(str(to))


def _print_differences(made: Any) -> None:
    table = Table("difference", "in numbers")
    for entry in made.provenance["differences"]:
        facts = [f"{key} {_short(value)}" for key, value in entry.items() if key not in ("what", "sha256")]
        table.add_row(plain(str(entry["what"])), plain(", ".join(facts)))
    if table.row_count:
        out.print(table)
    say(f"{made.name}: {made.num_triangles:,} triangles, hash {made.hash}")


def _short(value: Any) -> str:
    """A number to four digits; the site's provenance has them all."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
