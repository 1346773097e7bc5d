"""A hybrid model as plain numbers, and back; nothing of a file is believed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.learn.csi.hybrid.fitting import NO_REFERENCES
from sitetwin.learn.csi.hybrid.frequencies import RATIOS, amplitude_tables
from sitetwin.learn.csi.hybrid.model import MOST_BITS, MOST_WEIGHT, HybridConfig, HybridModel, first_tables
from sitetwin.learn.csi.hybrid.range_coder import TOTAL
from sitetwin.learn.csi.hybrid.references import KNOWN
from sitetwin.learn.csi.hybrid.report import NOWHERE, STEPS, Tables, surroundings
from sitetwin.learn.csi.hybrid.waves import Waves
from sitetwin.learn.csi.hybrid.zones import Zones
from sitetwin.learn.model_files import ModelFile

_EDGES = ("steps", "zones", "paths", "kept", "places", "likes")  # cumulative frequencies
_OTHERS = ("around", "references", "which", "ratios", "spreads", "levels", "shifts")
_BESIDE = 16 * TOTAL  # largest sum of the weights of places
_SUMS = {"which": MOST_WEIGHT, "ratios": 1 << 32}
_MOST = {"bits": MOST_BITS, "paths": 16, "rank": 512, "chosen": 512, "candidates": 64, "subcarriers": 1 << 20}


def parameters_of(model: HybridModel) -> dict[str, Any]:
    """Parameters, JSON-serialisable."""
    waves = {name: getattr(model.waves, name) for name in ("subcarriers", "first_tap", "spacing")}
    return {"config": asdict(model.config), "bits": model.bits, **waves, "frequencies": _digest(model.tables)}


def arrays_of(model: HybridModel) -> Mapping[str, Tensor]:
    """Numbers of the subspaces and the frequencies that are not the same for all models."""
    zones, tables = model.zones, model.tables
    named = {name: getattr(tables, name) for name in (*_EDGES, *_OTHERS)}
    return {
        "front": zones.front,
        "bases": zones.bases,
        "powers": zones.levels,
        "usage": zones.usage,
        **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in named.items()},
    }


def model_of(file: ModelFile, shape: tuple[int, int]) -> HybridModel:
    """The model of a file.

    Raises:
        SiteTwinError: The content makes no model.
    """
    config = file.parameter("config", HybridConfig)
    bits, subcarriers, first = (file.parameter(name, int) for name in ("bits", "subcarriers", "first_tap"))
    sizes = {**{name: getattr(config, name) for name in ("paths", "rank", "chosen", "candidates")}, "bits": bits}
    spacing = file.parameter("spacing", float)
    if any(not 0 <= size <= _MOST[name] for name, size in sizes.items()) or min(bits, config.candidates) < 1:
        raise file.refusal("its sizes are out of range")
    if not (config.zones >= 0 and config.members >= 1 and 0 < config.floor < 1 and 0 < spacing < math.inf):
        raise file.refusal("its settings are out of range")
    if not (shape[0] <= subcarriers <= _MOST["subcarriers"] and abs(first) <= subcarriers):
        raise file.refusal("its taps are not those of its subcarriers")
    waves = Waves(*shape, subcarriers, first, spacing)
    zones = Zones(
        file.array("front", "size front", torch.complex64),
        file.array("bases", "zones front rank", torch.complex64),
        file.array("powers", "zones rank", torch.float32),
        file.array("usage", "zones", torch.float32),
    )
    count, rank = zones.levels.shape
    if len(zones.front) != shape[0] * shape[1] or rank > config.rank:
        raise file.refusal("its subspaces are not of the size of the matrices")
    found = {name: file.arrays.get(name) for name in (*_EDGES, *_OTHERS)}
    users = 0 if found["references"] is None else len(found["references"])
    around = file.arrays.get("around")
    if around is None:  # of an earlier version, which knew no such weights
        around = found["around"] = torch.zeros(0, waves.angle_bins, dtype=torch.int64)
    expected = {
        "around": (2 * waves.delay_bins - 1 if len(around) else 0, waves.angle_bins),
        "likes": (users + 2,),
        "references": (users, KNOWN, 2),
        "which": (max(config.paths, 1), KNOWN + 1),
        "ratios": (max(config.paths, 1), RATIOS),
        "spreads": (2,),
        "steps": (STEPS + 1,),
        "zones": (count + 2,),
        "paths": (2, config.paths + 2),
        "kept": (config.paths + 1, rank + 2),
        "places": (waves.delay_bins * waves.angle_bins + 1,),
        "levels": (count, rank),
        "shifts": (config.paths + 1, rank),
    }
    for name, size in expected.items():
        tensor = found[name]
        if tensor is None or tensor.dtype != torch.int64 or tuple(tensor.shape) != size:
            raise file.refusal(f"the array {name} is missing or of another size")
        if name in _EDGES:
            rising = bool((tensor[..., 1:] > tensor[..., :-1]).all())
            if not (rising and bool((tensor[..., 0] == 0).all() and (tensor[..., -1] == TOTAL).all())):
                raise file.refusal(f"the frequencies {name} are none")
        elif name in ("which", "ratios") and not bool((tensor >= 1).all() & (tensor.sum(1) <= _SUMS[name]).all()):
            raise file.refusal(f"the weights {name} are none")
        elif name == "around" and bool((tensor < 0).any() | (tensor > _BESIDE).any() | (tensor.sum() > _BESIDE)):
            raise file.refusal("its weights of places are none")
        elif name != "references" and bool((tensor.abs() > 1 << 24).any()):
            raise file.refusal(f"the array {name} is out of range")
        elif name == "references" and bool(((tensor.abs() > 1 << 20) & (tensor != NOWHERE)).any()):
            raise file.refusal("its references lie nowhere")
    known: dict[str, Any] = {name: tensor.numpy() for name, tensor in found.items() if tensor is not None}
    tables = first_tables(config, waves, zones, NO_REFERENCES)._replace(**known)
    tables = tables._replace(amplitudes=amplitude_tables(tables.ratios), **surroundings(tables.around))
    if _digest(tables) != file.parameter("frequencies", str):
        raise file.refusal("this version or machine computes other frequencies than those it was fitted with")
    return HybridModel(config, waves, bits, zones, tables)


def _digest(tables: Tables) -> str:
    """SHA-256 of the frequencies that each end computes by itself: reports of other ones would be misread."""
    digest = hashlib.sha256()
    for one in (tables.coefficients, tables.amplitudes, tables.finer):
        digest.update(np.ascontiguousarray(one, dtype="<i8").tobytes())
    return digest.hexdigest()
