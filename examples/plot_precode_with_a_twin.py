"""
Precode with a twin
===================

A base station with four antennas knows a map, not the channel. What is the map worth? It can be taken for the channel,
for the statistics of the channel, or for the prior of an estimate from a single pilot tone. The bit error rate is the
judge. Both worlds are simulated: the *target* stands in for reality.
"""

# %%
# Two worlds
# ----------
# The twin is a street canyon. In the target its walls stand off by 0.2 m and are of glass, and every user stands 0.3 m
# beside the place that it reports. At 3.5 GHz that is several wavelengths: paths keep their directions, delays and
# powers, and lose their phases.
import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st
from sitetwin import link
from sitetwin.site import GeometryError, SurfaceMaterials

rng = np.random.default_rng(3)
twin = st.open_site("simple_street_canyon").variant(surfaces=SurfaceMaterials("concrete", "marble", "metal"))
target = twin.variant(
    walls=GeometryError(0.2), surfaces=SurfaceMaterials("concrete", "glass", "metal"), together=True, rng=rng
)
base_station = (-40.0, 0.0, 12.0)
reported = np.column_stack([np.tile(np.linspace(-20, 40, 120), 2), np.repeat([-3.0, 3.0], 120), np.full(240, 1.5)])
true = reported + np.append(0.3 * rng.standard_normal(2), 0.0)

radio, carrier = st.Radio("ula:4"), 3.5e9
choices = {"carrier_hz": carrier, "bandwidth_hz": 10.08e6, "subcarriers": 42, "delay_reference": "first-path"}


def channels(world, users):
    """Paths to the users, and their channels [users, antennas, subcarriers] of unit power."""
    paths = st.trace(world, tx=base_station, users=users, max_depth=3)
    return paths, link.link_channels(st.channels(paths, world, radio=radio, **choices)).scaled()


paths, known = channels(twin, reported)
_, h = channels(target, true)
print(f"{len(h)} users")

# %%
# The map as the channel
# ----------------------
# MRT points where the twin's channel points. The power of each subcarrier is fixed, so that a precoder is a direction
# and nothing else. The genie knows the true channel.
snr_db = np.arange(-10.0, 31.0)


def curve(precoder):
    """Bit error rate at each SNR, exactly: no bit is drawn."""
    return link.semi_analytic(h, precoder, snr_db)


curves = {
    "genie": curve(link.precoder("mrt", h, "subcarrier")),
    "twin's channel": curve(link.precoder("mrt", known, "subcarrier")),
}

# %%
# The map as statistics
# ---------------------
# With random phases of its paths, the twin has a covariance. Its dominant direction needs no phase and no pilot.
grid = st.OfdmGrid(carrier, 42, 240e3)
gains = st.gains(paths, twin, carrier_hz=carrier, radio=radio)
prior = link.path_prior(*gains.select_users(paths, np.arange(len(h))), grid, delay_reference="first-path").scaled()
curves["twin's covariance"] = curve(link.covariance_precoder(prior.covariance(), known, "subcarrier"))

# %%
# The map as a prior
# ------------------
# One pilot tone of each antenna, 10 dB above the noise, and the twin's covariance over antennas and subcarriers give an
# estimate of least mean square error. A prior for anywhere, which knows no map, has the same pilot, or four.
anywhere = link.generic_prior(grid, radio, delay_spread_s=50e-9)
for name, belief, pilots in (
    ("twin's prior, 1 pilot", prior, 1),
    ("generic prior, 1 pilot", anywhere, 1),
    ("generic prior, 4 pilots", anywhere, 4),
):
    noise = np.random.default_rng(4)
    curves[name] = curve(link.pilot_precoder(h, belief, pilots, 10.0, noise, normalisation="subcarrier"))

losses = {name: link.snr_loss_db(one, curves["genie"], 1e-3) for name, one in curves.items()}
for name, loss in losses.items():
    print(f"{name:24} {loss:5.2f} dB more than the genie at a bit error rate of 1e-3")

figure, axes = plt.subplots(figsize=(7, 4))
for name, one in curves.items():
    axes.semilogy(snr_db, one.ber, label=name, color="#7f7f7f" if name == "genie" else None)
axes.set(xlabel="SNR of a subcarrier, dB", ylabel="bit error rate", ylim=(1e-5, 0.5))
axes.legend()
figure.tight_layout()
plt.show()

# %%
# One pilot settles the phases that no map can know, and the map settles much of the rest. Without a pilot, one
# direction for all subcarriers meets fades that the genie steers around; what that costs differs from street to street.
#
# A centimetre is a tenth of a wavelength. No map is that good, and a network that learns the phases learns the places
# where it was trained. So take the twin for what it knows: where power comes from, when, and how much of it. The study
# ``sitetwin study precoding`` does the same on whole drives with more errors, and sets networks beside it;
# ``--measured FILE`` puts channels of your own in the place of the target.
