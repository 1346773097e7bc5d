"""Links over channels: OFDM with precoding, judged by bit errors and rates.

A transmitter with several antennas sends to users with one antenna each. It precodes with what it knows of the channel,
such as a twin's; bit error rates follow from closed forms, exactly from the effective gains, or by simulation.
"""

from sitetwin.link.channels import (
    LinkChannels,
    channel_power,
    link_channels,
    response_of_taps,
    served_users,
    taps_of_response,
    unit_power,
)
from sitetwin.link.closed_forms import (
    GainNodes,
    awgn_error_rate,
    inversion_error_rate,
    maximal_ratio,
    mrt_error_rate,
    mrt_gain_nodes,
    mrt_long_term_error_rate,
)
from sitetwin.link.constellations import MODULATIONS, Modulation, modulation, q_function
from sitetwin.link.counting import SimulatedCurve, monte_carlo
from sitetwin.link.covariance import covariance_mrt, covariance_of_responses, covariance_precoder
from sitetwin.link.curves import LinkCurve, ebn0_db, snr_loss_db, user_snr_losses_db
from sitetwin.link.equalisers import EQUALISERS, Equaliser, effective_gains
from sitetwin.link.estimation import pilot_precoder
from sitetwin.link.evaluation import error_rate_of_gains, semi_analytic
from sitetwin.link.mixtures import PriorMixture
from sitetwin.link.multiuser import (
    MULTIUSER_PRECODERS,
    MultiUserCurve,
    group_users,
    multiuser_curve,
    multiuser_sinr,
    multiuser_weights,
)
from sitetwin.link.power import NORMALISATIONS, normalise_power, transmit_power
from sitetwin.link.precoders import (
    PRECODERS,
    Precoder,
    mmse,
    mmse_as_printed,
    mmse_per_antenna,
    mmse_per_antenna_as_printed,
    mrt,
    precoder,
)
from sitetwin.link.priors import (
    MixedPrior,
    PathPrior,
    SeparablePrior,
    generic_prior,
    observe_pilots,
    path_prior,
    pilot_tones,
)
from sitetwin.link.short_prefix import (
    Interference,
    interference,
    interference_matrices,
    signal_to_interference,
    with_interference,
)
from sitetwin.link.sionna_shapes import sionna_cir, sionna_ofdm_channel

__all__ = [
    "EQUALISERS",
    "MODULATIONS",
    "MULTIUSER_PRECODERS",
    "NORMALISATIONS",
    "PRECODERS",
    "Equaliser",
    "GainNodes",
    "Interference",
    "LinkChannels",
    "LinkCurve",
    "MixedPrior",
    "Modulation",
    "MultiUserCurve",
    "PathPrior",
    "Precoder",
    "PriorMixture",
    "SeparablePrior",
    "SimulatedCurve",
    "awgn_error_rate",
    "channel_power",
    "covariance_mrt",
    "covariance_of_responses",
    "covariance_precoder",
    "ebn0_db",
    "effective_gains",
    "error_rate_of_gains",
    "generic_prior",
    "group_users",
    "interference",
    "interference_matrices",
    "inversion_error_rate",
    "link_channels",
    "maximal_ratio",
    "mmse",
    "mmse_as_printed",
    "mmse_per_antenna",
    "mmse_per_antenna_as_printed",
    "modulation",
    "monte_carlo",
    "mrt",
    "mrt_error_rate",
    "mrt_gain_nodes",
    "mrt_long_term_error_rate",
    "multiuser_curve",
    "multiuser_sinr",
    "multiuser_weights",
    "normalise_power",
    "observe_pilots",
    "path_prior",
    "pilot_precoder",
    "pilot_tones",
    "precoder",
    "q_function",
    "response_of_taps",
    "semi_analytic",
    "served_users",
    "signal_to_interference",
    "sionna_cir",
    "sionna_ofdm_channel",
    "snr_loss_db",
    "taps_of_response",
    "transmit_power",
    "unit_power",
    "user_snr_losses_db",
    "with_interference",
]
