"""The examples of CONTRIBUTING.md run, from top to bottom."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"


def test_the_examples_for_newcomers_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    names: dict[str, object] = {"__name__": "contributing"}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"CONTRIBUTING.md, block {number}", "exec"), names)
    capsys.readouterr()


def test_every_folder_of_the_package_is_in_the_table_of_tests():
    text = PAGE.read_text(encoding="utf-8")
    package = PAGE.parent / "src" / "sitetwin"
    rooms = {folder.name for folder in package.iterdir() if (folder / "__init__.py").exists()}
    named = set(re.findall(r"`([a-z]+)`", text[text.index("## Which tests") : text.index("## Rules")]))
    assert rooms - named == set()
