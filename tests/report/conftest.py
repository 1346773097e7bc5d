"""One study folder and its report, made once for all tests of this folder that only look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sitetwin.report import write_report
from tests.report.made_up import make_study


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A study folder with its report, and its results."""
    folder = tmp_path_factory.mktemp("study")
    results = make_study(folder)
    write_report(folder)
    return folder, results
