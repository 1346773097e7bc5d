"""Choose materials of walls, roofs and the ground by tags, with a small table of rules that users can edit."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.site.assumed import What
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import Material
from sitetwin.untrusted import LARGEST_TOML, parse_toml, read_text

TARGETS = ("wall", "roof", "ground")

PRESETS = ("default", "mc1", "mc2", "mc3")
"""Tables by name. "mc1" to "mc3" are the material choices of Haider et al., Table II: concrete for the ground plane and
roads throughout, and marble, marble, brick for walls with metal, wood, wood for roofs."""

_CHOICES = {"mc1": ("marble", "metal"), "mc2": ("marble", "wood"), "mc3": ("brick", "wood")}
_CHOICE_THICKNESS = 0.1  # metres: the paper names none; that of Sionna RT, which it uses
_MATERIAL_KEYS = {f.name for f in fields(Material)} - {"name"}


@dataclass(frozen=True)
class Rule:
    """A rule that chooses a material by one tag.

    Attributes:
        target: "wall", "roof" or "ground".
        key: Key of the tag.
        values: Values in lower case; "*" stands for every value except "no".
        material: Name of the material.
    """

    target: str
    key: str
    values: tuple[str, ...]
    material: str

    def fits(self, tags: Mapping[str, str]) -> bool:
        """Return whether the tags have the key with one of the values."""
        if self.key not in tags:
            return False
        parts = [part.strip().lower() for part in tags[self.key].split(";")]
        return any(part in self.values for part in parts) or ("*" in self.values and parts != ["no"])


@dataclass(frozen=True)
class MaterialRules:
    """A table of rules; the first rule that fits decides.

    Attributes:
        name: Name of the preset or file that the table came from.
        base: Materials of "wall", "roof" and "ground" where no rule fits.
        materials: The materials by name.
        rules: The rules in the order in which they are tried.

    Raises:
        SiteTwinError: A rule or a base names a material that the table lacks, or a target is missing or unknown.
    """

    name: str
    base: Mapping[str, str]
    materials: Mapping[str, Material]
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for target in TARGETS:
            if target not in self.base:
                raise SiteTwinError(f"the material rules '{self.name}' lack a base for {target}; add it to [base]")
        for target, material in self.base.items():
            _check_target(self.name, "[base]", target)
            self._check_material(f"[base] {target}", material)
        for number, rule in enumerate(self.rules, start=1):
            _check_target(self.name, f"rule {number}", rule.target)
            self._check_material(f"rule {number} ({rule.key})", rule.material)

    def _check_material(self, where: str, material: str) -> None:
        if material in self.materials:
            return
        close = difflib.get_close_matches(material, self.materials, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(self.materials) or 'none'}"
        raise SiteTwinError(f"the material rules '{self.name}', {where}: there is no material '{material}'; {hint}")

    @classmethod
    def default(cls) -> MaterialRules:
        """Return the default table of sitetwin."""
        text = files("sitetwin.site.maps").joinpath("rules_default.toml").read_text(encoding="utf-8")
        return parse_rules(text, "default")

    @classmethod
    def preset(cls, name: str) -> MaterialRules:
        """Return a table by its name, one of `PRESETS`.

        Raises:
            SiteTwinError: There is no table of that name.
        """
        if name == "default":
            return cls.default()
        if name not in _CHOICES:
            raise SiteTwinError(f"there are no material rules '{name}'; choose {', '.join(PRESETS)} or give a file")
        wall, roof = _CHOICES[name]
        walls = {m: Material(m, itu=m, thickness=_CHOICE_THICKNESS) for m in (wall, roof)}
        return cls(
            name=name,
            base={"wall": wall, "roof": roof, "ground": "concrete"},
            materials={**walls, "concrete": Material("concrete", itu="concrete")},
        )

    @property
    def base_ground(self) -> str:
        """Name of the material of ground for which no rule fits."""
        return self.base["ground"]

    def wall(self, tags: Mapping[str, str]) -> str:
        """Return the name of the material of a building's walls."""
        return self._first("wall", tags) or self.base["wall"]

    def roof(self, tags: Mapping[str, str]) -> str:
        """Return the name of the material of a building's roof."""
        return self._first("roof", tags) or self.base["roof"]

    def ground(self, tags: Mapping[str, str]) -> str | None:
        """Return the name of the material of a piece of ground, or None if the tags do not describe ground."""
        return self._first("ground", tags)

    def _first(self, target: str, tags: Mapping[str, str]) -> str | None:
        return next((rule.material for rule in self.rules if rule.target == target and rule.fits(tags)), None)

    def note_assumptions(self, ledger: Ledger, used: Iterable[str]) -> None:
        """Record the assumed thickness of every slab that is used.

        Args:
            ledger: The account of the import.
            used: Names of the materials of the surfaces, one per surface.
        """
        for name in used:
            thickness = self.materials[name].thickness
            if thickness is not None:
                ledger.note("assumed", f"material '{name}': {thickness:g} m thick", name)

    def assumed(self, used: Iterable[str], grounds: Iterable[str]) -> Iterator[tuple[Material, What]]:
        """Yield what a built-in table assumes of the materials that are used; a user's own table says what things are.

        Args:
            used: Names of the materials of all surfaces.
            grounds: Those of the surfaces of ground.
        """
        if self.name not in PRESETS:
            return
        for name in dict.fromkeys(used):
            if self.materials[name].thickness is not None:
                yield self.materials[name], "thickness"
        if self.base_ground in set(grounds):
            yield self.materials[self.base_ground], "ground"

    def to_toml(self) -> str:
        """Return the table as TOML text, which `load_rules` reads."""
        lines = ["[base]", *(f"{key} = {_quoted(self.base[key])}" for key in TARGETS), "", "[materials]"]
        for name, material in self.materials.items():
            values = {k: v for k, v in material.to_dict().items() if k != "name" and v != _DEFAULTS[k]}
            body = ", ".join(f"{k} = {_quoted(v) if isinstance(v, str) else repr(v)}" for k, v in values.items())
            lines.append(f"{_quoted(name)} = {{ {body} }}")
        for rule in self.rules:
            lines += ["", "[[rule]]", f"target = {_quoted(rule.target)}", f"key = {_quoted(rule.key)}"]
            lines.append(f"values = [{', '.join(map(_quoted, rule.values))}]")
            lines.append(f"material = {_quoted(rule.material)}")
        return "\n".join(lines) + "\n"


