"""
A codec for your cell
=====================

A base station learns to compress the channels of *its own* cell from a digital twin, without a single measurement, and
then corrects the codec with a few matrices of the world that the twin only resembles. Both worlds are simulated here:
the *target*, which stands in for reality, has trees that the twin does not know.
"""

# %%
# Two worlds
# ----------
# The twin is a city block of ``munich``. The target is the same with trees along the streets and with walls that are
# off by half a metre.
import matplotlib.pyplot as plt
import numpy as np
import torch

import sitetwin as st
from sitetwin.learn import GlobalKltCodec, KltCodec, KltConfig, MeanCodec, nmse, prepare, select_highest_nmse
from sitetwin.site import Ellipsoid, GeometryError

twin = st.open_site("munich")
rng = np.random.default_rng(1)
trees = st.Vegetation(tuple(Ellipsoid((x, y, 6.0), (3.0, 3.0, 3.0)) for x in (-20, 0, 20, 40) for y in (30, 60, 90)))
target = twin.variant(vegetation=trees, walls=GeometryError(0.5), rng=rng)

area, base_station = (-20, 20, 60, 100), (8.5, 21.0, 27.0)
choices = {"carrier_hz": 3.5e9, "bandwidth_hz": 7.68e6, "subcarriers": 256, "quantity": "delay-angle", "num_taps": 32}


def matrices(world, spacing):
    """Prepared delay-angle matrices of the users of a world: unit norm, common phase removed."""
    users = st.grid(world, area=area, spacing=spacing)
    paths = st.trace(world, tx=base_station, users=users, max_depth=2)
    kept = paths.select_users(np.flatnonzero(paths.counts > 0))
    return prepare(st.channels(kept, world, radio=st.Radio("ula:32", yaw_deg=90.0), **choices)).x


train, world = matrices(twin, 1.5), matrices(target, 2.0)
shuffled = world[torch.randperm(len(world), generator=torch.Generator().manual_seed(2))]
pool, test = shuffled[:400], shuffled[400:]
print(f"{len(train)} twin samples, {len(pool)} target samples to choose from, {len(test)} to test on")

# %%
# Codecs
# ------
# All of them feed back 32 real numbers. The KLT mixture fits local subspaces to the twin: the user sends the index of
# the best one and a few coefficients. An index is paid for out of the 32 numbers. Every codec has the same methods:
# ``fit``, ``encode``, ``decode``, ``update``, ``save``, ``load``.
codecs = {
    "mean of the twin": MeanCodec(),
    "one subspace (global KLT)": GlobalKltCodec(),
    "64 subspaces (KLT mixture)": KltCodec(KltConfig(zones=64)),
}
for codec in codecs.values():
    codec.fit(train, torch.Generator().manual_seed(0))


def error_db(codec):
    """NMSE in dB: the linear mean over the test users."""
    return 10 * np.log10(float(nmse(test, codec.decode(codec.encode(test))).mean()))


# %%
# A few matrices of the target
# ----------------------------
# Users report the full matrix where the codec does worst; the codec is updated in closed form. The old codec is left
# as it is.
mixture = codecs["64 subspaces (KLT mixture)"]
chosen = select_highest_nmse(mixture, pool, 40)
codecs["the same and 40 target samples"] = mixture.update(pool[chosen.rows], torch.Generator().manual_seed(0))

errors = {name: error_db(codec) for name, codec in codecs.items()}
for name, value in errors.items():
    print(f"{name:32} {value:6.1f} dB")

figure, axes = plt.subplots(figsize=(7, 3))
axes.barh(list(errors)[::-1], list(errors.values())[::-1], color="#0b5c7d")
axes.set(xlabel="NMSE on the target, dB")
figure.tight_layout()
plt.show()

# %%
# These test users stand two metres from users that the twin was trained on, and a target that is simulated is kinder
# than the world. The study ``sitetwin study csi`` keeps test users in blocks apart, counts every bit, and gives
# intervals. ``sitetwin codec`` fits such a codec, keeps it in a file and updates it with channels of your own, in bits
# in place of real numbers.
