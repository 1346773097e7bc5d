"""Whether measured rows can be what they are taken for: units, order in time, sign of the beams.

What is certainly wrong is refused with the mend; what is doubtful becomes a note, which readers keep with the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.stats import spearmanr

from sitetwin.errors import SiteTwinError

PowerUnit = Literal["linear", "dB"]
"""Unit in which powers are written: proportional to watts, or decibels over any reference."""

_NEGATIVE = 0.01
"""Share of negative numbers that a file of linear powers may hold by mistake."""

_LARGEST_DB = 200.0
_MASKED = 0.1  # share of powers without a number from which it is said
_FEWEST = 10  # rows from which order and bearing can be judged
_PARTS = 32  # numbers that all have one sign by no chance
_LONG_STEP, _LONG_STEPS = 0.2, 1 / 3  # of the length of a drive; share of such steps that no order in time gives
_CORRELATED, _MIRRORED = 0.3, 0.6
_DETOUR = 3.0  # way in the order of the clock over that in the order of the file


def linear_powers(power: Float[np.ndarray, "rows beams"], unit: PowerUnit | None) -> Float[np.ndarray, "rows beams"]:
    """Turn powers as they are written into linear ones; what no receiver gives becomes NaN.

    Args:
        power: As written.
        unit: Their unit; None lets the numbers decide, and refuses where they look like decibels.

    Raises:
        SiteTwinError: The unit is unknown, or none was given and the numbers look like decibels: some are negative, or
            all are of the size of decibels.
    """
    if unit not in (None, *get_args(PowerUnit)):
        raise SiteTwinError(f"powers in '{unit}' are unknown; say one of {', '.join(get_args(PowerUnit))}")
    written = power.astype(np.float64)
    known = written[np.isfinite(written) & (written != 0)]  # no receiver reads zero: it is a gap in the file
    if unit is None and known.size:
        negative = float((known < 0).mean())
        middle = float(np.median(known))
        mend = "give their power unit (linear or dB)"
        if negative > _NEGATIVE:
            raise SiteTwinError(f"{negative:.0%} of the beam powers are negative, so that they look like dB; {mend}")
        if middle >= 1 and known.max() <= _LARGEST_DB:
            raise SiteTwinError(
                f"half of the beam powers lie above {middle:.3g} and none above {known.max():.3g}: linear powers, or "
                f"dB? {mend}"
            )
    with np.errstate(invalid="ignore", over="ignore"):
        if unit == "dB":
            written = 10 ** (written / 10)
        written[~(np.isfinite(written) & (written > 0))] = np.nan
    return written


def check_degrees(position: Float[np.ndarray, "rows 2"]) -> None:
    """Refuse positions in radians: as degrees they would all lie in the sea where the equator meets Greenwich.

    Args:
        position: Latitude and longitude.

    Raises:
        SiteTwinError: They look like radians.
    """
    known = position[np.isfinite(position).all(axis=1)]
    if len(known) and bool((np.abs(known) <= [np.pi / 2, np.pi]).all()) and bool(np.any(known != 0)):
        raise SiteTwinError(
            f"all positions lie within 1.6 degrees of latitude and 3.2 of longitude of (0, 0), in the sea, such as "
            f"({known[0, 0]:g}, {known[0, 1]:g}); they look like radians: give degrees"
        )


def check_parts(real: Shaped[np.ndarray, "*shape"], imaginary: Shaped[np.ndarray, "*shape"], what: str) -> None:
    """Refuse magnitude (or dB) and phase in the place of real and imaginary part, which have both signs.

    Args:
        real: What is taken as the real parts of channels.
        imaginary: What is taken as their imaginary parts.
        what: What they are, for messages.

    Raises:
        SiteTwinError: All numbers of one of the two have one sign.
    """
    for order, (level, turns) in enumerate(((real, imaginary), (imaginary, real))):
        some, phase = level[np.isfinite(level) & (level != 0)], turns[np.isfinite(turns)]
        if len(some) < _PARTS or some.min() < 0 < some.max() or not phase.any() or np.ptp(some) == 0:
            continue
        sign, kind, mend = (
            ("positive", "magnitude", "magnitude") if some[0] > 0 else ("negative", "dB", "10 ** (dB / 20)")
        )
        radians = np.abs(phase).max() <= 2 * np.pi * (1 + 1e-6)
        pair = (kind, f"phase in {'radians' if radians else 'degrees'}")
        raise SiteTwinError(
            f"{what}: the {('real', 'imaginary')[order]} parts are all {sign}, which those of channels hardly are: the "
            f"parts look like {' and '.join(pair if order == 0 else pair[::-1])}; give {mend} * exp(1j * "
            f"{'phase' if radians else 'np.radians(phase)'}), or complex numbers if they are real and imaginary parts"
        )


def check_order(local: Float[np.ndarray, "rows 2"], drive: Int[np.ndarray, " rows"], numbered: bool) -> None:
    """Refuse rows that do not stand in the order of time: speeds and directions would be those of nobody.

    Args:
        local: Metres.
        drive: Drive of each row.
        numbered: Whether the data number their drives; else they were told apart by the turns of the track.

    Raises:
        SiteTwinError: A third of the steps within the drives are a fifth of the way or longer; or the track turns
            every few rows.
    """
    mend = "sort the rows by time, or give a table with the column index"
    drives = [local[drive == number] for number in np.unique(drive)]
    if not numbered and len(local) >= 2 * _FEWEST and len(local) / len(drives) < 4:
        raise SiteTwinError(
            f"the track of {len(local)} rows turns {len(drives) - 1} times, so that the rows do not follow each other "
            f"in time; {mend}"
        )
    judged = [rows for rows in drives if len(rows) >= _FEWEST]
    long = steps = 0
    for rows in judged:
        step, way = np.hypot(*np.diff(rows, axis=0).T), float(np.hypot(*np.ptp(rows, axis=0)))
        long, steps = long + int((step > _LONG_STEP * way).sum()), steps + len(step)
    if steps and long > _LONG_STEPS * steps:
        raise SiteTwinError(
            f"{long} of {steps} steps between rows of one drive are longer than a fifth of its way, so that the rows "
            f"do not follow each other in time; {mend}"
        )


def check_bearing(power: Float[np.ndarray, "rows beams"], local: Float[np.ndarray, "rows 2"]) -> list[str]:
    """Compare the number of the best beam with the bearing of the user: official beams fall with the azimuth.

    Args:
        power: Linear, NaN where not measured, with the beams in the official order.
        local: Metres east and north of the station.

    Returns:
        A note where the two have nothing to do with each other, else nothing.

    Raises:
        SiteTwinError: The beams rise with the azimuth: they are mirrored, or latitude and longitude are swapped.
    """
    if len(power) < _FEWEST:
        return []
    if not np.ptp(local, axis=0).any():
        return [f"all {len(local)} rows hold one position: check the files of positions"]
    trend = _trend(power, local)
    if trend is None:
        return []
    if trend > _CORRELATED:
        raise SiteTwinError(
            f"the number of the best beam rises with the azimuth of the user (rank correlation {trend:.2f}), and falls "
            "in the official order: the beams are mirrored, or latitude and longitude are swapped; put them in order"
        )
    if trend > -_CORRELATED:
        return [
            f"the best beam has little to do with the bearing of the user (rank correlation {trend:.2f}, near -1 is "
            "usual): check station, positions and the order of the rows"
        ]
    return []


def _trend(power: np.ndarray, local: np.ndarray) -> float | None:
    """Rank correlation of the best beam with the azimuth of the user; None where one of them is always the same."""
    best = np.nanargmax(power, axis=1)
    bearing = np.arctan2(local[:, 1], local[:, 0])
    turned = np.angle(np.exp(1j * bearing) * np.conj(np.exp(1j * bearing).mean()))
    if np.ptp(best) == 0 or np.ptp(turned) < 1e-6:
        return None
    return float(spearmanr(turned, best).statistic)


def check_codebook(
    pattern: Float[np.ndarray, "beams angles"],
    azimuth: Float[np.ndarray, " angles"],
    power: Float[np.ndarray, "rows beams"],
    local: Float[np.ndarray, "rows 2"],
) -> list[str]:
    """Compare where the best beams of a codebook look with where the users are.

    Args:
        pattern: Linear power of each beam.
        azimuth: Radians from boresight, to the left positive.
        power: Linear, NaN where not measured; each row has one.
        local: Metres east and north of the station.

    Returns:
        A note where the two have nothing to do with each other, else nothing.

    Raises:
        SiteTwinError: The beams look the other way round than the users go: the codebook is mirrored.
    """
    looks = azimuth[pattern.argmax(axis=1)][np.nanargmax(power, axis=1)]
    bearing = np.arctan2(local[:, 1], local[:, 0])
    turned = np.angle(np.exp(1j * bearing) * np.conj(np.exp(1j * bearing).mean()))
    if len(power) < _FEWEST or np.ptp(looks) == 0 or np.ptp(turned) < 1e-6:
        return []
    trend = float(spearmanr(turned, looks).statistic)
    if trend < -_MIRRORED:
        raise SiteTwinError(
            f"the azimuth of the best beam falls where the bearing of the user rises (rank correlation {trend:.2f}): "
            "the order of the beams or the sign of the codebook's azimuths is mirrored, or latitude and longitude of "
            "station and users are swapped; turn one of them round"
        )
    if trend < _CORRELATED:
        return [
            f"the codebook has little to do with where the users are (rank correlation {trend:.2f}, near 1 is usual): "
            "check that it is the codebook of this array, and the place of the station"
        ]
    return []


def check_clock(
    local: Float[np.ndarray, "rows 2"], seconds: Float[np.ndarray, " rows"], order: Int[np.ndarray, " rows"]
) -> None:
    """Refuse a clock that jumps back: sorted by it, rows that stood one after the other jump to and fro.

    Args:
        local: Metres, as the rows stand in the file.
        seconds: Their times.
        order: Indices that sort the rows by time.

    Raises:
        SiteTwinError: The way in the order of the clock is three times as long as that in the order of the file.
    """
    way, by_clock = (float(np.hypot(*np.diff(rows, axis=0).T).sum()) for rows in (local, local[order]))
    back = int((np.diff(seconds) < 0).sum())
    if back and by_clock > _DETOUR * way:
        raise SiteTwinError(
            f"the clock jumps back ({back} times), and sorted by it the rows jump to and fro ({by_clock:.0f} m of way "
            f"instead of {way:.0f} m in the order of the file); mend the times, or number the drives"
        )


def drive_notes(
    power: Float[np.ndarray, "rows beams"], local: Float[np.ndarray, "rows 2"], drive: Int[np.ndarray, " rows"]
) -> list[str]:
    """Note drives whose beams do not follow the bearing, where those of most drives do: rows of another codebook.

    Args:
        power: Linear, NaN where not measured.
        local: Metres east and north of the station.
        drive: Drive of each row.
    """
    judged = [number for number in np.unique(drive) if np.count_nonzero(drive == number) >= _FEWEST]
    trends = {number: _trend(power[drive == number], local[drive == number]) for number in judged}
    odd = [number for number, trend in trends.items() if trend is not None and trend > -_CORRELATED]
    if not odd or 2 * len(odd) > len(judged):
        return []
    named = ", ".join(str(number) for number in odd[:5])
    return [
        f"in {len(odd)} of {len(judged)} drives (number {named}) the best beam does not follow the bearing of the user "
        "as in the others: check whether they were measured with another codebook or another station"
    ]


def left_out_notes(skipped: Mapping[str, int], rows: int) -> list[str]:
    """Note that many of the rows of a table were left out for where they are, or because they repeat others."""
    return [
        f"{count} of {rows} rows were left out: {reason}"
        for reason, count in sorted(skipped.items())
        if count > _MASKED * rows and reason.startswith(("farther", "repeating"))
    ]


def silent_note(silent: int, beams: int) -> list[str]:
    """Note beams without any power beside those that the codebook is known to lack."""
    return [f"{silent} of {beams} beams have no power in any row"] if silent else []


def masked_note(power: Float[np.ndarray, "rows beams"]) -> list[str]:
    """Note that many powers are no numbers, if they are."""
    share = float(np.isnan(power).mean())
    return [f"{share:.0%} of the beam powers are missing, zero or no numbers"] if share > _MASKED else []
