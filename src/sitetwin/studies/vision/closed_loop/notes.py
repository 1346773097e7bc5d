"""What a reader of the closed loop must know: what was recorded and how, as the recordings say it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from sitetwin.studies.vision.config import VisionStudy
from sitetwin.vision.worlds import LinkBudget, Recording
from sitetwin.vision.worlds.recording import GPS_LASTING, GPS_SECONDS
from sitetwin.vision.worlds.world import ELEMENTS

DEVELOPMENT = (0, 1)
"""Seeds of the streets (by the thousand) on which ranking and blockage were worked out."""

_FACADES = {"depth": "the renderer's depth", "lines": "straight lines of its images, or none where they are flagged"}
_LIGHT_M_S = 299792458.0
_NEAR = 15.0  # metres, of the user whose level over the noise is told


def sight_over_noise_db(budget: LinkBudget, distance: float = _NEAR) -> float:
    """Power over the noise in the beam that looks at a user in line of sight, dB (free space, isotropic user).

    Args:
        budget: The link budget.
        distance: Of the user, metres.
    """
    spread = 20 * math.log10(_LIGHT_M_S / budget.carrier_hz / (4 * math.pi * distance))
    return budget.transmit_dbm + spread + 10 * math.log10(ELEMENTS) - 10 * math.log10(budget.noise_mw)


def loop_notes(
    study: VisionStudy,
    recordings: Sequence[Recording],
    moments: int,
    other_engine: int,
    *,
    unfinished: int,
    made_here: bool,
    networks: bool,
) -> list[str]:
    """Return the notes.

    Args:
        study: The configuration.
        recordings: The drives.
        moments: Judged moments.
        other_engine: Those whose powers are another tracer's.
        unfinished: Drives of the campaign that were left out.
        made_here: Whether this study recorded them.
        networks: Whether networks perceive, too.
    """
    walls = _said({float(one.world.get("wall_sigma", math.nan)) for one in recordings}, "{:g}".format)
    sigma = _said({one.choices.gps_sigma for one in recordings}, "{:g}".format)
    level = _said({sight_over_noise_db(one.choices.budget) for one in recordings}, "{:.0f}".format)
    notes = [
        "The closed loop is synthetic: streets, traffic, images, positions and powers are made. No recording with "
        "images, measured powers and a map is public.",
        "The truth has bodies of vehicles, poles, trees and materials that the twin does not know; its map is off by "
        f"{walls} m. {other_engine} of the {moments} moments have powers of another ray tracer (Sionna RT).",
        f"Fixes are off by {sigma} m (standard deviation, east and north alike), which the twin is told; "
        f"{100 * GPS_LASTING:g} % of the variance lasts for some {GPS_SECONDS:g} s.",
        "Blocked moments are sampled more often than they happen. Rows of the natural share weigh them as they happen.",
        "The twin without a map has the ground, the boxes, and the facades that the camera sees, from "
        f"{_FACADES[study.loop.facades]}: houses beyond the image are missing.",
        "A layer-1 beam is one of six equal runs of the narrow beams; a method's is that of its first narrow beam.",
        f"Powers hold the receiver's noise, {level} dB under a user in line of sight {_NEAR:g} m away: losses end "
        "there.",
        "Intervals draw whole drives. Blockages of one drive are not independent.",
    ]
    if not networks:
        notes.append("Networks are left out: true boxes stand for perception.")
    seeds = {one.world.get("street", {}).get("seed") for one in recordings}
    if any(isinstance(seed, int) and seed // 1000 in DEVELOPMENT for seed in seeds):
        notes.append(
            "Some drives go through streets on which ranking and blockage were worked out: figures are optimistic."
        )
    else:
        said = " and ".join(map(str, DEVELOPMENT))
        notes.append(f"Ranking and blockage were worked out on other streets and drives (seeds {said}).")
    if unfinished:
        notes.append(f"{unfinished} drives of the campaign are not finished, and were left out.")
    if study.profile == "quick" and made_here:
        notes.append(f"Profile quick has {moments} moments: its intervals are wide, and it carries no bound.")
    return notes


def _said(values: Collection[float], written: Callable[[float], str]) -> str:
    """One value, or the least and the largest of several."""
    texts = [written(value) for value in sorted(values)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
