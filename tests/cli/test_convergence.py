"""`sitetwin convergence`: a table and figures of what more rays find."""

import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_convergence_writes_a_table_and_a_figure(run, tmp_path):
    where = ("simple_street_canyon", "--tx", "-33,0,32", "--area=-40,-8,40,8", "--spacing", "8", "--depth", "1")
    files = [tmp_path / "new" / "c.csv", tmp_path / "new" / "c.png"]
    result = run("convergence", *where, "--lattices", "6", "--rays", "5000", "--out", files[0], "--out", files[1])
    assert result.exit_code == 0, result.stderr
    assert files[0].read_text().startswith("lattices,rays,chains,paths,missed_pairs,")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "missed power under 0.0005" in result.stdout
    refused = run("convergence", *where, "--out", tmp_path / "c.pdf")
    assert refused.exit_code == 1
    assert ".csv, .png, .svg" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unseen", "0"), "--unseen is 0.0; it is a share between 0 and 1"),
        (("--unseen-power", "nan"), "--unseen-power is nan; it is a share between 0 and 1"),
        (("--carrier", "1e5"), "; give a number from 1e+06 to 1e+12 hertz"),
        (("--spacing", "inf"), "--spacing is inf; give a positive number of metres"),
        (("--area", "9,0,0,9"), "--area 9,0,0,9 is empty"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, words, said):
    options = {"--tx": "0,0,9", "--area": "0,0,9,9", **dict([words])}
    result = run("convergence", "munich", *(word for pair in options.items() for word in pair))
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
