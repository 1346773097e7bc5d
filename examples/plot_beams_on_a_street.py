"""
Beams on a made-up street
=========================

Which beam of a base station serves a user whose position is known? A twin answers before anything was measured, and a
few measured rows say how far it is off. The street is a built-in scene and all powers are simulated. Where the
environment variable ``SITETWIN_DATA`` names a folder with ``deepsense_scenario1``, the last section looks at measured
powers.
"""

# %%
# A street and a codebook
# -----------------------
# A linear array of 16 elements at 60 GHz looks along the street. The codebook is that of the discrete Fourier
# transform: 16 beams whose directions are even in the sine of the angle.
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st
from sitetwin.channel.antennas import dft_codebook
from sitetwin.learn.beams.baselines import nearest
from sitetwin.learn.beams.metrics import best_beams

site = st.open_site("simple_street_canyon")
station = (-20.0, 0.0, 5.0)
users = st.grid(site, area=(-15, -8, 45, 8), spacing=0.5)
paths = st.trace(site, tx=station, users=users, max_depth=2)

codebook = dft_codebook(st.AntennaArray.ula(16)).numpy()  # (beams, elements)


def beam_powers(yaw_deg):
    """(users, beams) received over transmitted power, the mean over 100 MHz, for an array that is turned so."""
    radio = st.Radio("ula:16", yaw_deg=yaw_deg)
    h = st.channels(paths, site, carrier_hz=60e9, radio=radio, bandwidth_hz=100e6, subcarriers=16)
    response = h.isel(rx_antenna=0).transpose("user", "frequency", "tx_antenna").values
    return np.mean(np.abs(response @ codebook.T) ** 2, axis=1)


twin = beam_powers(yaw_deg=0.0)
names = [f"beam {number}" for number in range(len(codebook))]
axes = st.plots.plot_best_server(best_beams(twin), users, names=names, site=site)
axes.plot(*station[:2], "k^")
plt.show()

# %%
# The world that the twin resembles
# ---------------------------------
# In the stand-in for reality the array was mounted 4 degrees off, and every power has a noise of 1 dB. Nobody told the
# twin.
rng = np.random.default_rng(0)
world = beam_powers(yaw_deg=4.0) * 10 ** (0.1 * rng.normal(size=twin.shape))
order = rng.permutation(len(users))
measured, test = order[:200], order[200:]
truth = best_beams(world[test])


def report(name, score):
    """Print how often the best beam is named, and what the named beam loses in the mean."""
    named = np.argmax(score, axis=1)
    rows = np.arange(len(test))
    loss = 10 * np.log10(world[test][rows, truth] / world[test][rows, named])
    print(f"{name:32} top-1 {np.mean(named == truth):.2f}   mean loss {loss.mean():.2f} dB")


report("twin, nothing measured", twin[test])

# %%
# Calibration by a few rows
# -------------------------
# Ten rows are enough to find the turn: the twin is evaluated for some angles, on the same paths, and the angle that
# explains the rows best is kept. Neighbours among ten rows know little of a street; among two hundred they know it
# well.
angles = np.arange(-10.0, 10.5, 1.0)
worlds = np.stack([beam_powers(angle) for angle in angles])
for rows in (10, 50, 200):
    seen = measured[:rows]
    fit = [np.mean(np.log(w[seen]) * world[seen] / world[seen].sum(1, keepdims=True)) for w in worlds]
    report(f"twin turned by {rows} rows", worlds[int(np.argmax(fit))][test])
    report(f"five nearest of {rows} rows", nearest(users[seen, :2], world[seen], users[test, :2]))

# %%
# Measured powers
# ---------------
# DeepSense 6G is measured data that you bring (deepsense6g.net). Without it this section draws nothing.
folder = Path(os.environ.get("SITETWIN_DATA", "")) / "deepsense_scenario1"
if os.environ.get("SITETWIN_DATA") and folder.is_dir():
    from sitetwin.measured.deepsense import read_deepsense

    rows = read_deepsense(folder)
    best = best_beams(np.nan_to_num(rows["power"].values))
    figure, axes = plt.subplots(figsize=(6, 4.5))
    points = axes.scatter(rows["east"], rows["north"], c=best, s=6, cmap="twilight")
    figure.colorbar(points, label="best of 64 measured beams")
    axes.set(xlabel="east, m", ylabel="north, m", aspect="equal")
    plt.show()
else:
    print("SITETWIN_DATA names no folder with deepsense_scenario1: the measured section is left out")

# %%
# ``sitetwin study beams`` does all of this on measured powers: it chooses the rows, fits position, boresight and
# codebook with their uncertainty, and sets the published network and others beside it.
