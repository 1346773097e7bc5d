"""What a hybrid codec costs at the user equipment: multiply-adds of one report, and bytes of what it holds."""

from __future__ import annotations

from sitetwin.learn.csi.hybrid.model import HybridModel
from sitetwin.learn.csi.hybrid.references import KNOWN
from sitetwin.learn.csi.hybrid.report import LARGEST
from sitetwin.learn.csi.hybrid.search import BESIDE_ZONES

_STEPS = 5  # that are tried for each number of paths, usually
_COUNTS = 5  # numbers of paths that are tried, usually: the first one, up to three more, and one less
_KERNEL = 12  # multiply-adds of one value of a wave with its derivatives


def multiply_adds(model: HybridModel) -> int:
    """Real multiply-adds of a report: the search of paths, of references and of zones, and the steps that are tried.

    Zones are counted for a matrix for which one is tried (`HybridModel.searched`), which is the dearest case.
    """
    waves, config = model.waves, model.config
    size, rank = waves.taps * waves.beams, model.zones.bases.shape[2]
    references, total = len(model.tables.references), 0
    if config.paths:
        most = max(config.paths, KNOWN) if references else config.paths
        total += _of_map(model) + sum(_of_look(model, paths) for paths in range(1, most + 1))
        counts = range(max(config.paths - _COUNTS + 1, 1), config.paths + 1)
        total += sum(_STEPS * _of_try(model, paths, 0) for paths in counts)
        total += references * KNOWN * 4  # the others of the paths are compared with few references
    if len(model.zones.bases):
        front, chosen, most = model.zones.front.shape[1], min(config.chosen, rank), min(config.paths, BESIDE_ZONES)
        total += 4 * size * front + 4 * front * chosen * len(model.zones.bases) + 4 * front * rank * (size + 1)
        total += 4 * rank * size + _STEPS * _of_try(model, 0, rank)
        for paths in range(1, most + 1):
            again = paths * (4 + 4 + 6 + 2 * chosen) * size + 6 * size + 8 * chosen * size
            total += _of_map(model) + again + _STEPS * _of_try(model, paths, rank)
    return total


def _of_map(model: HybridModel) -> int:
    """Of the products of a matrix with the paths of all bins, and of the strongest one."""
    waves = model.waves
    bins = waves.delay_bins * waves.angle_bins
    return 2 * waves.delay_bins * waves.beams * (waves.taps + waves.angle_bins) + 2 * bins


def _of_look(model: HybridModel, paths: int) -> int:
    """Of one path more: the others are taken off the products with all bins, then each is moved, and gains solved."""
    waves = model.waves
    size, sides = waves.taps * waves.beams, waves.taps + waves.beams
    bins = waves.delay_bins * waves.angle_bins
    found = (paths - 1) * (waves.delay_bins * waves.taps + waves.angle_bins * waves.beams + 2 * bins) + 2 * bins
    steps = paths + 1  # of Newton: two for the new path
    moved = steps * (6 * size + 9 * waves.taps + _KERNEL * sides + (paths - 1) * 3 * (waves.beams + 2 * waves.taps))
    return found + moved + _of_gains(model, paths)


def _of_gains(model: HybridModel, paths: int) -> int:
    """Of the normal equations of the gains of paths."""
    waves = model.waves
    products = paths * 2 * (waves.taps * waves.beams + waves.taps) + paths * (paths + 1) // 2 * (
        waves.taps + waves.beams
    )
    return products + 4 * (paths**3 // 6 + 2 * paths**2)


def _of_try(model: HybridModel, paths: int, rank: int) -> int:
    """Of one step that is tried: waves of the rounded paths, their products with the zone, gains and coefficients."""
    waves = model.waves
    sides = _KERNEL // 2 * (waves.taps + waves.beams)
    within = (1 + 2 * rank) * waves.taps * waves.beams if rank else 0
    chosen = min(model.config.chosen, rank)
    return paths * (sides + within) + _of_gains(model, paths) + 4 * paths**2 * (1 + chosen) + rank * (4 * paths + 8)


def bytes_held(model: HybridModel) -> int:
    """Bytes of the zones in single precision, of the references in 16-bit and the tables in 32-bit whole numbers."""
    tables, zones = model.tables, model.zones
    numbers = 2 * (zones.front.numel() + zones.bases.numel()) + tables.levels.size
    alphabets = (tables.steps, tables.zones, tables.paths, tables.kept, tables.places, tables.which, tables.ratios)
    drawn = tables.coefficients.size + tables.amplitudes[:, : LARGEST + 1].size
    return 4 * (numbers + sum(one.size for one in alphabets) + tables.around.size + drawn) + 2 * tables.references.size
