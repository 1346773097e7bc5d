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
# RSRP is received power per resource element (3GPP TS 38.215). SINR counts thermal noise with a noise figure of 9 dB,
# and the other sectors by their load. The best server is the strongest sector.
found.plot("best_server")
plt.show()

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5.5))
found.plot("rsrp_dbm", ax=left)
found.plot("sinr_db", ax=right)
plt.show()

# %%
# Numbers
# -------
# The same quantities, and the received power of each sector, stand in an ``xarray.Dataset`` over x and y.
data = found.to_xarray()
for name in ("rsrp_dbm", "sinr_db"):
    low, middle, high = data[name].quantile([0.05, 0.5, 0.95]).values
    print(f"{name:8} 5 %: {low:.1f}   median: {middle:.1f}   95 %: {high:.1f} {data[name].units}")
print(f"{np.mean(found.serving < 0):.0%} of the users have no path: neither diffraction nor transmission was traced")

# %%
# What does the load do?
# ----------------------
# Paths hold no power and no load. With a folder the paths are kept, and other settings need no new trace.
kept = tempfile.mkdtemp()
sinr = {}
for load in (0.0, 0.5, 1.0):
    loaded = [sector.model_copy(update={"load": load}) for sector in sectors]
    again = st.coverage(site, loaded, area=(-150, -150, 150, 150), spacing=5.0, folder=kept)
    sinr[f"load {load:g}"] = again.values("sinr_db")
st.plots.plot_cdf(sinr, label="SINR, dB")
plt.show()
