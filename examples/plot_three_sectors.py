"""
Coverage of three sectors
=========================

A mast with three sectors, as planners draw it: RSRP, SINR, best server. The city is ``munich``, a built-in scene; the
site of the mast is made up.
"""

# %%
# Three sectors
# -------------
# Sectors of one mast share their paths, so they are traced once. The antennas have the pattern of 3GPP TR 38.901, look
# 120 degrees apart, and are tilted down by 8 degrees. ``load`` is the share of the resource elements in use: it is what
# the other sectors suffer from.
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st

site = st.open_site("munich")
mast = (40.0, 90.0, 25.0)
sectors = [
    st.Station(position=mast, name=name, eirp_dbm=60, pattern="tr38901", yaw_deg=yaw, downtilt_deg=8, load=0.5)
    for name, yaw in (("north", 90), ("south-west", 210), ("south-east", 330))
]
found = st.coverage(site, sectors, area=(-150, -150, 150, 150), spacing=5.0)

# %%
# Maps
# ----
# ``received`` holds the RSRP of every sector in watts, power per resource element (3GPP TS 38.215). ``sinr`` counts
# thermal noise with a noise figure of 9 dB, and the other sectors by their load. ``serving`` is the strongest sector.
with np.errstate(divide="ignore"):
    rsrp_dbm = 10 * np.log10(found.received.max(axis=0)) + 30
    sinr_db = 10 * np.log10(found.sinr)
reached = found.serving >= 0

st.plots.plot_best_server(found.serving, found.users, names=[sector.name for sector in sectors], site=site)
plt.show()

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5.5))
rsrp = np.where(reached, rsrp_dbm, np.nan)
st.plots.plot_coverage(rsrp, found.users, label="RSRP, dBm", site=site, transmitters=mast, ax=left)
st.plots.plot_coverage(sinr_db, found.users, label="SINR, dB", site=site, transmitters=mast, ax=right)
plt.show()

# %%
# Numbers
# -------
for name, values in (("RSRP, dBm", rsrp), ("SINR, dB", sinr_db)):
    low, middle, high = np.nanquantile(values, [0.05, 0.5, 0.95])
    print(f"{name:10} 5 %: {low:.1f}   median: {middle:.1f}   95 %: {high:.1f}")
print(f"{np.mean(~reached):.0%} of the users have no path: neither diffraction nor transmission was traced")

# %%
# What does the load do?
# ----------------------
# Paths hold no power and no load. With a folder the paths are kept, and other settings need no new trace.
kept = tempfile.mkdtemp()
sinr = {}
for load in (0.0, 0.5, 1.0):
    loaded = [sector.model_copy(update={"load": load}) for sector in sectors]
    again = st.coverage(site, loaded, area=(-150, -150, 150, 150), spacing=5.0, folder=kept)
    sinr[f"load {load:g}"] = 10 * np.log10(again.sinr)
st.plots.plot_cdf(sinr, label="SINR, dB")
plt.show()
