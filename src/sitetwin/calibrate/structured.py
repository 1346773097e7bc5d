"""The structured twin: a model of beam powers that is fitted to a few measured rows and predicts the best beam."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.calibrate.fitting import Calibration, Fitter
from sitetwin.calibrate.model import BeamModel
from sitetwin.calibrate.priors import GLOBALS, StructuredConfig
from sitetwin.calibrate.rows import BeamRows
from sitetwin.calibrate.tuning import certainty
from sitetwin.calibrate.turns import TURNS_DEG
from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.base import Predictor
from sitetwin.learn.model_files import ModelFile, read_model, write_model

_OF_ROWS = ("position", "velocity", "echo_offset", "echo_ratio")


class StructuredTwin(Predictor[BeamRows, BeamRows, BeamRows]):
    """Predictor of best beams from positions, calibrated with few measured rows (`sitetwin.calibrate.model`).

    Args:
        pattern: Linear power of each beam of the codebook.
        azimuth: Azimuths of the pattern's samples, radians from boresight, rising.
        config: Priors of the model.
        known: Unknowns held at their prior means: the model without them, for ablations.
        sessions: Whether the array may have been turned between drives.
        tuned: Whether the error of positions and the width of ties at prediction are chosen by cross-validation inside
            the measured rows, from 20 rows on; otherwise those of the priors stand.
    """

    kind: ClassVar[str] = "structured twin"

    def __init__(
        self,
        pattern: Float[np.ndarray, "beams angles"],
        azimuth: Float[np.ndarray, " angles"],
        config: StructuredConfig | None = None,
        known: tuple[str, ...] = (),
        sessions: bool = True,
        tuned: bool = True,
    ) -> None:
        super().__init__()
        strange = sorted(set(known) - set(GLOBALS))
        if strange:
            raise SiteTwinError(f"there is no unknown {', '.join(strange)}; choose among {', '.join(GLOBALS)}")
        if not (np.isfinite(pattern).all() and np.isfinite(azimuth).all() and (np.diff(azimuth) > 0).all()):
            raise SiteTwinError("the codebook needs finite patterns at angles that rise; read it again")
        self.pattern, self.azimuth, self.known, self.tuned = pattern, azimuth, known, tuned
        self.fitter = Fitter(BeamModel(pattern, azimuth, config or StructuredConfig(), known, sessions))
        self._calibration: Calibration | None = None
        self._certainty: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def config(self) -> StructuredConfig:
        """Priors."""
        return self.fitter.model.config

    @property
    def calibration(self) -> Calibration:
        """Result of the fit.

        Raises:
            SiteTwinError: The twin is not fitted yet.
        """
        if self._calibration is None:
            raise SiteTwinError("the structured twin is not fitted yet; call fit, or load one")
        return self._calibration

    @property
    def certainty(self) -> tuple[Float[np.ndarray, " fits"], Float[np.ndarray, " fits"]]:
        """Error of positions in m, and temperature of ties in dB, at prediction."""
        if self._certainty is None:
            fits = len(self.calibration.drive)
            return np.full(fits, self.config.spread_m), np.full(fits, self.config.tie_db)
        return self._certainty

    def fit(self, data: BeamRows, rng: torch.Generator | None = None) -> StructuredTwin:
        """Calibrate to measured rows.

        Args:
            data: Several sets with their powers, each fitted separately; without rows, the prior means are kept.
            rng: Not used, because the fit has no random numbers.

        Returns:
            This twin.

        Raises:
            SiteTwinError: The rows have no powers, or those of another number of beams.
        """
        self._calibration = self.fitter.fit(data)
        self._certainty = certainty(self.fitter, data) if self.tuned else None
        self._rows = data
        return self

    def predict(self, rows: BeamRows, /) -> Float[np.ndarray, "fits rows beams"]:
        """Predict the probability that each beam is the best.

        Args:
            rows: As many sets as were fitted; their powers, if any, are not read.

        Raises:
            SiteTwinError: The twin is not fitted, or to another number of sets.
        """
        fits = len(self.calibration.drive)
        if len(rows.drive) != fits:
            raise SiteTwinError(f"{len(rows.drive)} sets of rows were asked of {fits} fits; ask one set of each fit")
        return self.fitter.probabilities(self.calibration, rows, *self.certainty)

    def update(self, data: BeamRows, rng: torch.Generator | None = None) -> StructuredTwin:
        """Return a twin fitted to these rows and to its earlier rows; this twin is not changed.

        Args:
            data: As many sets with powers as were fitted.
            rng: Not used, because the fit has no random numbers.

        Raises:
            SiteTwinError: The twin is not fitted, or the rows do not go with those before.
        """
        before = self.rows
        model = self.fitter.model
        twin = StructuredTwin(self.pattern, self.azimuth, model.config, self.known, model.with_sessions, self.tuned)
        return twin.fit(before.joined(data))

    def azimuth_deg(self, rows: BeamRows) -> Float[np.ndarray, "fits rows"]:
        """Direction in which the array sees each row, degrees on the codebook's axis, while it is not turned."""
        return self.fitter.azimuth_deg(self.calibration, rows)

    def save(self, path: Path | str) -> None:
        """Write the fitted twin, with the rows it was fitted to, into one file of plain numbers.

        Raises:
            SiteTwinError: The twin is not fitted, or the disk cannot be written.
        """
        found, rows, model = self.calibration, self.rows, self.fitter.model
        assert rows.power is not None
        numbers: dict[str, np.ndarray] = {
            "pattern": self.pattern,
            "azimuth": self.azimuth,
            "turn_cost": found.turn_cost,
            "power": np.nan_to_num(rows.power, nan=0.0, posinf=0.0, neginf=0.0),  # no power is positive: not measured
            "certainty": np.stack(self.certainty),
        }
        arrays: dict[str, Tensor] = {
            **{name: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64)) for name, a in numbers.items()},
            **{name: getattr(rows, name) for name in (*_OF_ROWS, "drive")},
            "unknowns": torch.stack([found.unknowns[name] for name in GLOBALS], dim=1),
            "gain_db": found.gain_db,
            "pointing_deg": found.pointing_deg,
            "drift": found.drift,
        }
        about = {
            "config": asdict(model.config),
            "known": list(self.known),
            "sessions": model.with_sessions,
            "tuned": self.tuned,
        }
        write_model(Path(path), self.kind, about, arrays)

    @classmethod
    def load(cls, path: Path | str) -> StructuredTwin:
        """Read a twin that `save` wrote. The file is not trusted: nothing in it is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        file = read_model(Path(path), cls.kind)
        config = file.parameter("config", StructuredConfig)
        if not 1 <= config.steps <= 100_000 or min(config.gain_db, config.pointing_deg, config.drift_length_m) <= 0:
            raise file.refusal("its priors are out of range")
        known, sessions = tuple(file.parameter("known", list[str])), file.parameter("sessions", bool)
        pattern, azimuth = _doubles(file, "pattern", "beams angles"), _doubles(file, "azimuth", "angles")
        twin = cls(pattern, azimuth, config, known, sessions, file.parameter("tuned", bool))
        twin._rows = _rows(file)
        twin._calibration = _calibration(file, twin.fitter.model)
        spread, tie = _doubles(file, "certainty", "two fits")
        if not (min(spread.min(initial=1.0), tie.min(initial=1.0)) > 0):
            raise file.refusal("its certainty is not positive")
        twin._certainty = (spread, tie)
        return twin


def _doubles(file: ModelFile, name: str, shape: str) -> np.ndarray:
    return file.array(name, shape, torch.float64).numpy()


def _rows(file: ModelFile) -> BeamRows:
    shapes = ("fits rows xy", "fits rows xy", "fits rows echoes", "fits rows echoes")
    arrays = {name: file.array(name, shape, torch.float32) for name, shape in zip(_OF_ROWS, shapes, strict=True)}
    if arrays["position"].shape[-1] != 2:
        raise file.refusal("its positions are not in the plane")
    drive = file.array("drive", "fits rows", torch.int64)
    return BeamRows(**arrays, drive=drive, power=_doubles(file, "power", "fits rows beams"))


def _calibration(file: ModelFile, model: BeamModel) -> Calibration:
    unknowns = file.array("unknowns", "fits unknowns", torch.float32)
    drift, turn_cost = (
        file.array("drift", "fits features", torch.float32),
        _doubles(file, "turn_cost", "fits rows turns"),
    )
    turns = turn_cost.shape[-1]
    if unknowns.shape[1] != len(GLOBALS) or drift.shape[1] != model.features or turns not in (0, len(TURNS_DEG)):
        raise file.refusal("its calibration is of another model")
    return Calibration(
        dict(zip(GLOBALS, unknowns.unbind(1), strict=True)),
        file.array("gain_db", "fits beams", torch.float32),
        file.array("pointing_deg", "fits beams", torch.float32),
        drift,
        file.array("drive", "fits rows", torch.int64).numpy(),
        turn_cost,
    )
