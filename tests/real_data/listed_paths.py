"""Paths that a commercial ray tracer lists, against ours: `benchmarks/insite.py` does the work."""

from __future__ import annotations

from pathlib import Path

from benchmarks import insite

from sitetwin.rays.referee.insite_setup import read_setup
from sitetwin.site import load_scene
from tests.rays.laws import LawTest
from tests.real_data.cases import Bound, Case, at_least, at_most, exactly

JUDGED = 500
"""Unlisted paths of ours that are judged, of each transmitter."""

AIR = (22.2, 1013.25, 50.0)
"""Air that the program takes by default, and of the run in New York: degrees Celsius, hPa, per cent."""

_LOSSES = (
    "lawful listed paths that ours misses",
    "listed paths that break a law (share)",
    "power, root mean square difference (dB)",
    "power, largest difference (dB)",
    "delay in air, largest difference (ns)",
    "phase in air, largest difference (degrees)",
    "angles, largest difference (degrees)",
    "refractive index of the run minus that of air (1e-6)",
    "judged paths of ours that break a law",
)


def measured(folder: Path) -> dict[str, float]:
    """Compare every transmitter of a run."""
    site, setup = load_scene(folder), read_setup(folder)
    judge = LawTest(site)
    pairs = [insite.compare(f, site, setup, judge, lambda _: None) for f in sorted(folder.glob("*.paths.*.p2m"))]
    index = insite.measured_index(pairs)  # one number for a whole run, which its delays and phases must then share
    off = insite.differences(pairs, setup, index)
    listed, lawful = sum(p.listed.num_paths for p in pairs), sum(int(p.lawful.sum()) for p in pairs)
    verdicts = insite.extra_classes(pairs, site, judge, JUDGED)["extra_judged"]
    losses = (
        sum(int((p.lawful & ~p.found).sum()) for p in pairs),
        1 - lawful / listed,
        off["power_rmse_db"],
        off["power_difference_db"]["max"],
        off["delay_difference_in_air_ns"]["max"],
        off["phase_difference_in_air_degrees"]["max"],
        off["angle_difference_degrees"]["max"],
        1e6 * abs(index - insite.refractive_index(*AIR)),
        verdicts.get("invalid", 0),
    )
    return {
        "transmitters": len(pairs),
        "listed paths": listed,
        "power without a reflection, mean difference (dB)": abs(off["power_bias_line_of_sight_db"]),
        **dict(zip(_LOSSES, losses, strict=True)),
    }


def bounds(transmitters: Bound, listed: Bound, index_off: float) -> tuple[Bound, ...]:
    """What a run of that program without diffraction must keep to, whatever the city."""
    limits = (
        (0, "what a lawful tracer lists must be found"),
        (0.01, "the list itself: some of its paths pass through buildings"),
        (0.01, "same Fresnel coefficients; six digits in the list"),
        (0.05, "the same"),
        (0.01, "six digits in the list"),
        (1.0, "six digits in the list"),
        (0.001, "six digits in the list"),
        (index_off, "Recommendation ITU-R P.453"),
        (0, "laws of reflection and occlusion"),
    )
    return (
        transmitters,
        listed,
        at_most(
            "power without a reflection, mean difference (dB)", 0.005, "Friis; the run's wave is slower by its air"
        ),
        *(at_most(figure, limit, why) for figure, (limit, why) in zip(_LOSSES, limits, strict=True)),
    )


def another_city(name: str, folder: str) -> Case:
    """The same for a run of another city."""
    some = at_least("transmitters", 1, "a run has one"), at_least("listed paths", 1, "a run has one")
    weather = 80.0  # 1e-6: air from frost to summer
    return Case(f"{name}, listed paths", (folder,), bounds(*some, weather), lambda data: measured(data / folder))


def _new_york(data: Path) -> dict[str, float]:
    return measured(data / "new_york" / "insite")


CASES = (
    Case(
        "New York, listed paths",
        ("new_york/insite",),
        bounds(exactly("transmitters", 3, "the release"), exactly("listed paths", 7280, "the release"), 1.0),
        _new_york,
    ),
    another_city("Los Angeles", "los_angeles/insite"),
    another_city("Chicago", "chicago/insite"),
)
