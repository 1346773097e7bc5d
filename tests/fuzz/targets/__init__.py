"""All targets: one for each reader of files."""

from __future__ import annotations

from tests.fuzz.judge import Target
from tests.fuzz.targets import beams, cells, drives, images, layers, maps, models, numbers, radios, studies

TARGETS: dict[str, Target] = {
    target.name: target
    for room in (beams, cells, drives, maps, layers, models, radios, numbers, studies, images)
    for target in room.TARGETS
}
"""By name."""

READERS: dict[str, str] = {
    "channel.antennas.pattern_files": "pattern-csv",
    "channel.antennas.pattern_text": "pattern-msi",
    "channel.antennas.station_radio": "station-radio",
    "channel.formats.number_files": "npy",
    "channel.formats.sionna_cir": "sionna-cir",
    "channel.stations": "stations-toml",
    "face.transmitter_texts": "transmitters",
    "learn.cell.codec_file": "cell-codec",
    "learn.cell.link": "named-channels",
    "learn.cell.reports": "csi-reports",
    "learn.model_files": "codecs",
    "measured.beam_tables": "beam-table",
    "measured.codebooks": "beam-codebook",
    "measured.csi": "measured-channels",
    "measured.deepsense_layouts": "deepsense-official",
    "measured.dichasus": "dichasus",
    "measured.tfrecords": "dichasus",
    "measured.named_arrays": "measured-channels",
    "measured.named_csi": "named-channels",
    "measured.power_files": "measured-powers",
    "measured.profile_files": "measured-profiles",
    "measured.reported_errors": "reported-errors",
    "rays.referee.insite_paths": "insite-paths",
    "report.beams.released": "published-curves",
    "report.csi.paper": "csi-network",
    "report.csi.results": "csi-study",
    "studies.csi.networks": "csi-matrices",
    "site.importers.blocks": "insite",
    "site.importers.gltf": "gltf",
    "site.importers.gltf_nodes": "gltf",
    "site.importers.json_kind": "overpass",
    "site.importers.load": "obj",
    "site.importers.meshes": "ply",
    "site.importers.models": "obj",
    "site.importers.sionna": "mitsuba",
    "site.io": "saved-site",
    "site.maps.raster": "terrain",
    "site.maps.readers.files": "geojson",
    "site.maps.readers.shapefiles": "packed-shapefile",
    "site.maps.readers.vector": "geopackage",
    "site.maps.rules": "rules",
    "site.opening": "geojson",
    "site.places.gpx": "gpx",
    "site.recipes": "recipes",
    "store.manifest": "manifest",
    "store.mat_files": "mat",
    "studies.beams.twin": "box-of-meshes",
    "studies.csi.config": "cell",
    "studies.frame": "study-part",
    "studies.precoding.config": "drives-past-a-station",
    "studies.precoding.drive_test": "measured-channels",
    "studies.records": "beam-study",
    "studies.vision.closed_loop.loop": "campaign",
    "view.sources": "values",
    "vision.camera_files": "camera",
    "vision.images": "image",
    "vision.live.reading": "shots",
    "vision.live.videos": "video",
    "vision.worlds.campaign": "campaign",
    "vision.worlds.reading": "drive",
    "vision.worlds.recording": "drive",
}
"""By module that opens or parses files, a target that tries it."""

ELSEWHERE = {
    "channel.io": "tests/store",  # stores of channels
    "learn.csi.training": "tests/learn",  # checkpoints of one's own run
    "rays.jobs.scene": "tests/rays",  # one name in a store
    "site.maps.fetch": "tests/site/maps/test_fetch.py",  # answers of servers
    "store.array_files": "tests/store",
    "store.collection": "tests/store",
    "store.files": "tests/store",
    "store.groups": "tests/store",
    "store.tiles": "tests/store",
    "vision.worlds.sums": "tests/vision/test_worlds.py",  # sums of one's own recording
    "vision.models.fetching": "tests/vision",  # packages whose checksums are pinned
    "vision.networks.tfjs": "tests/vision",
    "studies.beams.study": "tests/studies",  # the site's own files, hashed
    "studies.vision.scenario": "tests/studies",  # images, hashed
    "studies.vision.scene_records": "tests/studies",  # looks whether an image is there
}
"""Modules whose damaged files other tests try."""
