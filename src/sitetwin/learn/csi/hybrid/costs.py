"""What a hybrid codec costs at the user equipment: multiply-adds of one report, and bytes of what it holds."""

from __future__ import annotations

from sitetwin.learn.csi.hybrid.model import HybridModel
from sitetwin.learn.csi.hybrid.references import KNOWN
from sitetwin.learn.csi.hybrid.report import LARGEST

_STEPS = 5  # that are tried for each number of paths, usually
_ROUNDS = 2  # of Newton's steps


def multiply_adds(model: HybridModel) -> int:
    """Real multiply-adds of a report with all its paths: the search of paths and steps, of references and of zones."""
    waves, config = model.waves, model.config
    size, rank = waves.taps * waves.beams, model.zones.bases.shape[2]
    total = _of_paths(model, config.paths, 0) if config.paths else 0
    if len(model.tables.references):
        total += _of_search(model, KNOWN, 0) + len(model.tables.references) * 5 * KNOWN * 4
    if len(model.zones.bases):
        front = model.zones.front.shape[1]
        chosen = min(config.chosen, rank)
        total += 4 * size * front + 4 * front * chosen * len(model.zones.bases) + 4 * front * rank * size
        total += _of_paths(model, min(config.paths, 3), rank) + 4 * rank * size
    return total


def _of_search(model: HybridModel, paths: int, chosen: int) -> int:
    """Of the search of so many paths: correlations with all bins, then Newton's steps and least squares for each."""
    waves = model.waves
    size = waves.taps * waves.beams
    peak = 2 * waves.delay_bins * waves.beams * (waves.taps + waves.angle_bins)
    again = paths * (paths + 1) // 2 * (_ROUNDS * 6 + 8 + 6 * chosen) * size
    return paths * peak + again


def _of_paths(model: HybridModel, paths: int, rank: int) -> int:
    """Of the search of paths, and of the steps that are tried for each number of them."""
    size = model.waves.taps * model.waves.beams
    chosen = min(model.config.chosen, rank)
    tried = paths * (paths + 1) // 2 * _STEPS * (2 * rank + 4) * size
    return _of_search(model, paths, chosen) + tried


def bytes_held(model: HybridModel) -> int:
    """Bytes of the zones in single precision, of the references in 16-bit and the tables in 32-bit whole numbers."""
    tables, zones = model.tables, model.zones
    numbers = 2 * (zones.front.numel() + zones.bases.numel()) + tables.levels.size
    alphabets = (tables.steps, tables.zones, tables.paths, tables.kept, tables.places, tables.which, tables.ratios)
    drawn = tables.coefficients.size + tables.amplitudes[:, : LARGEST + 1].size
    return 4 * (numbers + sum(one.size for one in alphabets) + drawn) + 2 * tables.references.size
