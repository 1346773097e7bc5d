"""A guard before the page's server: who may speak to it, and what they may set.

Any page that a browser shows can open a connection to a server on the same machine, and what one page sets is sent to
all others. So pages of other origins are turned away, and values that a menu or slider does not offer are dropped.
"""

from __future__ import annotations

import ipaddress
import math
from typing import Any
from urllib.parse import urlsplit

from viser import _messages
from viser.infra import ClientId


def is_own_page(origin: str | None, host: str, listens_on: str) -> bool:
    """Whether a connection comes from a page of the server itself, or from no page at all.

    Args:
        origin: Header "Origin" of the connection, which every browser sends; None where there is none.
        host: Header "Host": how the server was addressed.
        listens_on: Address on which the server listens.

    Returns:
        True if the two headers agree and the server was addressed by a number, as localhost, or as it was told to
        listen: a foreign name may be one that its owner turned to this machine.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        asked_by = None if origin is None else urlsplit(origin).netloc
    except ValueError:  # half a bracket, or a port that is no number
        return False
    return (name in ("localhost", listens_on) or _is_number(name)) and asked_by in (None, host)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def offers(handle: Any, updates: dict[str, Any]) -> bool:
    """Whether a menu or slider offers what a page sets; of other inputs there are none."""
    if set(updates) != {"value"}:
        return False
    value = updates["value"]
    if hasattr(handle, "options"):
        return value in handle.options
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return False
    if not hasattr(handle, "min") or not handle.min <= value <= handle.max:
        return False
    return not isinstance(handle.step, int) or value == int(value)


def guard(server: Any) -> None:
    """Put the guard before a `viser.ViserServer`, which has no way of its own to do so."""
    sockets, panel = server._websock_server, server.gui
    listens_on = server.get_host()

    async def turn_strangers_away(connection: Any) -> None:
        live = sockets._live_connections[connection.client_id]
        headers = live.request.headers
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        once = len(hosts) == 1 and len(origins) <= 1  # twice, and each reader may believe another one
        if not (once and is_own_page(origins[0] if origins else None, hosts[0], listens_on)):
            await live.close(1008, "another page")

    async def pass_what_is_offered(client: ClientId, message: _messages.GuiUpdateMessage) -> None:
        handle = panel._gui_input_handle_from_uuid.get(message.uuid)
        if handle is not None and offers(handle, message.updates):
            await panel._handle_gui_updates(client, message)

    sockets._client_connect_cb.insert(0, turn_strangers_away)  # before any other hears of the connection
    sockets.unregister_handler(_messages.GuiUpdateMessage)
    sockets.register_handler(_messages.GuiUpdateMessage, pass_what_is_offered)
