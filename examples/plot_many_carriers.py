"""
Many carriers and seasons on one trace
======================================

Paths are geometry alone, so one trace serves every frequency, season and antenna. That is where most of the time is
saved: a trace takes seconds or minutes, a new evaluation takes milliseconds. The street is a built-in scene; the trees
are added here.
"""

# %%
# One trace
# ---------
import time

import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st
from sitetwin.face.quantities import user_power_db
from sitetwin.site import Ellipsoid

street = st.open_site("simple_street_canyon")
trees = st.Vegetation(tuple(Ellipsoid((x, y, 6.0), (3.5, 3.5, 3.0)) for x in (-20, -5, 10, 25) for y in (-5, 5)))
site = street.variant(vegetation=trees)
transmitter = (-33.0, 0.0, 12.0)
users = st.grid(site, area=(-30, -8, 40, 8), spacing=1.0)

begin = time.perf_counter()
paths = st.trace(site, tx=transmitter, users=users, max_depth=2)
print(f"{len(paths)} paths to {len(users)} users in {time.perf_counter() - begin:.1f} s")

# %%
# Many carriers
# -------------
# Materials follow ITU-R P.2040 to each frequency, and leaves follow the model for it: woodland (P.833) up to 6 GHz, and
# the non-zero gradient model above.
carriers = np.array([1.8e9, 2.6e9, 3.5e9, 5.8e9, 10e9, 28e9, 39e9, 60e9])
begin = time.perf_counter()
power = {
    season: np.array([user_power_db(paths, site, carrier_hz=f, season=season) for f in carriers])
    for season in ("summer", "winter")
}
print(f"{2 * len(carriers)} evaluations in {time.perf_counter() - begin:.1f} s")

figure, axes = plt.subplots(figsize=(7, 4))
for season, style in (("summer", "o-"), ("winter", "s--")):
    axes.semilogx(carriers / 1e9, np.median(power[season], axis=1), style, label=season)
axes.set(xlabel="carrier, GHz", ylabel="median path gain, dB", xticks=carriers / 1e9, xticklabels=carriers / 1e9)
axes.minorticks_off()
axes.legend()
plt.show()

# %%
# Which users lose most in summer
# -------------------------------
# The difference is zero where no path crosses a canopy.
loss = power["winter"][carriers == 28e9][0] - power["summer"][carriers == 28e9][0]
st.plots.plot_coverage(loss, users, label="loss in leaves at 28 GHz, dB", site=site, transmitters=transmitter)
plt.show()

# %%
# Rain and air
# ------------
# They too need no new trace. At 60 GHz, where oxygen takes most, and in heavy rain they cost about a decibel over the
# tens of metres of a street.
weather = st.Atmosphere(rain_mm_h=50.0)
dry = user_power_db(paths, site, carrier_hz=60e9)
wet = user_power_db(paths, site, carrier_hz=60e9, atmosphere=weather)
print(f"air and rain cost {np.median(dry - wet):.2f} dB in the median")
