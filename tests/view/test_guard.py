"""Who may speak to the page's server, and what they may set."""

from __future__ import annotations

import math
import time
from collections import deque
from types import SimpleNamespace

import msgspec
import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from sitetwin.site import load_scene
from sitetwin.view.guard import is_own_page, offers
from sitetwin.view.server import Viewer, ViewSettings
from sitetwin.view.sources import World

SLIDER = SimpleNamespace(min=1, max=3, step=1)
SIZE = SimpleNamespace(min=0.1, max=10.0, step=0.1)
MENU = SimpleNamespace(options=("paths", "hidden"))


@pytest.fixture(scope="module")
def viewer():
    worlds = [World(name, load_scene("simple_reflector"), ()) for name in ("one", "two")]
    viewer = Viewer(worlds, ViewSettings(3.5e9), port=0)
    yield viewer
    viewer.stop()


def speak(viewer, origin, host=None):
    """Connect as a page of some origin; the headers that a browser would send."""
    port = viewer._server.get_port()
    protocol = [Subprotocol(f"viser-v{viser.__version__}")]
    headers = {} if host is None else {"Host": host}
    return connect(
        f"ws://127.0.0.1:{port}", origin=None if origin is None else Origin(origin.format(port=port)),
        subprotocols=protocol, additional_headers=headers, max_size=None, close_timeout=1,
    )  # fmt: skip


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:1", "null", "http://localhost:{port}"])
def test_pages_of_other_origins_are_turned_away(viewer, origin):
    with speak(viewer, origin) as page, pytest.raises(ConnectionClosed, match="1008"):
        deque(iter(lambda: page.recv(timeout=10), None), maxlen=0)  # until it is closed


def test_a_connection_with_two_hosts_is_turned_away(viewer):
    with speak(viewer, None, host="rebound.example") as page, pytest.raises(ConnectionClosed, match="1008"):
        deque(iter(lambda: page.recv(timeout=10), None), maxlen=0)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}"])
def test_the_own_page_sees_the_scene(viewer, origin):
    with speak(viewer, origin) as page:
        assert page.recv(timeout=10)


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        (None, "localhost:8080", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:9", "localhost:8080", False),
        ("http://192.168.3.4:8080", "192.168.3.4:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://rebound.example:8080", "rebound.example:8080", False),
        ("http://lab.example:8080", "lab.example:8080", True),
        (None, "", False),
        (None, "[", False),
        ("http://[", "localhost:8080", False),
        ("http://localhost:8080.example", "localhost:8080", False),
        ("http://localhost:8080@example.org", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("", "localhost:8080", False),
        (None, "2130706433:8080", False),  # no number of a browser's, so a name
        (None, "localhost.example", False),
        (None, "127.0.0.1.example:8080", False),
    ],
)
def test_own_pages(origin, host, own):
    assert is_own_page(origin, host, "lab.example") is own


@given(st.one_of(st.floats(), st.integers(), st.text(), st.booleans(), st.none(), st.lists(st.floats(), max_size=2)))
def test_only_what_is_offered_can_be_set(value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    assert offers(SLIDER, {"value": value}) == (number and value in (1, 2, 3))
    assert offers(SIZE, {"value": value}) == (number and not math.isnan(value) and 0.1 <= value <= 10)
    assert offers(MENU, {"value": value}) == (value in ("paths", "hidden"))
    for handle in (SLIDER, SIZE, MENU):
        assert not offers(handle, {"visible": value})
        assert not offers(handle, {"value": value, "options": ()})


def test_a_value_that_no_slider_offers_changes_nothing(viewer):
    handle = viewer._variant_slider._handle
    with speak(viewer, None) as page:
        for value in (99, -1, 1.5, 2):
            message = {"type": "GuiUpdateMessage", "uuid": handle._impl.uuid, "updates": {"value": value}}
            page.send(msgspec.msgpack.encode(message))
            deadline = time.monotonic() + (10 if value == 2 else 0.3)
            while handle.value != value and time.monotonic() < deadline:
                time.sleep(0.02)
            assert handle.value == (2 if value == 2 else 1)
