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
import matplotlib.pyplot as plt

import sitetwin as st

site = st.open_site("munich")
mast = (8.5, 21.0, 27.0)
sectors = [
    st.Station(position=mast, name=name, eirp_dbm=60, pattern="tr38901", yaw_deg=yaw, downtilt_deg=8, load=0.5)
    for name, yaw in (("north", 90), ("south-west", 210), ("south-east", 330))
]
found = st.coverage(site, sectors, area=(-150, -150, 150, 150), spacing=5.0)

# %%
# Maps
# ----
figure, axes = plt.subplots(1, 3, figsize=(16, 5))
found.plot("rsrp", ax=axes[0])
found.plot("sinr", ax=axes[1])
found.plot("best_server", ax=axes[2])
plt.show()

# %%
# Numbers
# -------
# The same quantities as labelled arrays. RSRP is received power per resource element (3GPP TS 38.215); SINR counts
# thermal noise with a noise figure of 9 dB, and the other sectors by their load.
values = found.to_xarray()
for quantity in ("rsrp", "sinr"):
    low, middle, high = values[quantity].quantile([0.05, 0.5, 0.95]).values
    print(f"{quantity}: 5 % {low:.1f}, median {middle:.1f}, 95 % {high:.1f}")

# %%
# What does the load do?
# ----------------------
# Paths hold no power and no load. With a folder, other settings need no new trace.
figure, axes = plt.subplots(figsize=(6, 4))
sinr = {}
for load in (0.0, 0.5, 1.0):
    loaded = [st.Station(**{**sector.model_dump(), "load": load}) for sector in sectors]
    sinr[f"load {load:g}"] = st.coverage(site, loaded, (-150, -150, 150, 150), 5.0, folder="runs/three-sectors").sinr
st.plots.plot_cdf(sinr, label="SINR, dB", ax=axes)
plt.show()
