"""Heights of buildings under the keys and names that maps use: read, or named in the account, in every format alike."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import Ledger, parse_count, parse_length, read_geojson_like, read_map
from sitetwin.site.maps.heights import BuildingOptions, heights
from sitetwin.site.maps.pieces import find_pieces
from tests.site.map_buildings import flat_ground
from tests.site.maps.osm_files import Town, overpass, pbf, write, xml

DEFAULT = 9.0


def top_of(features: Any) -> tuple[float, Ledger]:
    """Height of the top of a map's only building, metres, and the account of it."""
    ledger = Ledger()
    (piece,) = find_pieces(features, flat_ground, ledger)
    found = heights(piece.feature.key, piece.feature.tags, None, BuildingOptions(), ledger, None)
    return (found.top if found.top is not None else (found.eaves or 0.0) + found.loft), ledger


def house(tags: dict[str, str]) -> Town:
    made = Town()
    made.square(1, 11.0, 48.0, 2e-4)
    made.ways[1][1].update({"building": "yes", **tags})
    return made


def said(ledger: Ledger, kind: str, words: str) -> bool:
    return any(words in entry.what for entry in ledger.entries if entry.kind == kind)


def in_memory(tags: dict[str, str]) -> Any:
    ring = [[11.0, 48.0], [11.0002, 48.0], [11.0002, 48.0002], [11.0, 48.0002], [11.0, 48.0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": "way/1", "properties": {"building": "yes", **tags}, "geometry": shape}


@pytest.mark.parametrize(
    ("tags", "top"),
    [
        ({"building:height": "21"}, 21.0),
        ({"building:height": "21 m"}, 21.0),
        ({"building:height": "70 ft"}, 70 * 0.3048),
        ({"building:height": "70'"}, 70 * 0.3048),
        ({"est_height": "17"}, 17.0),
        ({"building:levels": "1,2"}, 6.0),
        ({"building:levels": "1;2"}, 6.0),
        ({"building:levels": "2,5"}, 7.5),
        ({"building:levels": "3, 4, 5"}, 15.0),
        ({"height": "12,5"}, 12.5),
        ({"height": "unknown", "building:height": "30"}, 30.0),
        ({"height": "0", "est_height": "8"}, 8.0),
        ({"height": "5", "building:height": "30"}, 5.0),
        ({"building:height": "14", "building:levels": "2"}, 14.0),
        ({"levels": "4"}, 12.0),
        ({"building:levels": "3", "building:roof:levels": "1"}, 12.0),
        ({"ele": "512"}, DEFAULT),
        ({"maxheight": "3.5"}, DEFAULT),
        ({"building:levels:underground": "2"}, DEFAULT),
        ({"height": "1,234,567"}, DEFAULT),
    ],
)
def test_a_height_is_read_alike_in_every_format(tags: dict[str, str], top: float, tmp_path: Path) -> None:
    made = house(tags)
    files = [
        write(tmp_path / "a.osm", xml(made)),
        pbf(made, tmp_path / "a.osm.pbf"),
        write(tmp_path / "a.json", overpass(made)),
        write(tmp_path / "a.geojson", in_memory(tags)),
    ]
    for file in files:
        found, ledger = top_of(read_map(file)[0].features)
        assert found == pytest.approx(top), file.name
        assert top != DEFAULT or said(ledger, "assumed", "building height of 9 m, as none is given")


def test_what_is_read_otherwise_or_not_at_all_is_said() -> None:
    def account(**tags: str) -> Ledger:
        words = {key.replace("__", ":"): value for key, value in tags.items()}
        return top_of(read_geojson_like(in_memory(words))[0].features)[1]

    assert said(account(est_height="17"), "assumed", "'est_height' of a building is read, an estimate by eye")
    assert said(account(ele="512"), "dropped", "'ele' of a building is not read")
    assert said(account(building__levels__underground="2"), "dropped", "levels:underground' of a building is not read")
    assert said(account(height="5", building__min_height="2"), "assumed", "'building:min_height' of a building is read")
    assert said(account(building__levels="1,2"), "repaired", "building:levels with several values: the largest counts")
    assert not said(account(height="5", source__height="survey"), "dropped", "height")


KEYS = st.sampled_from(
    ("height", "building:height", "est_height", "building:levels", "levels", "roof:levels", "min_height", "ele")
)
TEXTS = st.sampled_from(("3", "12.5", "12,5", "1,2", "3;4", "40'", "40 ft", "21 m", "0", "-1", "tall", "", "2, 3"))


@settings(max_examples=60)
@given(st.dictionaries(KEYS, TEXTS, max_size=4))
def test_readers_agree_whatever_is_written(tags: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        osm, _ = read_map(write(Path(folder) / "a.osm", xml(house(tags))))
    geojson, _ = read_geojson_like(in_memory(tags))
    assert top_of(osm.features)[0] == pytest.approx(top_of(geojson.features)[0])


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.sampled_from((";", "; ", ", ")))
def test_of_several_values_the_largest_counts(values: list[int], between: str) -> None:
    text = between.join(map(str, values))
    assert parse_count(text) == max(values)
    assert parse_length(text) == max(values)


@given(st.integers(1, 99), st.integers(0, 99))
def test_one_comma_is_a_point_in_lengths_and_a_list_in_storeys_unless_a_half(whole: int, part: int) -> None:
    assert parse_length(f"{whole},{part}") == pytest.approx(float(f"{whole}.{part}"))
    decimal = str(part) in ("0", "5", "00", "50", "25", "75")
    assert parse_count(f"{whole},{part}") == (float(f"{whole}.{part}") if decimal else max(whole, part))


def city(columns: dict[str, Any], count: int = 40) -> dict[str, Any]:
    """Polygons that do not say what they are, with columns of numbers."""
    features = []
    for k in range(count):
        x = 11.0 + 3e-4 * k
        ring = [[x, 48.0], [x + 2e-4, 48.0], [x + 2e-4, 48.0002], [x, 48.0002], [x, 48.0]]
        row = {name: values[k] for name, values in columns.items()}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": row, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


RNG = np.random.default_rng(3)
HIGH = np.round(RNG.lognormal(2.3, 0.6, 40), 2).tolist()
STOREYS = [max(1, round(h / 3.2)) for h in HIGH]


@pytest.mark.parametrize(
    "name",
    ["HOEHE", "hoehe_m", "Gebaeudehoehe", "Gebäudehöhe", "GEBAEUDEHO", "ALTURA", "altura_edi", "hauteur", "HGT_MAX",
     "BLDG_HT", "measuredHeight", "measuredHe", "MEASUREDHE", "BUILDING_H", "Altezza_m", "hoogte", "WYSOKOSC",
     "korkeus", "高さ", "высота", "HEIGHT", "H", "mean_height"],
)  # fmt: skip
def test_names_of_heights_in_other_languages_and_cut_to_ten_letters(name: str) -> None:
    found, ledger = read_geojson_like(city({"id": range(100, 140), name: HIGH}))
    assert [parse_length(f.tags["height"]) for f in found.features] == HIGH
    assert all(f.tags["building"] == "yes" for f in found.features)
    assert name in ("HEIGHT", "measuredHeight") or said(ledger, "assumed", f"attribute '{name}' (")


@pytest.mark.parametrize("name", ["NumFloors", "num_etages", "plantas", "NUMBEROFST", "Geschosse", "AOG", "nb_niveaux"])
def test_names_of_storeys_in_other_languages(name: str) -> None:
    found, _ = read_geojson_like(city({name: STOREYS}))
    assert [parse_count(f.tags["building:levels"]) for f in found.features] == STOREYS


def test_texts_with_decimal_commas_and_feet() -> None:
    texts = [f"{h:.2f}".replace(".", ",") for h in HIGH]
    found, _ = read_geojson_like(city({"HOEHE": texts}))
    assert [parse_length(f.tags["height"]) for f in found.features] == HIGH
    found, ledger = read_geojson_like(city({"ALTURA": [h / 0.3048 for h in HIGH], "PLANTAS": STOREYS}))
    assert [parse_length(f.tags["height"]) for f in found.features] == pytest.approx(HIGH, abs=1e-3)
    assert said(ledger, "assumed", "heights in feet: a storey would be")


def test_feet_beside_known_names() -> None:
    feet = [h / 0.3048 for h in HIGH]
    found, ledger = read_geojson_like(city({"BLDG_HT": feet, "NumFloors": STOREYS}))
    assert [parse_length(f.tags["height"]) for f in found.features] == pytest.approx(HIGH, abs=1e-3)
    assert said(ledger, "assumed", "is the height of buildings in feet")
    found, ledger = read_geojson_like(city({"height": feet, "floors": STOREYS}))
    assert [parse_length(f.tags["height"]) for f in found.features] == pytest.approx(feet)
    assert said(ledger, "assumed", "'height' in metres, though a storey would be")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("HOEHE_NN", [512 + h for h in HIGH]),
        ("HGT_MAX", [512 + h for h in HIGH]),
        ("ALTURA", list(range(40))),
        ("GROUND_HGT", HIGH),
        ("ROOF_TOP", HIGH),
        ("X17", HIGH),
    ],
)
def test_what_may_be_no_height_is_named_and_not_read(name: str, values: list[float]) -> None:
    """Heights above the sea, numbers of rows, and names that say nothing."""
    found, ledger = read_geojson_like(city({name: values}), footprints=True)
    assert not any("height" in f.tags for f in found.features)
    assert said(ledger, "dropped", f"none is known as the height of buildings: {name} (")
    assert said(ledger, "dropped", "--height-key NAME")


