"""The dense tracer against a run of Wireless InSite: same meshes, transmitters, users and reflections, path by path.

    python benchmarks/insite.py FOLDER --json > insite.json

The run is a one-sided reference. Each listed path is given the facets that its points lie on and the exact reflection
points of that chain (image method, float64); the law test, which neither engine shares code with, judges those. What
is lawful must be found; what is not is listed with the law it breaks; what only we have is judged and sorted.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # tests.rays.laws, the judge that neither engine shares code with

from tests.rays.laws import LawTest, Verdict  # noqa: E402

from sitetwin.channel.fields.options import FieldOptions  # noqa: E402
from sitetwin.channel.fields.path_gains import path_gains  # noqa: E402
from sitetwin.errors import SiteTwinError  # noqa: E402
from sitetwin.rays import SPEED_OF_LIGHT, Paths, TraceSettings, trace  # noqa: E402
from sitetwin.rays.referee.compare import match_paths  # noqa: E402
from sitetwin.rays.referee.facet_search import search_facets  # noqa: E402
from sitetwin.rays.referee.insite_paths import InsitePaths, read_insite_paths  # noqa: E402
from sitetwin.rays.referee.insite_setup import InsiteSetup, read_setup  # noqa: E402
from sitetwin.rays.referee.sionna import unfold  # noqa: E402
from sitetwin.site import Site, inside_building, load_scene  # noqa: E402

NEAR_A_FACET = 0.05
"""Metres within which a listed point is taken to lie on a facet."""

ROUNDING = 1e-3
"""Metres a listed point may be off the exact reflection point: six digits leave 0.5 mm beyond 100 m."""


@dataclass(frozen=True)
class Pair:
    """One transmitter: what is listed, what is ours, and which rows agree."""

    name: str
    listing: InsitePaths
    listed: Paths  # with facets and exact reflection points
    displacement: np.ndarray
    verdicts: list[tuple[str, str, str]]  # verdict, law, detail
    ours: Paths
    gains: np.ndarray
    in_listed: np.ndarray
    in_ours: np.ndarray

    @property
    def lawful(self) -> np.ndarray:
        return np.array([v[0] == Verdict.VALID for v in self.verdicts], dtype=bool)

    @property
    def found(self) -> np.ndarray:
        return np.isin(np.arange(self.listed.num_paths), self.in_listed)

    @property
    def extra(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.ours.num_paths), self.in_ours)


def compare(file: Path, site: Site, setup: InsiteSetup, judge: LawTest, say: Callable[[str], None]) -> Pair:
    """Read one list of paths, judge it, trace the same and match."""
    listing = read_insite_paths(file)
    if listing.transmitter_set is None or listing.receiver_set is None:
        raise SiteTwinError(f"'{file}' does not name its sets of radios; give a file with its header")
    number, point = listing.transmitter_set
    transmitters, receivers = setup.radios[number], setup.radios[listing.receiver_set]
    for radios in (transmitters, receivers):
        if radios.rotation or setup.antennas[radios.antenna] != ("isotropic", "vertical"):
            raise SiteTwinError(f"the set '{radios.name}' has antennas other than isotropic, vertical and upright")
    transmitter = transmitters.positions[point - 1]
    listing = read_insite_paths(file, transmitter, receivers.positions)
    listed, displacement, verdicts = judged(listing.paths, site, judge)
    say(f"{transmitters.name}: {listed.num_paths} paths listed, {Counter(v[:2] for v in verdicts)}")
    begun = time.process_time()
    ours = trace(site, transmitter, receivers.positions, TraceSettings(max_depth=setup.max_reflections))
    say(f"{transmitters.name}: {ours.num_paths} paths traced in {time.process_time() - begun:.1f} s of CPU")
    match = match_paths(listed, ours)
    options = FieldOptions(diffuse=setup.diffuse)
    gains = path_gains(ours, site, setup.frequency_hz, options=options).numpy()[:, 0, 0]
    return Pair(transmitters.name, listing, listed, displacement, verdicts, ours, gains, match.a, match.b)


def judged(paths: Paths, site: Site, judge: LawTest) -> tuple[Paths, np.ndarray, list[tuple[str, str, str]]]:
    """Listed paths with facets and exact points, how far the listed points are off them, and the verdicts."""
    search = search_facets(paths, site, NEAR_A_FACET)
    complete = search.complete
    vertices = np.where(complete[:, None, None], search.vertices, paths.vertices)
    length, departure, arrival = unfold(paths.transmitter, paths.users[paths.user_of_path], vertices)
    facets = np.where(complete[:, None], search.facets, -1)
    exact = replace(paths, facets=facets, vertices=vertices, length=length, departure=departure, arrival=arrival)
    off = np.where(np.isnan(search.displacement), 0.0, search.displacement).max(axis=1, initial=0.0)
    verdicts = []
    judgements = iter(judge.judge_paths(exact, np.flatnonzero(complete)))
    for row in range(paths.num_paths):
        if not complete[row]:
            verdicts.append(("invalid", "facet", f"a point is more than {NEAR_A_FACET} m from every facet"))
            continue
        judgement = next(judgements)
        if off[row] > ROUNDING:
            verdicts.append(("invalid", "mirror", f"a point is {off[row]:.3g} m from the reflection point"))
        else:
            verdicts.append((judgement.verdict.value, judgement.law, judgement.detail))
    return exact, off, verdicts


def spread(values: np.ndarray) -> dict[str, float]:
    """Median, 99th percentile and maximum of absolute values."""
    if not len(values):
        return {}
    return dict(zip(("median", "p99", "max"), map(float, np.percentile(np.abs(values), [50, 99, 100])), strict=True))


def refractive_index(temperature: float, pressure: float, humidity: float) -> float:
    """Of air, Recommendation ITU-R P.453-14, eq. 1, 2, 6 and 9: degrees Celsius, hPa, per cent."""
    factor = 1 + 1e-4 * (7.2 + pressure * (0.0320 + 5.9e-6 * temperature**2))
    saturated = factor * 6.1121 * np.exp((18.678 - temperature / 234.5) * temperature / (temperature + 257.14))
    vapour, kelvin = saturated * humidity / 100, temperature + 273.15
    return float(1 + 1e-6 * (77.6 * (pressure - vapour) / kelvin + 72 * vapour / kelvin + 3.75e5 * vapour / kelvin**2))


def differences(pairs: list[Pair], setup: InsiteSetup, index: float) -> dict[str, Any]:
    """How far matched paths differ in power, delay, phase and angles."""
    power, vacuum, air, phase, angle, free, rounding = [], [], [], [], [], [], []
    for p in pairs:
        a, b = p.in_listed, p.in_ours
        power_ours = 20 * np.log10(np.abs(p.gains[b])) + setup.radios[p.listing.transmitter_set[0]].power_dbm
        power.append(power_ours - p.listing.power_dbm[a])
        free.append(power[-1][p.listed.depth[a] == 0])
        vacuum.append(1e9 * (p.ours.delay[b] - p.listing.delay[a]))
        air.append(1e9 * (index * p.ours.delay[b] - p.listing.delay[a]))
        slower = np.exp(-2j * np.pi * setup.frequency_hz * (index - 1) * p.ours.delay[b])
        phase.append(np.degrees(np.angle(p.gains[b] * slower * np.exp(-1j * p.listing.phase[a]))))
        for angles, direction in (
            (p.listing.departure_angles[a], p.ours.departure[b]),
            (p.listing.arrival_angles[a], p.ours.arrival[b]),
        ):
            (theta, phi) = angles.T
            unit = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
            angle.append(np.degrees(2 * np.arcsin(np.linalg.norm(unit - direction, axis=1) / 2)))
        rounding.append(p.displacement)
    decibel = np.concatenate(power)
    return {
        "power_rmse_db": float(np.sqrt(np.mean(decibel**2))),
        "power_difference_db": spread(decibel),
        "power_bias_line_of_sight_db": float(np.mean(np.concatenate(free))),
        "delay_difference_ns": spread(np.concatenate(vacuum)),
        "delay_difference_in_air_ns": spread(np.concatenate(air)),
        "phase_difference_in_air_degrees": spread(np.concatenate(phase)),
        "angle_difference_degrees": spread(np.concatenate(angle)),
        "listed_point_displacement_m": spread(np.concatenate(rounding)),
    }


def measured_index(pairs: list[Pair]) -> float:
    """Speed of light over length by listed delay: the index of the medium that the run has reckoned with."""
    return float(np.median(np.concatenate([SPEED_OF_LIGHT * p.listing.delay / p.listed.length for p in pairs])))


def triangles_hit(site: Site, paths: Paths) -> np.ndarray:
    """(P, D) triangle of each bounce, -1 where there is none."""
    corners = site.vertices[site.triangles]
    hit = np.full(paths.facets.shape, -1, np.int64)
    for facet in np.unique(paths.facets[paths.facets >= 0]):
        row, column = np.nonzero(paths.facets == facet)
        points = paths.vertices[row, column]
        for triangle in np.flatnonzero(site.triangle_facet == facet):
            edges = np.roll(corners[triangle], -1, axis=0) - corners[triangle]
            normal = np.cross(edges[0], edges[1])
            side = np.stack([np.cross(edges[k], points - corners[triangle][k]) @ normal for k in range(3)])
            inside = (side >= -1e-6).all(axis=0)
            hit[row[inside], column[inside]] = triangle
    return hit


def extra_classes(pairs: list[Pair], site: Site, judge: LawTest, sample: int) -> dict[str, Any]:
    """Our unlisted paths: judged on a sample, and sorted by what the run lists of their surfaces."""
    ours = [triangles_hit(site, p.ours) for p in pairs]
    listed = np.zeros(site.num_triangles, np.int64)
    single, single_listed = listed.copy(), listed.copy()
    for p, hit in zip(pairs, ours, strict=True):
        seen = hit[p.in_ours]
        np.add.at(listed, seen[seen >= 0], 1)
        lone = p.ours.depth == 1
        both = np.isin(np.arange(p.ours.num_paths), p.in_ours)
        np.add.at(single, hit[lone, 0], 1)
        np.add.at(single_listed, hit[lone & both, 0], 1)
    classes: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    rest = Counter[str]()
    by_depth: dict[str, list[int]] = {}
    for p, hit in zip(pairs, ours, strict=True):
        silent = ((hit >= 0) & (listed[np.maximum(hit, 0)] == 0)).any(axis=1)
        classes["bounces on a triangle that carries no listed path of any transmitter"] += int(silent[p.extra].sum())
        loud = ~silent
        unlisted = np.isin(np.arange(p.ours.num_paths), p.extra)
        for depth in np.unique(p.ours.depth):
            rows = loud & (p.ours.depth == depth)
            rest[f"{depth} reflections, every triangle carries listed paths"] += int((rows & unlisted).sum())
            total = by_depth.setdefault(str(depth), [0, 0])
            total[0] += int((rows & ~unlisted).sum())
            total[1] += int(rows.sum())
        chosen = np.random.default_rng(0).permutation(p.extra)[:sample]
        verdicts.update(j.verdict.value for j in judge.judge_paths(p.ours, np.sort(chosen)))
    many = single >= 20
    share = single_listed[many] / np.maximum(single[many], 1)
    return {
        "extra_classes": {**classes, **rest},
        "extra_judged": dict(verdicts),
        "listed_of_ours_where_every_triangle_carries_listed_paths": by_depth,
        "triangles_that_reflect": int(
            sum(np.bincount(h[h >= 0], minlength=len(listed)) for h in ours).astype(bool).sum()
        ),
        "triangles_that_carry_listed_paths": int(np.count_nonzero(listed)),
        "triangles_with_20_single_bounces": int(many.sum()),
        "of_these_listed_never": int((share == 0).sum()),
        "of_these_listed_for_over_half": int((share > 0.5).sum()),
    }


def lawless_paths(pairs: list[Pair], site: Site) -> dict[str, Any]:
    """The listed paths that break a law, one by one, and counted."""
    rows = []
    for p in pairs:
        for row in np.flatnonzero(~p.lawful):
            verdict, law, detail = p.verdicts[row]
            facet = re.search(r"facet (\d+)", detail)
            triangle = int(np.argmax(site.triangle_facet == int(facet[1]))) if facet else None
            user = p.listed.users[p.listed.user_of_path[row]]
            rows.append(
                {
                    "transmitter": p.name,
                    "user": np.round(user, 3).tolist(),
                    "reflections": int(p.listed.depth[row]),
                    "verdict": verdict,
                    "law": law,
                    "detail": detail,
                    "object": None if triangle is None else site.objects[site.triangle_object[triangle]],
                    "user_indoors": bool(inside_building(site, user[None])[0]),
                    "found": bool(p.found[row]),
                    "power_dbm": float(p.listing.power_dbm[row]),
                }
            )
    return {"lawless": dict(Counter(f"{r['verdict']}: {r['law']}" for r in rows)), "lawless_paths": rows}


def run(
    folder: Annotated[Path, typer.Argument(help="Folder of the run: .setup, .txrx, meshes and *.paths.*.p2m.")],
    temperature: Annotated[float, typer.Option(help="Air of the run, degrees Celsius.")] = 22.2,
    pressure: Annotated[float, typer.Option(help="Air of the run, hPa.")] = 1013.25,
    humidity: Annotated[float, typer.Option(help="Air of the run, per cent.")] = 50.0,
    judge_extra: Annotated[int, typer.Option(help="Unlisted paths to judge per transmitter.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Compare every listed path and print the comparison."""

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text, err=True)

    site, setup = load_scene(folder), read_setup(folder)
    if setup.max_transmissions or setup.max_diffractions:
        say("the run has transmissions or diffractions: they are left out")
    if setup.diffuse:
        say("the run scatters diffusely: reflections keep sqrt(1 - S^2), diffuse paths are left out")
    files = sorted(folder.glob("*.paths.*.p2m"))
    if not files:
        raise SiteTwinError(f"'{folder}' has no *.paths.*.p2m file; ask InSite for the output 'Paths'")
    judge = LawTest(site)
    pairs = [compare(file, site, setup, judge, say) for file in files]
    lawful, found = ([getattr(p, name) for p in pairs] for name in ("lawful", "found"))
    counts = [
        {
            "transmitter": p.name,
            "users": p.ours.num_users,
            "paths": p.listed.num_paths,
            "lawful": int(good.sum()),
            "found": int((good & have).sum()),
            "missed": int((good & ~have).sum()),
            "ours": p.ours.num_paths,
            "extra": len(p.extra),
        }
        for p, good, have in zip(pairs, lawful, found, strict=True)
    ]
    names = ("paths", "lawful", "found", "missed", "ours", "extra")
    totals = {name: sum(row[name] for row in counts) for name in names}
    index = refractive_index(temperature, pressure, humidity)
    result = {
        **totals,
        "recall": totals["found"] / max(totals["lawful"], 1),
        "left_out": dict(sum((Counter(p.listing.left_out) for p in pairs), Counter())),
        "transmitters": counts,
        **differences(pairs, setup, index),
        "refractive_index_of_the_run": measured_index(pairs),
        "refractive_index_of_air": index,
        **extra_classes(pairs, site, judge, judge_extra),
        **lawless_paths(pairs, site),
        "tolerances": {
            "point_on_facet_m": NEAR_A_FACET,
            "point_off_reflection_m": ROUNDING,
            "match": "facet chain, or length within 1 mm and directions within 1e-4 rad",
        },
        "scene": site.provenance,
    }
    print(json.dumps(result, indent=None if as_json else 2))


if __name__ == "__main__":
    try:
        typer.run(run)
    except SiteTwinError as error:
        sys.exit(f"error: {error}")
