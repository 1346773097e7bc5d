"""CSI feedback codecs: preparation, training, refinement, selection, controls and honest numbers about them."""

from sitetwin.learn.csi.adaptive import AdaptiveCodec, AdaptiveConfig, adaptive_codec
from sitetwin.learn.csi.codec import Budget, Code, Codec, Costs, UniformQuantiser, check_budget, reconstruct
from sitetwin.learn.csi.controls import MeanCodec, TwinLookupCodec, ZeroCodec
from sitetwin.learn.csi.csinet import csinet_plus
from sitetwin.learn.csi.data import CsiSet, PhaseReference, data_hash, prepare
from sitetwin.learn.csi.klt import KltCodec, KltConfig, fit_klt, global_klt
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
from sitetwin.learn.csi.neural import NeuralCodec, trainable_parameters
from sitetwin.learn.csi.refinement import RefinementConfig, refine
from sitetwin.learn.csi.selection import (
    Selection,
    check_disjoint,
    select_above_threshold,
    select_highest_nmse,
    select_k_centre,
    select_random,
)
from sitetwin.learn.csi.training import (
    COSINE,
    COSINE_REFINEMENT,
    PAPER,
    PAPER_REFINEMENT,
    History,
    Schedule,
    TrainingResult,
    configuration_key,
    mean_nmse,
    train,
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
    "Budget",
    "Code",
    "Codec",
    "Costs",
    "CsiSet",
    "History",
    "Interval",
    "KltCodec",
    "KltConfig",
    "MeanCodec",
    "NeuralCodec",
    "NmseSummary",
    "PhaseReference",
    "RefinementConfig",
    "Schedule",
    "Selection",
    "Split",
    "TrainingResult",
    "TwinLookupCodec",
    "UniformQuantiser",
    "ZeroCodec",
    "adaptive_codec",
    "aligned",
    "block_split",
    "bootstrap_blocks",
    "bootstrap_users",
    "cdf",
    "check_budget",
    "check_disjoint",
    "configuration_key",
    "csinet_plus",
    "data_hash",
    "fit_klt",
    "global_klt",
    "mean_nmse",
    "nearest_distance",
    "nmse",
    "nmse_untruncated",
    "paired_difference_db",
    "prepare",
    "random_split",
    "rate_share",
    "reconstruct",
    "refine",
    "seed_interval",
    "select_above_threshold",
    "select_highest_nmse",
    "select_k_centre",
    "select_random",
    "sgcs",
    "spatial_blocks",
    "summarise",
    "to_db",
    "train",
    "trainable_parameters",
]