def test_the_key_that_a_user_names(tmp_path: Path) -> None:
    text = json.dumps(city({"ROOF_TOP": HIGH, "height": [1.0] * 40})).encode()
    file = write(tmp_path / "city.geojson", text)
    for key, unit in (("ROOF_TOP", 1.0), ("roof_top:ft", 0.3048), ("ROOF_TOP:m", 1.0)):
        found, _ = read_map(file, height_key=key)
        assert [parse_length(f.tags["height"]) for f in found.features] == pytest.approx([h * unit for h in HIGH])
    found, ledger = read_map(write(tmp_path / "a.osm", xml(house({"my:storeys": "7"}))), height_key="my:storeys:levels")
    assert top_of(found.features)[0] == 21.0
    assert said(ledger, "read", "'my:storeys' is 'building:levels' (levels), as asked")
    with pytest.raises(SiteTwinError, match=r"no building .* 'HOEHE'; .*numbers are: .*ROOF_TOP \("):
        read_map(file, footprints=True, height_key="HOEHE")
    with pytest.raises(SiteTwinError, match="key of heights is empty"):
        read_map(file, height_key=" ")


@pytest.mark.parametrize(("name", "unit"), [("HEIGHT_CM", "cm"), ("hoehe_dm", "dm"), ("Altura(mm)", "mm")])
def test_units_that_names_of_heights_end_with(name: str, unit: str) -> None:
    metre = {"dm": 10, "cm": 100, "mm": 1000}[unit]
    for wanted in (None, f"{name}:{unit}"):
        found, ledger = read_geojson_like(city({name: [h * metre for h in HIGH]}), footprints=True, height_key=wanted)
        assert [parse_length(f.tags["height"]) for f in found.features] == pytest.approx(HIGH, abs=1e-3)
        assert said(ledger, "assumed", f"height of buildings in {unit}") or wanted


