"""Models that learn from channels: codecs of CSI feedback, predictors of beams, and honest numbers about them.

Codecs (`CsiCodec`) and predictors (`BeamPredictor`) share one shape: parameters in the constructor, then `fit`, then
`encode` and `decode` or `predict`, `update` with a few measured samples, `save` and `load`.
"""

from sitetwin.learn.beams.data import BeamData, BeamSet
from sitetwin.learn.beams.emulator import BeamPowerEmulator
from sitetwin.learn.beams.predictors import BeamPredictor, LookupBeams, MajorityBeams, NearestBeams, NetworkBeams
from sitetwin.learn.csi.adaptive import AdaptiveCodec, AdaptiveConfig
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget, Code, Codec, Costs, UniformQuantiser, check_budget, reconstruct
from sitetwin.learn.csi.controls import MeanCodec, TwinLookupCodec, ZeroCodec
from sitetwin.learn.csi.csinet import CsiNetPlus
from sitetwin.learn.csi.data import CsiData, CsiSet, PhaseReference, data_hash, prepare
from sitetwin.learn.csi.klt import GlobalKltCodec, KltCodec
from sitetwin.learn.csi.metrics import (
    NmseSummary,
    aligned,
    cdf,
    nmse,
    nmse_untruncated,
    rate_share,
    sgcs,
    summarise,
    to_db,
)
from sitetwin.learn.csi.mixture import KltConfig
from sitetwin.learn.csi.refinement import RefinementConfig
from sitetwin.learn.csi.selection import (
    Selection,
    check_disjoint,
    select_above_threshold,
    select_highest_nmse,
    select_k_centre,
    select_random,
)
from sitetwin.learn.csi.trained import NeuralCodec
from sitetwin.learn.csi.training import (
    COSINE,
    COSINE_REFINEMENT,
    PAPER,
    PAPER_REFINEMENT,
    History,
    Schedule,
)
from sitetwin.learn.splits import Split, block_split, nearest_distance, random_split, spatial_blocks
from sitetwin.learn.statistics import Interval, bootstrap_blocks, bootstrap_users, paired_difference_db, seed_interval

__all__ = [
    "COSINE",
    "COSINE_REFINEMENT",
    "PAPER",
    "PAPER_REFINEMENT",
    "AdaptiveCodec",
    "AdaptiveConfig",
    "BeamData",
    "BeamPowerEmulator",
    "BeamPredictor",
    "BeamSet",
    "Budget",
    "Code",
    "Codec",
    "Costs",
    "CsiCodec",
    "CsiData",
    "CsiNetPlus",
    "CsiSet",
    "GlobalKltCodec",
    "History",
    "Interval",
    "KltCodec",
    "KltConfig",
    "LookupBeams",
    "MajorityBeams",
    "MeanCodec",
    "NearestBeams",
    "NetworkBeams",
    "NeuralCodec",
    "NmseSummary",
    "PhaseReference",
    "RefinementConfig",
    "Schedule",
    "Selection",
    "Split",
    "TwinLookupCodec",
    "UniformQuantiser",
    "ZeroCodec",
    "aligned",
    "block_split",
    "bootstrap_blocks",
    "bootstrap_users",
    "cdf",
    "check_budget",
    "check_disjoint",
    "data_hash",
    "nearest_distance",
    "nmse",
    "nmse_untruncated",
    "paired_difference_db",
    "prepare",
    "random_split",
    "rate_share",
    "reconstruct",
    "seed_interval",
    "select_above_threshold",
    "select_highest_nmse",
    "select_k_centre",
    "select_random",
    "sgcs",
    "spatial_blocks",
    "summarise",
    "to_db",
]
