"""What the documentation says: its code runs, its links lead somewhere, and it names every room of the package."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

from sitetwin.version import __version__

ROOT = Path(__file__).resolve().parent.parent
DOCS, SOURCE, EXAMPLES = ROOT / "docs", ROOT / "src", ROOT / "examples"
BUILT = ("gallery/", "generated/", ".svg")  # `make docs` makes these
# What these offer beyond the rooms in the reference is for other rooms.
INNER = {"sitetwin.channel.numerics", "sitetwin.site.importers", "sitetwin.site.variants", "sitetwin.untrusted"}


@pytest.mark.parametrize(
    "page",
    [
        "how-to/reevaluate.md",
        "how-to/link.md",
        "how-to/calibrate.md",
        "how-to/codec.md",
        "how-to/beams.md",
        "reference/site-formats.md",
    ],
)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    capsys.readouterr()


def _pages():
    return [path for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if not any(part in str(path) for part in BUILT)]


@pytest.mark.parametrize("page", _pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)\s#]+)", text) if not link.startswith(("http", "mailto"))]
    missing = [link for link in links if not any(part in link for part in BUILT) and not (page.parent / link).exists()]
    assert missing == []


def test_every_page_of_the_messages_exists():
    for file in SOURCE.rglob("*.py"):
        for page in re.findall(r"docs/[a-z/-]+\.md", file.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{file.name} names {page}"


def _public_names():
    """What each package lists in `__all__`."""
    names = {}
    for file in SOURCE.rglob("__init__.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names[".".join(file.parent.relative_to(SOURCE).parts)] = set(ast.literal_eval(node.value))
    return names


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^   (sitetwin[.a-z_]*)$", (DOCS / "reference/api/index.md").read_text(), re.MULTILINE)
    names = _public_names()
    offered = set().union(*(names[room] for room in listed))
    missing = {room: sorted(own - offered) for room, own in names.items() if not own <= offered and room not in INNER}
    assert missing == {}


def _modules_with_doctests():
    return [
        ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted(SOURCE.rglob("*.py"))
        if ">>> " in file.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("module", _modules_with_doctests())
def test_examples_in_docstrings_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(module), optionflags=options).failed == 0


def test_every_example_has_its_place_in_the_gallery():
    written = {file.name for file in EXAMPLES.glob("*.py")}
    ordered = set(re.findall(r'"(plot_[a-z_]+\.py)"', (DOCS / "conf.py").read_text(encoding="utf-8")))
    assert written == ordered


def test_the_citation_names_this_version():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