@given(factor=st.floats(80.0, 1000.0), count=st.integers(5, 40))
@settings(max_examples=20, deadline=None)
def test_known_names_with_values_that_are_no_heights_are_refused(factor: float, count: int) -> None:
    """Centimetres and the like: a town of towers would be built without a word."""
    values = [factor * h for h in HIGH[:count]]
    with pytest.raises(SiteTwinError, match=r"'height' \(.* m\) cannot be heights .*--height-key height:m"):
        read_geojson_like(city({"height": values}, len(values)))
    found, _ = read_geojson_like(city({"height": values}, count), height_key="height:cm")
    assert len(found.features) == count


def test_known_names_with_heights_above_the_sea_are_refused_but_towers_are_not() -> None:
    with pytest.raises(SiteTwinError, match="cannot be heights"):
        read_geojson_like(city({"Bldg_Height": [130 + h / 3 for h in HIGH]}))
    for values in ([250.0, 310.0, 290.0], [80.0 + 7 * k for k in range(20)]):
        found, _ = read_geojson_like(city({"height": values}, len(values)))
        assert [parse_length(f.tags["height"]) for f in found.features] == values


@pytest.mark.parametrize("name", ["hoehe", "Höhe", "altura", "hauteur", "wysokość", "高さ", "num_plantas"])
def test_heights_of_openstreetmap_files_in_other_languages_are_named(name: str, tmp_path: Path) -> None:
    found, _ = read_map(write(tmp_path / "a.osm", xml(house({name: "17"}))))
    top, ledger = top_of(found.features)
    assert top == DEFAULT
    assert said(ledger, "dropped", f"--height-key {name}")
