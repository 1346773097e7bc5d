"""
Against Sionna RT, path by path
===============================

Two ray tracers that share nothing but the mesh should find the same paths, with the same amplitude and phase. Sionna RT
is asked for the same street, and every path of one trace is looked up in the other. The street is a built-in scene of
Sionna RT.
"""

# %%
# Two engines
# -----------
# Sionna RT shoots rays at random and solves what they meet, receiver by receiver. The dense tracer looks for the chains
# of facets and edges that matter, once for all users, and solves each in closed form. (On the command line: ``sitetwin
# trace --engine sionna``.)
import time

import matplotlib.pyplot as plt
import numpy as np

import sitetwin as st
from sitetwin.rays.referee.compare import gain_differences, match_paths
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference, trace_reference_gains

site = st.open_site("simple_street_canyon")
transmitter = (-33.0, 0.0, 20.0)
users = st.grid(site, area=(-40, -8, 40, 8), spacing=8.0)

begin = time.perf_counter()
ours = st.trace(site, tx=transmitter, users=users, max_depth=2, diffraction=True)
print(f"sitetwin : {len(ours)} paths to {len(users)} users in {time.perf_counter() - begin:.1f} s")

begin = time.perf_counter()
settings = ReferenceSettings(max_depth=2, diffraction=True, edge_diffraction=True, max_num_paths=2_000_000)
theirs = trace_reference(site, np.array(transmitter), users, settings)
print(f"Sionna RT: {len(theirs)} paths in {time.perf_counter() - begin:.1f} s")

# %%
# Who finds what
# --------------
# Two paths are the same if they go over the same facets and edges.
match = match_paths(ours, theirs)
only_ours, only_theirs = np.zeros(len(ours), bool), np.zeros(len(theirs), bool)
only_ours[match.only_a] = True
only_theirs[match.only_b] = True


def classes(paths):
    """Which paths are direct, reflected, diffracted."""
    diffracted = (paths.kinds == st.Interaction.DIFFRACTION).any(axis=1)
    return {"direct": paths.depth == 0, "reflected": (paths.depth > 0) & ~diffracted, "diffracted": diffracted}


print(f"{'':12}{'ours':>6}{'Sionna RT':>11}{'only ours':>11}{'only theirs':>13}")
for name, mine in classes(ours).items():
    other = classes(theirs)[name]
    alone = np.count_nonzero(only_ours & mine), np.count_nonzero(only_theirs & other)
    print(f"{name:12}{np.count_nonzero(mine):6}{np.count_nonzero(other):11}{alone[0]:11}{alone[1]:13}")

# %%
# Amplitude and phase
# -------------------
# For paths without diffraction, Sionna RT's own complex gains are set beside ours, at 3.5 GHz with isotropic
# antennas. What is left is its single precision. It shows most where a wall is hit near the Brewster angle and
# reflects next to nothing.
specular = ReferenceSettings(max_depth=2, max_num_paths=2_000_000)
theirs, their_fields = trace_reference_gains(site, np.array(transmitter), users, frequency=3.5e9, settings=specular)
match = match_paths(ours, theirs)
our_gain = st.gains(ours, site, carrier_hz=3.5e9).values.numpy()[match.a, 0, 0]
power_db, phase = gain_differences(our_gain, their_fields.gain[match.b])
print(f"{len(match.a)} paths; differences, median and largest:")
print(f"power: {np.median(power_db):.0e} dB, {power_db.max():.2f} dB")
print(f"phase: {np.degrees(np.median(phase)):.3f} degrees, {np.degrees(phase).max():.2f} degrees")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
left.plot(20 * np.log10(np.abs(their_fields.gain[match.b])), 20 * np.log10(np.abs(our_gain)), ".", ms=4)
left.set(xlabel="power of a path, Sionna RT, dB", ylabel="power of the same path, sitetwin, dB")
st.plots.plot_cdf(np.degrees(phase), label="difference in phase, degrees", ax=right)
figure.tight_layout()
plt.show()

# %%
# On larger scenes the two differ more: Sionna RT draws the interaction at each hit, so it finds a share of the paths
# that grows with its samples, and both miss some. The page on the tracer says how many, and how that is known.
