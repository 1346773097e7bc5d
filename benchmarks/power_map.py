"""Seconds that a power map of 200 measured rows of one cell takes to fit, and to predict 1,000 places.

``python benchmarks/power_map.py SITE MEASURED.csv STATIONS.toml``
"""

from __future__ import annotations

import sys
import time

import numpy as np

import sitetwin as st
from sitetwin.measured import powers_on_site


def main(site_name: str, measured: str, stations_file: str) -> None:
    site, stations = st.open_site(site_name), st.read_stations(stations_file)
    powers = powers_on_site(measured, site).merged(4.0)
    for station in stations:
        placed = station.on(site, allow_indoors=True) if isinstance(station, st.GeographicStation) else station
        own = powers.of_cells([str(placed.name)])
        order = np.random.default_rng(0).permutation(len(own))
        power_map = st.PowerMap(site, [station])
        power_map.fit(own.take(order[:30]))  # the site's plan is cut once, and code is loaded
        begun = time.perf_counter()
        power_map.fit(own.take(order[:200]))
        fitted = time.perf_counter()
        power_map.predict(own.positions[order[200:1200]])
        print(f"{placed.name}: fit {fitted - begun:.2f} s, predict {time.perf_counter() - fitted:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
