"""
Your city, from OpenStreetMap to torch tensors
==============================================

A map becomes a site, the site becomes paths, the paths become tensors that a network trains on. This example writes
a small map by itself, so that it needs no network: three rows of houses, a street, and trees. They are made up. For a
real place, download an extract of OpenStreetMap, or let ``sitetwin site fetch "Boston Common"`` do it.
"""

# %%
# A map
# -----
# OpenStreetMap describes a place by points (nodes) with latitude and longitude, and by lines and outlines (ways) that
# carry tags. Heights come from ``height`` or ``building:levels``, materials from ``building:material``.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import sitetwin as st
from sitetwin.face.quantities import user_power_db

LATITUDE, LONGITUDE = 48.0, 11.0
METRE_NORTH, METRE_EAST = 1 / 111_200, 1 / 74_600  # degrees, at this latitude
nodes, ways = [], []


def node(x, y, **tags):
    """Add a point, metres east and north of the origin, and return its number."""
    place = f'lat="{LATITUDE + y * METRE_NORTH:.7f}" lon="{LONGITUDE + x * METRE_EAST:.7f}"'
    text = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
    nodes.append(f'<node id="{len(nodes) + 1}" {place}>{text}</node>')
    return len(nodes)


def way(points, **tags):
    """Add a line or an outline."""
    numbers = [node(*point) for point in points]
    if "building" in tags:
        numbers.append(numbers[0])
    text = "".join(f'<nd ref="{number}"/>' for number in numbers)
    text += "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
    ways.append(f'<way id="{len(ways) + 1}">{text}</way>')


def house(x, y, width, depth, **tags):
    """Add a house by its south-west corner."""
    way([(x, y), (x + width, y), (x + width, y + depth), (x, y + depth)], building="yes", **tags)


for number in range(5):
    house(-70 + 28 * number, 12, 22, 14, **{"building:levels": 3 + number % 3, "building:material": "brick"})
    house(-70 + 28 * number, -26, 22, 14, height=9 + 2 * number, **{"roof:shape": "gabled"})
    house(-70 + 28 * number, 50, 22, 12, height=12)
    node(-58 + 28 * number, 8, natural="tree", height=8)
way([(-90, 0), (90, 0)], highway="residential", width=9)
way([(-90, 40), (90, 40)], highway="residential", width=9)

folder = Path(tempfile.mkdtemp())
city = folder / "town.osm"
city.write_text('<osm version="0.6">' + "".join(nodes + ways) + "</osm>")

# %%
# A site
# ------
# ``around`` and ``radius`` (metres) cut the map; the centre is the origin of the site. The import says what it read,
# repaired, assumed and dropped. Look at it: heights are often missing on maps.
site = st.open_site(city, around=(LATITUDE, LONGITUDE), radius=100)
for entry in site.provenance["import"]:
    print(f"{entry['kind']:9} {entry['count']:4}  {entry['what']}")

# %%
# ``st.check_site`` looks for holes, overlaps and floating houses.
print("sound" if st.check_site(site).ok else "not sound")

# %%
# Paths
# -----
# The base station stands 25 m above the ground at the western end, users every two metres along both streets.
transmitter = (-80.0, 0.0, 25.0)
users = st.grid(site, area=(-75, -10, 75, 45), spacing=2.0)
paths = st.trace(site, tx=transmitter, users=users, max_depth=3)

st.plots.plot_scene(site, transmitter, users)
plt.show()

# %%
gain = np.where(paths.counts > 0, user_power_db(paths, site, carrier_hz=3.5e9), np.nan)
st.plots.plot_coverage(gain, users, label="path gain, dB", site=site, transmitters=transmitter)
plt.show()

# %%
# Tensors
# -------
# A data set makes channels batch by batch. Here a network learns where a user is from its delay-angle matrix. (Nobody
# needs such a network; it shows the shape of a training loop in a few lines.)
request = {"carrier_hz": 3.5e9, "bandwidth_hz": 20e6, "subcarriers": 64, "num_taps": 16, "quantity": "delay-angle"}
data = st.torch_dataset(paths, site, radio=st.Radio("ula:16"), seed=0, **request)
place = torch.from_numpy(users[:, 0]).float() / 50

torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(256, 128), torch.nn.ReLU(), torch.nn.Linear(128, 1))
optimiser = torch.optim.Adam(network.parameters(), 3e-3)
losses = []
for _epoch in range(40):
    total = 0.0
    for index, channel in torch.utils.data.DataLoader(data, batch_size=64):
        features = torch.log10(channel.abs().flatten(1) + 1e-8) + 6.5
        loss = (network(features).squeeze(1) - place[index]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss) * len(index)
    losses.append((total / len(users)) ** 0.5 * 50)
print(f"error of the place along the street: {losses[0]:.0f} m at first, {losses[-1]:.0f} m after {len(losses)} epochs")

# %%
# The site can be kept, and goes wherever a scene goes: ``st.save_site(site, "runs/town")``, then ``sitetwin view
# runs/town``.