_DEFAULTS = {f.name: f.default for f in fields(Material)}


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, which wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def load_rules(source: str | Path) -> MaterialRules:
    """Load material rules by the name of a preset, or from a TOML file.

    Args:
        source: One of `PRESETS`, or a path.

    Raises:
        SiteTwinError: There is no such preset or file, or `parse_rules` refuses the table.
    """
    if str(source) in PRESETS:
        return MaterialRules.preset(str(source))
    path = Path(source)
    if not os.path.isfile(path):  # False also for a name that is too long
        raise SiteTwinError(
            f"'{source}' is neither a file nor one of the material rules {', '.join(PRESETS)}; check the path"
        )
    return parse_rules(read_text(path, f"the table of material rules '{path}'", LARGEST_TOML), path.name)


def parse_rules(text: str, name: str) -> MaterialRules:
    """Parse material rules from the text of a TOML table; the default table is an example.

    Args:
        text: The TOML text.
        name: Name of the rules, for messages.

    Raises:
        SiteTwinError: The text is not TOML, has an unknown key, lacks a key, or names a material that it does not
            define.
    """
    table = parse_toml(text.encode("utf-8", "surrogatepass"), f"the table of material rules '{name}'", "mend the line")
    _only(table, {"base", "materials", "rule"}, name, "the table")
    base = _mapping(table.get("base", {}), name, "[base]")
    materials = {
        key: _material(key, _mapping(value, name, f"[materials] {key}"), name)
        for key, value in _mapping(table.get("materials", {}), name, "[materials]").items()
    }
    rules = table.get("rule", [])
    if not isinstance(rules, list):
        raise SiteTwinError(f"the material rules '{name}': write each rule under [[rule]], not [rule]")
    return MaterialRules(
        name=name,
        base={key: _text(value, name, f"[base] {key}") for key, value in base.items()},
        materials=materials,
        rules=tuple(_rule(value, name, f"rule {number}") for number, value in enumerate(rules, start=1)),
    )


def _only(table: Mapping[str, Any], known: set[str], name: str, where: str) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(sorted(known))}"
            raise SiteTwinError(f"the material rules '{name}', {where}: '{key[:40]}' is no key; {hint}")


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SiteTwinError(f"the material rules '{name}', {where}: give a table of keys and values")
    return value


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SiteTwinError(f"the material rules '{name}', {where}: give a text in quotes")
    return value


def _check_target(name: str, where: str, target: str) -> None:
    if target not in TARGETS:
        raise SiteTwinError(
            f"the material rules '{name}', {where}: '{target[:40]}' is no target; choose {', '.join(TARGETS)}"
        )


def _material(key: str, values: dict[str, Any], name: str) -> Material:
    where = f"[materials] {key}"
    _only(values, _MATERIAL_KEYS, name, where)
    for attribute, value in values.items():
        expected: tuple[type, ...] = (str,) if attribute in ("itu", "scattering_pattern") else (int, float)
        if isinstance(value, bool) or not isinstance(value, expected):
            kind = "a text in quotes" if str in expected else "a number"
            raise SiteTwinError(f"the material rules '{name}', {where}: {attribute} must be {kind}")
    try:
        return Material(key, **values)
    except SiteTwinError as error:
        raise SiteTwinError(f"the material rules '{name}', {where}: {error}") from error


def _rule(value: Any, name: str, where: str) -> Rule:
    entry = _mapping(value, name, where)
    _only(entry, {"target", "key", "values", "material"}, name, where)
    for key in ("target", "key", "values", "material"):
        if key not in entry:
            raise SiteTwinError(f"the material rules '{name}', {where}: it lacks '{key}'")
    values = entry["values"]
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
        raise SiteTwinError(
            f"the material rules '{name}', {where}: values must be a list of texts, such as [\"brick\"]"
        )
    return Rule(
        target=_text(entry["target"], name, where),
        key=_text(entry["key"], name, where),
        values=tuple(v.lower() for v in values),
        material=_text(entry["material"], name, where),
    )
