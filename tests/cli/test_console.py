"""Stage lines in logs that no terminal shows."""

from sitetwin.cli.console import StageLines


def test_stages_are_lines_with_their_times():
    now, lines = [0.0], []
    news = StageLines(lines.append, every=30.0, clock=lambda: now[0])
    for seconds, share in ((0, 0.0), (10, 0.1), (31, 0.25), (40, 0.3), (62, 0.5), (90, 1.0), (91, 1.0)):
        now[0] = seconds
        news.tell("solve", share)
    assert lines == ["solve: 0%", "solve: 25% after 31 s", "solve: 50% after 62 s", "solve: 100% after 90.0 s"]
