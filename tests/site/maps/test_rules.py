"""Material rules: the table, its presets, and tables that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.rules import PRESETS, MaterialRules, Rule, load_rules, parse_rules
from sitetwin.site.materials import Material

RULES = MaterialRules.default()


@pytest.mark.parametrize(
    ("tags", "wall", "roof"),
    [
        ({"building": "yes"}, "concrete", "concrete"),
        ({"building": "house"}, "brick", "concrete"),
        ({"building": "house", "building:material": "timber_framing"}, "wood", "concrete"),
        ({"building": "yes", "building:material": "Brick;glass"}, "brick", "concrete"),
        ({"building": "warehouse", "roof:material": "tar_paper"}, "metal", "concrete"),
        ({"building": "yes", "roof:shape": "gabled"}, "concrete", "roof_tiles"),
        ({"building": "greenhouse"}, "glass", "glass"),
        ({"building": "yes", "building:material": "marzipan"}, "concrete", "concrete"),
    ],
)
def test_buildings(tags: dict[str, str], wall: str, roof: str) -> None:
    assert RULES.wall(tags) == wall
    assert RULES.roof(tags) == roof


@pytest.mark.parametrize(
    ("tags", "material"),
    [
        ({"highway": "primary"}, "asphalt"),
        ({"highway": "primary", "surface": "sett"}, "paving"),
        ({"highway": "footway"}, "paving"),
        ({"natural": "water"}, "water"),
        ({"natural": "water", "salt": "yes"}, "sea_water"),
        ({"waterway": "river"}, "water"),
        ({"landuse": "grass"}, "grass"),
        ({"leisure": "park"}, "grass"),
        ({"landuse": "residential"}, None),
        ({"building": "yes"}, None),
    ],
)
def test_ground(tags: dict[str, str], material: str | None) -> None:
    assert RULES.ground(tags) == material


def test_ground_is_a_half_space_and_walls_are_slabs() -> None:
    ground = {rule.material for rule in RULES.rules if rule.target == "ground"} | {RULES.base_ground}
    assert all(RULES.materials[name].thickness is None for name in ground)
    built = {rule.material for rule in RULES.rules if rule.target != "ground"}
    ledger = Ledger()
    RULES.note_assumptions(ledger, sorted(built | ground))
    assert {e.examples[0] for e in ledger.entries} == built | {"concrete"}
    # every ground is specified at every band in use; the grounds of P.2040 would end at 10 GHz
    for name in ground:
        for frequency in (3.5e9, 28e9):
            RULES.materials[name].evaluate(frequency, "error")


@pytest.mark.parametrize(
    ("name", "wall", "roof"), [("mc1", "marble", "metal"), ("mc2", "marble", "wood"), ("mc3", "brick", "wood")]
)
def test_the_material_choices_of_the_paper(name: str, wall: str, roof: str) -> None:
    rules = load_rules(name)
    tags = {"building": "house", "building:material": "glass", "roof:material": "tin"}
    assert rules.materials[rules.wall(tags)].itu == wall
    assert rules.materials[rules.roof(tags)].itu == roof
    assert rules.materials[rules.base_ground] == Material("concrete", itu="concrete")
    assert rules.ground({"highway": "primary"}) is None  # ground plane and roads alike


def same(one: MaterialRules, other: MaterialRules) -> bool:
    return (one.base, one.materials, one.rules) == (other.base, other.materials, other.rules)


@pytest.mark.parametrize("name", PRESETS)
def test_written_and_read(name: str, tmp_path: Path) -> None:
    rules = load_rules(name)
    path = tmp_path / "mine.toml"
    path.write_text(rules.to_toml(), encoding="utf-8")
    again = load_rules(path)
    assert same(again, rules)
    assert again.name == "mine.toml"


words = st.text(min_size=1, max_size=12)
constants = st.tuples(st.floats(1, 100), st.floats(0, 1e7), st.one_of(st.none(), st.floats(1e-3, 5)))
rows = st.tuples(st.sampled_from(("wall", "roof", "ground")), words, st.lists(words, min_size=1, max_size=3))


@settings(max_examples=60)
@given(st.dictionaries(words, constants, min_size=1, max_size=4), st.lists(rows, max_size=4))
def test_any_table_survives_the_file(named, drawn) -> None:
    table = {
        name: Material(name, relative_permittivity=eps, conductivity=sigma, thickness=thickness)
        for name, (eps, sigma, thickness) in named.items()
    }
    first, last = min(table), max(table)
    rules = MaterialRules(
        "any",
        {"wall": first, "roof": last, "ground": first},
        table,
        tuple(Rule(target, key, tuple(v.lower() for v in values), last) for target, key, values in drawn),
    )
    assert same(parse_rules(rules.to_toml(), "again"), rules)


BASE = '[base]\nwall = "a"\nroof = "a"\nground = "a"\n[materials]\na = { itu = "concrete" }\n'
GOOD_RULE = '[[rule]]\ntarget = "wall"\nkey = "k"\nvalues = ["v"]\nmaterial = "a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = ", "no TOML"),
        ("", "lack a base for wall"),
        (BASE + "[extra]\n", "'extra' is no key"),
        (BASE.replace("roof", "rooof"), "lack a base for roof|'rooof' is no target"),
        (BASE.replace('wall = "a"', 'wall = "b"'), "no material 'b'"),
        (BASE.replace('wall = "a"', "wall = 3"), "a text in quotes"),
        (BASE.replace("concrete", "concrte"), "did you mean concrete"),
        (BASE.replace("itu", "itus"), "'itus' is no key; did you mean 'itu'"),
        (BASE.replace("}", ", thickness = true }"), "thickness must be a number"),
        (BASE.replace("}", ", thickness = -1 }"), "thickness = -1"),
        (BASE.replace("}", ", thickness = nan }"), "thickness = nan"),
        (BASE + GOOD_RULE.replace("[[rule]]", "[rule]"), r"under \[\[rule\]\]"),
        (BASE + GOOD_RULE.replace('"wall"', '"door"'), "'door' is no target"),
        (BASE + GOOD_RULE.replace('material = "a"', 'material = "aa"'), "rule 1 .*no material 'aa'; did you mean 'a'"),
        (BASE + GOOD_RULE.replace("values", "vlaues"), "did you mean 'values'"),
        (BASE + GOOD_RULE.replace('["v"]', '"v"'), "list of texts"),
        (BASE + GOOD_RULE.replace('key = "k"\n', ""), "lacks 'key'"),
    ],
)
def test_wrong_tables_get_a_sentence(text: str, message: str) -> None:
    with pytest.raises(SiteTwinError, match=message):
        parse_rules(text, "mine.toml")


@settings(max_examples=80)
@given(st.binary(max_size=60))
def test_any_file_is_read_or_refused(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("rules") / "x.toml"
    path.write_bytes(data)
    with pytest.raises(SiteTwinError):
        load_rules(path)


@pytest.mark.parametrize("name", ["mc4", "x" * 300])
def test_no_such_file(name: str) -> None:
    with pytest.raises(SiteTwinError, match="neither a file nor one of"):
        load_rules(name)
