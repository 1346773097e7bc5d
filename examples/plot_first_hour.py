"""
First hour in Python
====================

From a city to channels and plots, in ten lines. You need no data: ``munich`` is a scene that comes with Sionna RT,
made from OpenStreetMap. The radio waves are simulated.
"""

# %%
# A site, users, paths
# --------------------
# A *site* is a mesh with a material for every surface. ``st.open_site`` takes the name of a built-in scene, a map, a
# mesh, or a folder that ``st.save_site`` wrote.
import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st
from sitetwin.face.quantities import user_power_db

site = st.open_site("munich")
site

# %%
# Coordinates are metres east, north and up. Users stand on a grid, 1.5 m above the ground; those inside buildings are
# left out.
transmitter = (8.5, 21.0, 27.0)
users = st.grid(site, area=(-100, -100, 100, 100), spacing=4.0)
st.plots.plot_scene(site, transmitter, users)
plt.show()

# %%
# ``st.trace`` finds the paths that waves take: line of sight, and up to three reflections. Add ``diffraction=True`` for
# paths over edges; it takes longer. Paths are geometry alone: they know no frequency and no antenna.
paths = st.trace(site, tx=transmitter, users=users, max_depth=3)
paths

# %%
# Channels
# --------
# Carrier and antennas come in here, and can be changed without tracing again. The radio is an array of 8 x 8 elements
# with the pattern of 3GPP TR 38.901, turned to the north.
radio = st.Radio("upa:8x8", pattern="tr38901", yaw_deg=90.0)
h = st.channels(paths, site, carrier_hz=28e9, radio=radio, bandwidth_hz=100e6, subcarriers=64)
h

# %%
# The result is an ``xarray.DataArray``: its axes have names, its coordinates have units. Nothing is normalised: the
# squared magnitude is received over transmitted power, and the carrier's phase is included.
first = h.isel(user=0)
print("strongest antenna of the first user:", int(abs(first).mean("frequency").argmax()))

# %%
# ``torch_dataset`` makes the same channels batch by batch for training, without keeping them in memory.
data = st.torch_dataset(paths, site, carrier_hz=28e9, radio=radio, bandwidth_hz=100e6, subcarriers=64)
index, channel = next(iter(data))
print(tuple(channel.shape))

# %%
# What users receive
# ------------------
# Path gain is the sum of the powers of all paths: the mean over small-scale fading.
gain = np.where(paths.counts > 0, user_power_db(paths, site, carrier_hz=28e9), np.nan)  # no number without a path
st.plots.plot_coverage(gain, users, label="path gain, dB", site=site, transmitters=transmitter)
plt.show()

# %%
# One user in detail: its rays in space, and the power of each path over its delay.
gains = st.gains(paths, site, carrier_hz=28e9)
user = int(paths.counts.argmax())
st.plots.plot_rays(site, paths, user, gains)
plt.show()

# %%
st.plots.plot_power_delay_profile(paths, gains, user)
plt.show()

# %%
# How complete is it?
# -------------------
# No tracer finds everything. This one says which share of the paths it estimates to have missed.
print(paths.attributes["completeness"])

# %%
# Paths and sites can be kept on disk: ``paths.save("runs/munich")``, ``st.save_site(site, "runs/site")``. The same
# steps on the command line are ``sitetwin trace``, ``sitetwin channels`` and ``sitetwin view``.
