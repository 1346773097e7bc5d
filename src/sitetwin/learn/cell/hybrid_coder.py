"""The coder of hybrid reports: zone, free paths and coefficients, entropy-coded into reports of equal length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Int, UInt8
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import CellCoder, Graph, refuse_bits
from sitetwin.learn.cell.hybrid_graphs import hybrid_decoder, hybrid_encoder
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.csi.hybrid.costs import bytes_held, multiply_adds
from sitetwin.learn.csi.hybrid.fitting import fit_model, updated_model
from sitetwin.learn.csi.hybrid.model import HybridConfig, HybridModel
from sitetwin.learn.csi.hybrid.references import Pose
from sitetwin.learn.csi.hybrid.report import read_reports, write_reports
from sitetwin.learn.csi.hybrid.saved import arrays_of, model_of, parameters_of
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, Waves
from sitetwin.learn.model_files import ModelFile

_CONFIGS = {
    "hybrid": HybridConfig(),
    "hybrid-light": HybridConfig(zones=0),
    "klt-entropy": HybridConfig(paths=0, references=False),
    "paths": HybridConfig(zones=0, references=False, learned=False),
}


class HybridCoder(CellCoder):
    """Reports of a zone, free paths and coefficients, all of `bits` bits.

    Args:
        model: The fitted model.
        twin: Matrices of the twin that it was fitted to, which updates need.
        measured: Measured matrices that it was updated with.
        pose: How the measured paths lie over the twin's.
    """

    kind: ClassVar[str] = "hybrid"

    def __init__(
        self,
        model: HybridModel,
        twin: Complex[Tensor, "users taps beams"],
        measured: Complex[Tensor, "more taps beams"],
        pose: Pose | None = None,
    ) -> None:
        self.model, self.twin, self.measured, self.pose = model, twin, measured, pose or Pose()
        self.shape = (model.waves.taps, model.waves.beams)

    def encode(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
        """See `CellCoder.encode`."""
        symbols, _ = self.model.searched(x)
        reports = np.zeros((len(x), (self.model.bits + 7) // 8), np.uint8)
        fits = write_reports(self.model.tables, symbols, self.model.bits, reports)
        if not fits.all():  # lengths are summed in single precision: one report in very many is longer than its sum
            symbols[~fits] = self.model.silence
            write_reports(self.model.tables, symbols, self.model.bits, reports)
        return reports.ravel(), np.full(len(x), self.model.bits, np.int64)

    def decode(
        self, payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
    ) -> Complex[Tensor, "users taps beams"]:
        """See `CellCoder.decode`. Any bits of the right number are a report, damaged ones that of another matrix."""
        refuse_bits(bits, self.model.bits, "this codec")
        symbols = np.zeros((len(bits), self.model.symbols), np.int64)
        reports = payload.reshape(len(bits), (self.model.bits + 7) // 8)
        read_reports(self.model.tables, reports, self.model.bits, symbols)
        return self.model.rebuilt(symbols)

    def update(self, x: Complex[Tensor, "users taps beams"], rng: torch.Generator) -> HybridCoder:
        """See `CellCoder.update`. Heading and delay are estimated first, and the twin's paths follow them."""
        if not self.model.config.learned:
            raise SiteTwinError("this codec of paths knows no site and learns none; update a hybrid codec")
        measured = torch.cat([self.measured, x])
        model, pose = updated_model(self.model, self.twin, measured, rng)
        return HybridCoder(model, self.twin, measured, pose)

    def encoder_graph(self) -> Graph:
        """See `CellCoder.encoder_graph`. The search for paths, steps and bits is no graph and stays outside."""
        return hybrid_encoder(self.model)

    def decoder_graph(self) -> Graph:
        """See `CellCoder.decoder_graph`. The reader of the bits stays outside."""
        return hybrid_decoder(self.model)

    def outside_of_graphs(self) -> dict[str, Any]:
        """See `CellCoder.outside_of_graphs`."""
        waves, none = self.model.waves, len(self.model.zones.bases)
        return {
            "search": "the number of paths, their places and gains, the step, and what of the coefficients is said",
            "products": f"bin b is delay ((b // {waves.angle_bins}) + 0.5) / {BINS_PER_TAP} - {MARGIN} taps and angle "
            f"((b % {waves.angle_bins}) + 0.5) / {BINS_PER_TAP} beams; strongest is the largest one",
            "places": "(delay in taps, angle in beams) of each path; a path that is none has the gain 0",
            "index": f"the zone; {none} is none",
            "entropy_coding": "arithmetic coding by the frequencies in the codec's file",
        }

    def facts(self) -> dict[str, Any]:
        """See `CellCoder.facts`."""
        config, zones = self.model.config, self.model.zones
        return {
            "codec": next((name for name, one in _CONFIGS.items() if one == config), self.kind),
            "bits": self.model.bits,
            "zones": len(zones.bases),
            "most_paths": config.paths,
            "most_coefficients": zones.bases.shape[2],
            "references": len(self.model.tables.references),
            "multiply_adds_ue": multiply_adds(self.model),
            "bytes_ue": bytes_held(self.model),
            "turn_deg": round(math.degrees(self.pose.turn), 3),
            "delay_taps": round(self.pose.delay, 4),
        }

    def parameters(self) -> dict[str, Any]:
        """See `CellCoder.parameters`."""
        return {**parameters_of(self.model), "turn": self.pose.turn, "delay": self.pose.delay}

    def arrays(self) -> Mapping[str, Tensor]:
        """See `CellCoder.arrays`."""
        return {**arrays_of(self.model), "twin": self.twin, "measured": self.measured}

    @classmethod
    def restored(cls, file: ModelFile, shape: tuple[int, int]) -> HybridCoder:
        """See `CellCoder.restored`."""
        model = model_of(file, shape)
        twin = file.array("twin", "users taps beams", torch.complex64)
        measured = file.array("measured", "more taps beams", torch.complex64)
        if tuple(twin.shape[1:]) != shape:
            raise file.refusal("its training matrices are not of the size of its matrices")
        return cls(model, twin, measured, Pose(file.parameter("turn", float), file.parameter("delay", float)))


def hybrid_fit(name: str, **changes: Any) -> Callable[..., CellCoder]:
    """How a method of this coder is fitted: as a `Fit`, and with the link.

    Args:
        name: "hybrid"; "hybrid-light", which has references and no zones; "klt-entropy", which has zones and
            coefficients and no paths; or "paths", which has paths alone and knows no site.
        **changes: Other values of `HybridConfig`.
    """
    config = replace(_CONFIGS[name], **changes)

    def fit(x: Tensor, bits: int, rng: torch.Generator, link: CellLink) -> CellCoder:
        rows, columns = link.array["rows_columns"]
        spacing = float(link.array["row_column_spacing_wavelengths"][1])
        if rows != 1 or len(link.array["port_slants_deg"]) != 1:
            raise SiteTwinError(
                f"the method '{name}' knows linear arrays of one polarisation, and this one is {link.array_name}; "
                "choose the method klt"
            )
        waves = Waves(link.taps, columns, link.subcarriers, link.first_tap, spacing)
        model = fit_model(config, waves, bits, x, rng)
        return HybridCoder(model, x if config.learned else x[:0], x[:0])

    return fit
