"""The house as a whole: no circle of imports, files and functions of a size that can be read."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sitetwin"
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 450, 80


@pytest.fixture(scope="module")
def imports():
    """For each module those that it imports, inside functions too."""
    graph = grimp.build_graph("sitetwin", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) - {module} for module in graph.modules}


def test_no_modules_import_each_other_in_a_circle(imports):
    # The linter compares neighbours in a folder; a folder's own `__init__` is no neighbour, but part of circles too.
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_module_imports_a_room_that_holds_it(imports):
    # The package itself may be imported by what stands above its face; the linter watches the floors.
    upwards = [
        (module, other)
        for module, others in imports.items()
        for other in others - {"sitetwin"}
        if module.startswith(f"{other}.")
    ]
    assert upwards == []


def test_files_are_about_one_idea():
    lines = {str(file.relative_to(SOURCE)): file.read_text().count("\n") for file in SOURCE.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count >= LINES_OF_A_FILE} == {}


def test_functions_are_read_without_scrolling():
    long = {
        f"{file.relative_to(SOURCE)}:{node.lineno} {node.name}": lines
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := node.end_lineno - node.lineno + 1) > LINES_OF_A_FUNCTION
    }
    assert long == {}
