"""A CSI study in the form of arXiv 2402.19434: its curves beside the released ones, and its statements as signs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.special import stdtrit

from sitetwin.errors import SiteTwinError
from sitetwin.report.csi.results import Estimate, Results
from sitetwin.studies.csi.results import NETWORK_SCHEMA, UNREFINED, NetworkRow
from sitetwin.studies.records import parsed_record
from sitetwin.untrusted import LARGEST_JSON, parse_json, read_bytes, read_table

CASE = ("target_a", "random")
SIZE = 5120
"""Training size of the paper's statements."""

TWIN, TARGET, WRONG = "trained on the twin", "trained on the target", "trained on another site"
NAIVE_RANDOM = f"{SIZE:,} of the twin, then random target samples"
NAIVE_WORST = f"{SIZE:,} of the twin, then target samples of high NMSE"
REHEARSAL = f"{SIZE:,} of the twin, then these with the twin's (rehearsal)"
CURVES = {
    "all_avg_nmse_train_on_real": TARGET,
    "all_avg_nmse_train_on_synth": TWIN,
    "all_avg_nmse_train_on_O1_synth": WRONG,
    "all_nmse_finetune_noselect": NAIVE_RANDOM,
    "all_nmse_finetune_select": NAIVE_WORST,
    "all_nmse_combine_select": REHEARSAL,
}
"""Our names of the released curves, in the order of the page."""

_SOURCES = {"twin": TWIN, "target": TARGET, "wrong_site": WRONG}
_METHODS = {
    "naive, random": NAIVE_RANDOM,
    "naive closed form, random": NAIVE_RANDOM,
    "naive, high NMSE": NAIVE_WORST,
    "naive closed form, high NMSE": NAIVE_WORST,
    "rehearsal, high NMSE": REHEARSAL,
    "closed form, high NMSE": REHEARSAL,
}
_LARGEST = 2**24  # bytes of the released table
_MOST_ROWS = 10**9
_MOST_NETWORKS = 1000


@dataclass(frozen=True)
class Point:
    """One figure: NMSE in dB of a codec on a curve at a number of samples.

    Attributes:
        curve: A value of `CURVES`.
        codec: The codec, "released" for the paper's own.
        size: Samples of the curve's axis.
        mean: NMSE, dB.
        spread: Standard deviation (released) or half the interval (ours); None for one run.
        converged: Whether it was trained to its end.
        values: One figure for each seed, where the study keeps them.
    """

    curve: str
    codec: str
    size: int
    mean: float
    spread: float | None
    converged: bool = True
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sign:
    """One statement of the paper for one codec.

    Attributes:
        statement: In words.
        codec: Whose.
        value: The difference that decides, dB; None where it was not run.
        half: Half its 95 % interval over seeds, on the same users; None for one run.
        met: Whether it holds in the mean; None where it was not run or not to its end.
        remark: Why it was not judged, or how surely it was.
    """

    statement: str
    codec: str
    value: float | None
    half: float | None
    met: bool | None
    remark: str = ""


@dataclass(frozen=True)
class Beside:
    """Our figures in the paper's target and split, and the released ones."""

    points: list[Point]
    released: list[Point]


def beside_the_paper(results: Results, folder: Path, released: list[Point]) -> Beside | None:
    """A study in the paper's form; None for one that was not run so, and has nothing released to stand beside.

    Raises:
        SiteTwinError: A row of a single training is damaged.
    """
    networks = read_networks(folder)
    if not (networks or released or results.correlation):
        return None
    return Beside(points_of(results, networks), released)


def read_released(path: Path) -> list[Point]:
    """The released curves, from a table with the columns curve, n_train, nmse_db, std_db.

    Raises:
        SiteTwinError: The file is missing or has other columns or rows.
    """
    names, *table = read_table(path, f"'{path}'", _LARGEST, "check the table's path") or [[]]
    try:
        rows = [dict(zip(names, cells, strict=False)) for cells in table]
        found = [
            Point(CURVES[r["curve"]], "released", int(r["n_train"]), float(r["nmse_db"]), float(r["std_db"]))
            for r in rows
            if r["curve"] in CURVES
        ]
    except (KeyError, ValueError) as error:
        raise SiteTwinError(f"'{path}' is no table curve,n_train,nmse_db,std_db; give one") from error
    if not all(math.isfinite(p.mean) and math.isfinite(p.spread or 0.0) and 0 < p.size <= _MOST_ROWS for p in found):
        raise SiteTwinError(f"'{path}' holds numbers that are not finite, or sizes that cannot be; mend the table")
    if not found:
        raise SiteTwinError(f"'{path}' names none of the released curves, such as {next(iter(CURVES))}")
    return found


def read_networks(folder: Path) -> list[NetworkRow]:
    """The rows of single trainings in a study's folder ``networks``, none where there is no such folder.

    Raises:
        SiteTwinError: A file is damaged or no row of a training.
    """
    place = folder / "networks"
    files = sorted(place.glob("*.json")) if place.is_dir() else []
    if len(files) > _MOST_NETWORKS:
        raise SiteTwinError(f"{place} holds {len(files)} files; keep at most {_MOST_NETWORKS} trainings there")
    return [read_network(file) for file in files]


