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
from sitetwin.link.curves import LinkCurve, ebn0_db, snr_loss_db
from sitetwin.link.equalisers import EQUALISERS, Equaliser, effective_gains
from sitetwin.link.evaluation import error_rate_of_gains, semi_analytic
from sitetwin.link.modulation import MODULATIONS, Modulation, modulation, q_function
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

__all__ = [
    "EQUALISERS",
    "MODULATIONS",
    "NORMALISATIONS",
    "PRECODERS",
    "Equaliser",
    "GainNodes",
    "LinkChannels",
    "LinkCurve",
    "Modulation",
    "Precoder",
    "awgn_error_rate",
    "channel_power",
    "ebn0_db",
    "effective_gains",
    "error_rate_of_gains",
    "inversion_error_rate",
    "link_channels",
    "maximal_ratio",
    "mmse",
    "mmse_as_printed",
    "mmse_per_antenna",
    "mmse_per_antenna_as_printed",
    "modulation",
    "mrt",
    "mrt_error_rate",
    "mrt_gain_nodes",
    "mrt_long_term_error_rate",
    "normalise_power",
    "precoder",
    "q_function",
    "response_of_taps",
    "semi_analytic",
    "served_users",
    "snr_loss_db",
    "taps_of_response",
    "transmit_power",
    "unit_power",
]
