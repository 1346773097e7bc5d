"""Read the radios of a Wireless InSite project: positions, antennas, carrier, and limits of its trace."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.importers.blocks import Block, Source, parse_blocks, read_file
from sitetwin.site.importers.insite_study import scatters_diffusely

_MOST_POINTS = 20_000_000
_KINDS = ("points", "grid", "route", "arc", "polygon", "sphere", "cylinder", "vertical_surface", "plane_wave")


@dataclass(frozen=True, eq=False)
class RadioSet:
    """A set of transmitters or receivers.

    Attributes:
        number: Number of the set in the project, which is part of the names of result files.
        name: Name of the set.
        positions: (N, 3) float64, metres, in the order of the results; heights as the file gives them.
        above_terrain: Whether heights count from the terrain.
        antenna: Number of the antenna in the project.
        rotation: Whether the antenna is turned.
        power_dbm: Transmitted power, dBm; None for a set that only receives.
    """

    number: int
    name: str
    positions: np.ndarray
    above_terrain: bool
    antenna: int
    rotation: bool
    power_dbm: float | None


@dataclass(frozen=True, eq=False)
class InsiteSetup:
    """The data of a project that are needed to trace it again.

    Attributes:
        frequency_hz: Carrier frequency, Hz.
        antennas: Type and polarisation of each antenna by its number, such as ("isotropic", "vertical").
        radios: The active sets by number.
        max_reflections: Largest number of reflections of a path.
        max_transmissions: Largest number of transmissions of a path.
        max_diffractions: Largest number of diffractions of a path.
        diffuse: Whether surfaces scattered diffusely in the run, which then took power from its reflections.
    """

    frequency_hz: float
    antennas: dict[int, tuple[str, str]]
    radios: dict[int, RadioSet]
    max_reflections: int
    max_transmissions: int
    max_diffractions: int
    diffuse: bool


def read_setup(path: str | Path) -> InsiteSetup:
    """Read a project's ``.setup`` file and the ``.txrx`` file beside it.

    Args:
        path: The ``.setup`` file, or a folder that holds one.

    Raises:
        SiteTwinError: A file is missing, truncated or malformed, or there is not exactly one project, carrier or set
            file.
    """
    path = _only(Path(path), ".setup") if Path(path).is_dir() else Path(path)
    source = Source(str(path))
    root = parse_blocks(read_file(path), str(path))
    model = next(root.walk("model"), None)
    if model is None:
        raise SiteTwinError(f"'{path}' has no study area with a <model>; give the .setup file of a finished project")
    carriers = {source.number(*source.need(w, "CarrierFrequency"), "the carrier") for w in root.walk("Waveform")}
    if len(carriers) != 1:
        raise SiteTwinError(f"'{path}' has {len(carriers)} carriers; keep the waveform that was traced")
    antennas = {}
    for block in root.walk("antenna"):
        number = source.count(*source.need(block, "antenna"), "the number of the antenna", 10**6)
        kind, polarisation = (block.get(key) for key in ("type", "polarization"))
        antennas[number] = (kind[1] if kind else "", polarisation[1] if polarisation else "")
    reflections, transmissions, diffractions = (
        source.count(*source.need(model, f"max_{what}"), f"max_{what}", 100)
        for what in ("reflections", "transmissions", "wedge_diffractions")
    )
    named = [source.need(block, "filename")[1] for block in root.walk("txrx_sets")]
    if len(named) != 1:
        raise SiteTwinError(f"'{path}' names {len(named)} files of radios; keep one")
    radios = read_radios(path.parent / re.split(r"[\\/]", named[0])[-1])
    diffuse = scatters_diffusely(root, source)
    return InsiteSetup(carriers.pop(), antennas, radios, reflections, transmissions, diffractions, diffuse=diffuse)


def _only(folder: Path, suffix: str) -> Path:
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() == suffix)
    if len(found) != 1:
        raise SiteTwinError(f"'{folder}' holds {len(found)} {suffix} files; name one of them")
    return found[0]


def read_radios(path: str | Path) -> dict[int, RadioSet]:
    """Read a ``.txrx`` file: the active sets of points and grids, by number.

    Sets of other shapes are left out with a warning.

    Raises:
        SiteTwinError: The file is missing, truncated or malformed.
    """
    source = Source(str(path))
    radios: dict[int, RadioSet] = {}
    for block in parse_blocks(read_file(Path(path)), str(path)).children:
        if not block.has("active"):
            continue
        if block.tag not in ("points", "grid"):
            if block.tag in _KINDS:
                warnings.warn(
                    f"'{path}', line {block.line}: radios along a <{block.tag}> are left out",
                    SiteTwinWarning,
                    stacklevel=2,
                )
            continue
        number = source.count(*source.need(block, "project_id"), "the number of the set", 10**6)
        if number in radios:
            source.refuse(block.line, f"there are two sets number {number}", "give each its own number")
        radios[number] = _radio_set(source, block, number)
    if not radios:
        raise SiteTwinError(f"'{path}' has no active set of points or grid; export the project's radios again")
    return radios


def _radio_set(source: Source, block: Block, number: int) -> RadioSet:
    locations = block.named("location")
    if len(locations) != 1:
        source.refuse(block.line, f"the set has {len(locations)} locations", "a set needs one")
    location = locations[0]
    reference = next(iter(location.named("reference")), None)
    if reference is not None and not reference.has("cartesian"):
        source.refuse(reference.line, "positions are not cartesian", "save them in local cartesian coordinates")
    corners = np.array(source.points(location, _MOST_POINTS), dtype=np.float64).reshape(-1, 3)
    positions = _grid(source, location, corners) if block.tag == "grid" else corners
    ends = block.named("transmitter", "receiver")
    pattern = next((p for end in ends for p in end.named("pattern")), None)
    antenna, rotated, power = 0, False, None
    if pattern is not None:
        antenna = source.count(*source.need(pattern, "antenna"), "the number of the antenna", 10**6)
        turns = [pattern.get(f"rotation_{axis}") for axis in "xyz"]
        rotated = any(source.number(*turn, "a rotation") != 0 for turn in turns if turn)
    if block.has("is_transmitter yes"):
        for end in block.named("transmitter"):
            power = source.number(*source.need(end, "power"), "the power")
    above = reference is not None and reference.has("terrain")
    return RadioSet(number, block.label.strip(), positions, above, antenna, rotated, power)


def _grid(source: Source, location: Block, corners: np.ndarray) -> np.ndarray:
    """(N, 3) points of a grid: along its first side (x) first."""
    if len(corners) != 1:
        source.refuse(location.line, f"the grid has {len(corners)} corners", "a grid begins at one")
    sides = [source.number(*source.need(location, key), key) for key in ("side1", "side2", "spacing")]
    if min(sides[:2]) < 0 or sides[2] <= 0 or (sides[0] / sides[2] + 1) * (sides[1] / sides[2] + 1) > _MOST_POINTS:
        source.refuse(location.line, f"the grid is {sides[0]:g} m by {sides[1]:g} m at {sides[2]:g} m", "correct it")
    nx, ny = (int(side / sides[2] + 1e-9) + 1 for side in sides[:2])
    y, x = np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij")
    steps = np.stack([x.ravel(), y.ravel(), np.zeros(nx * ny)], axis=1)
    return corners[0] + sides[2] * steps