def read_network(file: Path) -> NetworkRow:
    """The row of one training.

    Raises:
        SiteTwinError: The file is missing, damaged, or no such row.
    """
    raw = parse_json(read_bytes(file, str(file), LARGEST_JSON, "check its permissions"), str(file))
    if not isinstance(raw, dict) or raw.get("schema") != NETWORK_SCHEMA:
        raise SiteTwinError(f"{file} is no row of a training ({NETWORK_SCHEMA}); move it elsewhere")
    row = parsed_record(NetworkRow, raw, str(file))
    if not (0 <= row.n_train <= _MOST_ROWS and 0 <= row.n_real <= _MOST_ROWS):
        raise SiteTwinError(f"{file} holds numbers of samples that cannot be; train it again")
    return row


def points_of(results: Results, networks: Sequence[NetworkRow]) -> list[Point]:
    """Our figures in the paper's target and split; single trainings by their score, in the stead of the study's own."""
    found: dict[tuple[str, str, int], Point] = {}

    def note(curve: str | None, codec: str, size: int, estimate: Estimate, converged: bool) -> None:
        if curve is not None and estimate.mean is not None and size > 0:
            values = tuple(v for v in estimate.values if v is not None)
            point = Point(curve, codec, size, estimate.mean, _half(estimate), converged, values)
            found[curve, codec, size] = point

    for c in (c for c in results.curves if (c.target, c.split) == CASE):
        note(_SOURCES.get(c.source), c.codec, c.n_train, c.nmse_db, c.converged)
    for r in (r for r in results.refinement if (r.target, r.split) == CASE and r.n_train in (SIZE, None)):
        note(_METHODS.get(r.method), r.codec, r.n_real, r.nmse_db, r.converged)
        if r.method == UNREFINED and (TWIN, r.codec, SIZE) not in found:
            note(TWIN, r.codec, SIZE, r.nmse_db, r.converged)
    for n in sorted((n for n in networks if (n.target, n.split) == CASE), key=lambda n: n.converged):
        codec = n.codec if n.batch == 32 else f"{n.codec}, batch {n.batch}"
        score = Estimate(mean=n.score_db, values=[n.score_db])
        if not n.method:
            note(_SOURCES.get(n.source), codec, n.n_train, score, n.converged)
        elif n.n_train == SIZE:
            note(_METHODS.get(n.method), codec, n.n_real, score, n.converged)
    return list(found.values())


def _half(estimate: Estimate) -> float | None:
    return None if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def codecs_of(points: Sequence[Point]) -> list[str]:
    """Codecs with any point, in the order in which they come."""
    return list(dict.fromkeys(p.codec for p in points))


def table_of(points: Sequence[Point], released: Sequence[Point]) -> list[tuple[str, int, list[Point | None]]]:
    """A row per curve and number of samples: the released figure, then one of each of our codecs."""
    codecs = ["released", *codecs_of(points)]
    by_place = {(p.curve, p.size, p.codec): p for p in [*released, *points]}
    order = list(CURVES.values())
    places = sorted({(p.curve, p.size) for p in [*released, *points]}, key=lambda k: (order.index(k[0]), k[1]))
    return [(curve, size, [by_place.get((curve, size, codec)) for codec in codecs]) for curve, size in places]


def signs(points: Sequence[Point]) -> list[Sign]:
    """The paper's statements for every codec among the points."""
    found = []
    for codec in codecs_of(points):
        at = {(p.curve, p.size): p for p in points if p.codec == codec}
        base = at.get((TWIN, SIZE))
        other, target = at.get((WRONG, SIZE)), at.get((TARGET, SIZE))
        found += [
            _judged(
                f"the twin is at least 10 dB better than another site, {SIZE:,} samples each",
                codec, other, base, lambda d: d >= 10.0,
            ),
            _judged(
                "ten target samples of high NMSE alone make the pre-trained codec worse",
                codec, at.get((NAIVE_WORST, 10)), base, lambda d: d > 0.0,
            ),
            _judged(
                "rehearsal with forty of them makes it better",
                codec, base, at.get((REHEARSAL, 40)), lambda d: d > 0.0,
            ),
            _judged(
                f"the twin is within 6 dB of the target, {SIZE:,} samples each",
                codec, base, target, lambda d: d <= 6.0,
            ),
        ]  # fmt: skip
    return found


def _judged(statement: str, codec: str, a: Point | None, b: Point | None, holds: Callable[[float], bool]) -> Sign:
    """A statement on how far the NMSE of `a` lies above that of `b`, dB."""
    if a is None or b is None:
        return Sign(statement, codec, None, None, None, "not run")
    value, half = a.mean - b.mean, _paired_half(a.values, b.values)
    if not (a.converged and b.converged):
        return Sign(statement, codec, value, half, None, "not converged")
    met = holds(value)
    if half is None:
        return Sign(statement, codec, value, half, met, "one run")
    sure = holds(value - half) == holds(value + half)
    return Sign(statement, codec, value, half, met, "" if sure else "not told apart from its limit")


def _paired_half(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Half the 95 % Student interval of the difference over seeds; None where the seeds are not the same or but one."""
    count = len(a)
    if count != len(b) or count < 2:
        return None
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return float(stdtrit(count - 1, 0.975)) * statistics.stdev(differences) / math.sqrt(count)
