"""Models that learn from channels: codecs of CSI feedback, predictors of beams, correctors of a twin's channels.

Codecs (`CsiCodec`) and predictors (`BeamPredictor`) share one shape: parameters in the constructor, then `fit`, then
`encode` and `decode` or `predict`, `update` with a few measured samples, `save` and `load`. A codec takes what
`sitetwin.channels` gives, its axes found by name::

    import sitetwin as st
    import torch

    h = st.channels(paths, site, carrier_hz=3.5e9, bandwidth_hz=100e6, radio=st.Radio("ula:32"),
                    quantity="delay-angle", num_taps=32)
    h = h[(abs(h) > 0).any(("rx_antenna", "angle", "delay")).values]    # without the users that no path reaches
    train, test = h[::2], h[1::2]
    codec = st.learn.KltCodec().fit(train, torch.Generator().manual_seed(0))
    recovered = codec.decode(codec.encode(test))                        # user, delay, angle; unit norm
    error = st.learn.nmse(test, recovered)                              # of each user, linear
    print(st.learn.to_db(error.mean()), "dB")
    channel = st.learn.prepare(test).restore(recovered)                 # with norm and phase as they were
    codec.save("klt.npz")
"""

from sitetwin.learn.beams.base import BeamPredictor, Predictor
from sitetwin.learn.beams.data import BeamData, BeamSet
from sitetwin.learn.beams.emulator import BeamPowerEmulator
from sitetwin.learn.beams.predictors import GeometricBeams, LookupBeams, MajorityBeams, NearestBeams
from sitetwin.learn.beams.trained import NetworkBeams, SharedLayerBeams
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.cell.coder import CellCoder
from sitetwin.learn.cell.layers import evaluate_layers, layer_channels
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.onnx_export import export_onnx
from sitetwin.learn.cell.reports import Reports
from sitetwin.learn.correctors.base import ChannelCorrector
from sitetwin.learn.correctors.controls import (
    GainCorrector,
    MeanCorrector,
    NearestMeasurement,
    WienerCorrector,
    ZeroCorrector,
)
from sitetwin.learn.correctors.data import ChannelPairs
from sitetwin.learn.correctors.metrics import ChannelScores, beamforming_efficiency, channel_scores, common_gain
from sitetwin.learn.correctors.networks import MlpSize, UNetSize
from sitetwin.learn.correctors.trained import CorrectorSchedule, MlpCorrector, PositionCorrector, UNetCorrector
from sitetwin.learn.csi.adaptive import AdaptiveCodec, AdaptiveConfig
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget, Code, Codec, Costs, UniformQuantiser, check_budget, reconstruct
from sitetwin.learn.csi.controls import MeanCodec, TwinLookupCodec, ZeroCodec
from sitetwin.learn.csi.csinet import CsiNetPlus
from sitetwin.learn.csi.data import CsiData, CsiSet, PhaseReference, data_hash, prepare
from sitetwin.learn.csi.fair_refinement import Sweep, refine_by_validation
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
from sitetwin.learn.csi.mixer import MixerCodec, MixerConfig
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
from sitetwin.learn.upkeep.ageing import LinearPrediction, aged, in_one_phase
from sitetwin.learn.upkeep.detector import ChangeDetector
from sitetwin.learn.upkeep.levels import ErrorLevels
from sitetwin.learn.upkeep.monitor import CodecMonitor
from sitetwin.learn.upkeep.monitor_file import load_monitor, save_monitor
from sitetwin.learn.upkeep.settings import Event, MonitorSettings

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
    "CellCodec",
    "CellCoder",
    "CellLink",
    "ChangeDetector",
    "ChannelCorrector",
    "ChannelPairs",
    "ChannelScores",
    "Code",
    "Codec",
    "CodecMonitor",
    "CorrectorSchedule",
    "Costs",
    "CsiCodec",
    "CsiData",
    "CsiNetPlus",
    "CsiSet",
    "ErrorLevels",
    "Event",
    "GainCorrector",
    "GeometricBeams",
    "GlobalKltCodec",
    "History",
    "Interval",
    "KltCodec",
    "KltConfig",
    "LinearPrediction",
    "LookupBeams",
    "MajorityBeams",
    "MeanCodec",
    "MeanCorrector",
    "MixerCodec",
    "MixerConfig",
    "MlpCorrector",
    "MlpSize",
    "MonitorSettings",
    "NearestBeams",
    "NearestMeasurement",
    "NetworkBeams",
    "NeuralCodec",
    "NmseSummary",
    "PhaseReference",
    "PositionCorrector",
    "Predictor",
    "RefinementConfig",
    "Reports",
    "Schedule",
    "Selection",
    "SharedLayerBeams",
    "Split",
    "Sweep",
    "TwinLookupCodec",
    "UNetCorrector",
    "UNetSize",
    "UniformQuantiser",
    "WienerCorrector",
    "ZeroCodec",
    "ZeroCorrector",
    "aged",
    "aligned",
    "beamforming_efficiency",
    "block_split",
    "bootstrap_blocks",
    "bootstrap_users",
    "cdf",
    "channel_scores",
    "check_budget",
    "check_disjoint",
    "common_gain",
    "data_hash",
    "evaluate_layers",
    "export_onnx",
    "in_one_phase",
    "layer_channels",
    "load_monitor",
    "nearest_distance",
    "nmse",
    "nmse_untruncated",
    "paired_difference_db",
    "prepare",
    "random_split",
    "rate_share",
    "reconstruct",
    "refine_by_validation",
    "save_monitor",
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
