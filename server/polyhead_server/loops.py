"""The event loop that the server runs on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Makes uvloop's event loops; None, for asyncio's own, where there is no uvloop."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not to be had on every system

        return uvloop.new_event_loop
    return None
