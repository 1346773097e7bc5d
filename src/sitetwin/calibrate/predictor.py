"""The calibrated twin: a predictor of best beams from positions that watches itself on the rows it was given."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int

from sitetwin.calibrate.geometry import UNKNOWNS, BeamPriors
from sitetwin.calibrate.guard import FEWEST_ROWS, Guard, Verdict, sharpened
from sitetwin.calibrate.readings import Patterns
from sitetwin.calibrate.track import Track
from sitetwin.calibrate.twin import Certainty, StructuredTwin
from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.beams.metrics import ranking
from sitetwin.learn.model_files import ModelFile, read_model, write_model

TRUSTED = 0.5
"""Share of the twin, and of what is built on its direction, in a blend of which the account says that it stands."""

_SIZES = (1e-6, 1e6)  # of priors in a file: beyond them numbers overflow
_ON_THE_TWIN = ("twin", "trees on the twin's direction")


class CalibratedBeams:
    """Predictor of best beams from positions, calibrated with few measured rows and blended with what else answers.

    A structured twin (`sitetwin.calibrate.twin`) is fitted to the rows. From 20 rows on, whole drives of them are left
    out in turn, and the twin is weighed against neighbours, a cubic in azimuth and, from 60 rows on, trees, some of
    which learn what the twin's direction leaves over (`sitetwin.calibrate.guard`). A constant that is added to all
    powers, and a gain, change nothing.

    Args:
        pattern: Linear power of each beam of the codebook; None where it is not known, and there is no twin.
        azimuth: Azimuths of the pattern's samples, radians from boresight, rising.
        priors: Priors of the twin.
        guarded: Whether the twin is weighed against its rivals; otherwise it answers alone.
    """

    kind: ClassVar[str] = "calibrated beams"

    def __init__(
        self,
        pattern: Float[np.ndarray, "beams angles"] | None = None,
        azimuth: Float[np.ndarray, " angles"] | None = None,
        priors: BeamPriors | None = None,
        guarded: bool = True,
    ) -> None:
        if (pattern is None) != (azimuth is None):
            raise SiteTwinError("a codebook is patterns with their azimuths; give both, or neither")
        self.pattern, self.azimuth, self.guarded = pattern, azimuth, guarded
        self.priors = priors or BeamPriors()
        self._patterns = None if pattern is None or azimuth is None else Patterns(pattern, azimuth)
        self._rows: tuple[Track, np.ndarray, int] | None = None
        self.twin: StructuredTwin | None = None
        self._guard: Guard | None = None
        self.verdict: Verdict | None = None

    def fit(self, track: Track, power: Float[np.ndarray, "rows beams"], seed: int = 0) -> CalibratedBeams:
        """Calibrate to measured rows, and return this predictor.

        Args:
            track: The rows, with the velocity that each has in its own track (`Track.of`, then `Track.rows`).
            power: Linear powers, NaN where not measured; one for the best beam and zero elsewhere where only that is
                known.
            seed: Of the trees.

        Raises:
            SiteTwinError: There are no rows, or one without a codebook, or their powers are none, negative, infinite or
                of another codebook.
        """
        _check_rows(track, power, self.pattern)
        self._rows = (track, power, seed)
        self.twin = None if self._patterns is None else StructuredTwin(self._patterns, track, power, self.priors)
        self.verdict = None
        self._guard = Guard(self._patterns, track, power, self.priors, seed)
        if self.twin is None or (self.guarded and len(track) >= FEWEST_ROWS):
            self.verdict = self._guard.verdict()
        return self

    def predict_proba(self, track: Track, causal: bool = False) -> Float[np.ndarray, "users beams"]:
        """Probability of each beam to be the best.

        Args:
            track: Users, with velocities (`Track.of`).
            causal: Whether a turn of the array is told from measured rows of this drive and earlier ones alone;
                otherwise those of later drives tell it too. Geometry, slow changes and the guard use all rows.

        Raises:
            SiteTwinError: The predictor is not fitted.
        """
        rows, power, _ = self._fitted()
        certainty = self.verdict.certainty if self.verdict else Certainty()
        own = {"twin": self.twin.probabilities(track, certainty, causal)} if self.twin else {}
        if self.verdict is None or self._guard is None:
            return own["twin"]
        weights = self.verdict.weights
        asked_deg = self.twin.direction_deg(track, causal) if self.twin else None
        degrees = self.verdict.degrees if self.twin else None
        if any(weight for name, weight in weights.items() if name != "twin"):
            own |= self._guard.answers(np.arange(len(rows)), track, self.verdict.neighbours, degrees, asked_deg)
        total = np.zeros((len(track), power.shape[1]))
        for name, weight in weights.items():
            if weight:
                total += weight * own[name]
        return sharpened(total, self.verdict.power)

    @staticmethod
    def sweep(probability: Float[np.ndarray, "users beams"], reliability: float) -> Int[np.ndarray, " users"]:
        """How many of each user's most probable beams to sweep.

        Args:
            probability: Of `predict_proba`.
            reliability: Wanted share of users whose best beam is swept, above 0 and below 1.

        Raises:
            SiteTwinError: The reliability is out of range.
        """
        if not 0 < reliability < 1:
            raise SiteTwinError(f"a reliability lies between 0 and 1, such as 0.95, not {reliability:g}")
        ordered = np.take_along_axis(probability, ranking(probability), axis=1)
        return np.minimum((ordered.cumsum(axis=1) < reliability).sum(axis=1) + 1, probability.shape[1])

    @property
    def account(self) -> dict[str, Any]:
        """What was found and decided: modes of the geometry, scores of the guard, weights, and a sentence.

        Raises:
            SiteTwinError: The predictor is not fitted.
        """
        rows, _, _ = self._fitted()
        modes = [
            {
                "share": round(mode.share, 4),
                "evidence": round(mode.evidence, 2),
                "unknowns": {n: round(float(v), 3) for n, v in zip(UNKNOWNS, mode.unknowns, strict=True)},
                "turns_deg": sorted({round(float(t), 2) for t in mode.turn_deg}),
            }
            for mode in (self.twin.modes if self.twin else [])
        ]
        found: dict[str, Any] = {"rows": len(rows), "modes": modes, "decision": self.decision}
        if self.verdict:
            v = self.verdict
            found |= {
                "weights": {name: round(weight, 3) for name, weight in v.weights.items()},
                "left_out_top1": {name: round(share, 4) for name, share in v.top1.items()},
                "left_out_nats": {name: round(nats, 4) for name, nats in v.nats.items()},
                "neighbours": v.neighbours,
                "certainty": asdict(v.certainty),
                "power": v.power,
            }
        return found

    @property
    def decision(self) -> str:
        """What was decided, in a sentence."""
        rows, _, _ = self._fitted()
        if self.verdict is None:
            why = "the guard is off" if len(rows) >= FEWEST_ROWS else f"{len(rows)} rows are too few to leave some out"
            return f"The twin answers alone: {why}."
        if self.twin is None:
            return "The codebook is not known: there is no twin, and the rivals answer."
        share = sum(self.verdict.weights.get(name, 0.0) for name in _ON_THE_TWIN)
        best = max(self.verdict.nats, key=lambda name: self.verdict.nats[name])  # type: ignore[union-attr]
        if share >= TRUSTED:
            return f"The twin stands: what is built on it has {share:.0%} of the blend."
        return (
            f"The twin is not better than its rivals on left-out rows ({best} is best); it has {share:.0%} of the "
            "blend, and more beams are swept."
        )

    def save(self, path: Path | str) -> None:
        """Write codebook, priors and rows into one file of plain numbers; `load` calibrates anew.

        Raises:
            SiteTwinError: The predictor is not fitted, or the disk cannot be written.
        """
        write_model(Path(path), self.kind, *self.parts())

    def parts(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Parameters and arrays of a file from which `of_parts` calibrates anew.

        Raises:
            SiteTwinError: The predictor is not fitted.
        """
        track, power, seed = self._fitted()
        empty = np.zeros((0, 0)), np.zeros(0)
        pattern, azimuth = (self.pattern, self.azimuth) if self.pattern is not None else empty
        numbers = {
            "position": track.position,
            "velocity": track.velocity,
            "power": np.nan_to_num(power, nan=-1.0),
            "pattern": pattern,
            "azimuth": azimuth,
        }
        arrays = {n: torch.from_numpy(np.array(a, dtype=np.float64)) for n, a in numbers.items()}
        arrays["drive"] = torch.from_numpy(np.ascontiguousarray(track.drive, dtype=np.int64))
        about = {"priors": asdict(self.priors), "guarded": self.guarded, "seed": seed}
        return about, arrays

    @classmethod
    def load(cls, path: Path | str) -> CalibratedBeams:
        """Read a predictor that `save` wrote. The file is not trusted: nothing is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        file = read_model(Path(path), cls.kind)
        with said_of(str(path)):
            return cls.of_parts(file)

    @classmethod
    def of_parts(cls, file: ModelFile) -> CalibratedBeams:
        """The predictor of a file that holds `parts`.

        Raises:
            SiteTwinError: A part is missing, or of another kind or size.
        """
        priors = file.parameter("priors", BeamPriors)
        sizes = [v if isinstance(v, (int, float)) else v[1] for v in asdict(priors).values()]
        if not (all(_SIZES[0] <= size <= _SIZES[1] for size in sizes) and priors.lane_common <= 1):
            raise file.refusal("its priors are out of range")
        position, velocity, power, pattern = (
            file.array(name, shape, torch.float64).numpy()
            for name, shape in (
                ("position", "rows axes"),
                ("velocity", "rows axes"),
                ("power", "rows beams"),
                ("pattern", "codes angles"),
            )
        )
        azimuth = file.array("azimuth", "angles", torch.float64).numpy()
        drive = file.array("drive", "rows", torch.int64).numpy()
        if position.shape[1] != 2:
            raise file.refusal("its positions are not in the plane")
        guarded = file.parameter("guarded", bool)
        found = cls(pattern, azimuth, priors, guarded) if len(pattern) else cls(None, None, priors, guarded)
        rows = Track(position, velocity, drive)
        return found.fit(rows, np.where(power < 0, np.nan, power), file.parameter("seed", int))

    @property
    def rows(self) -> tuple[Track, Float[np.ndarray, "rows beams"], int]:
        """The rows that it was fitted to, their powers, and the seed.

        Raises:
            SiteTwinError: The predictor is not fitted.
        """
        return self._fitted()

    def _fitted(self) -> tuple[Track, np.ndarray, int]:
        if self._rows is None:
            raise SiteTwinError("the calibrated twin is not fitted yet; call fit, or load one")
        return self._rows


def _check_rows(track: Track, power: np.ndarray, pattern: np.ndarray | None) -> None:
    """Refuse rows that nothing can be calibrated with."""
    if not len(track):
        raise SiteTwinError("a calibration needs at least one measured row; measure some")
    if pattern is None and len(track) == 1:
        raise SiteTwinError("without a codebook one row says nothing of another; measure more rows, or give a codebook")
    if len(track) != len(power):
        raise SiteTwinError(f"{len(track)} positions go with {len(power)} rows of powers; pair them")
    if pattern is not None and power.shape[1] != len(pattern):
        raise SiteTwinError(
            f"the rows have powers of {power.shape[1]} beams and the codebook has {len(pattern)}; choose the same "
            "beams of both"
        )
    if not (np.isfinite(track.position).all() and np.isfinite(track.velocity).all()):
        raise SiteTwinError("a position or a velocity of the rows is not finite; drop the row")
    with np.errstate(invalid="ignore"):
        bad = np.isinf(power).any(axis=1) | (power < 0).any(axis=1) | ~(power > 0).any(axis=1)
    if bad.any():
        raise SiteTwinError(
            f"row {int(bad.argmax())} of the powers holds an infinite or negative power, or none at all; drop it"
        )
