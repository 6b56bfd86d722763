"""The worker's end of the socket between it and its supervisor.

Lines of JSON go either way. The supervisor sends its orders first, later the numbers of snapshots
that it wants, and what to do for a rollout, with a `number`. The worker sends objects with `ready`,
`failed`, `snapshot` and `number`, or `done` and `number`. That the socket ends is how a worker
learns that its supervisor is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from polyhead_server.workers.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

_ORPHANED = 1


class Lifeline:
    """Talks to the supervisor. May be used from any thread.

    Args:
        descriptor: file descriptor of the socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._lines = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._done = threading.Event()

    def orders(self) -> dict[str, Any]:
        """What the supervisor says first."""
        said: dict[str, Any] = json.loads(self._lines.readline())
        return said

    def tell(self, **said: object) -> None:
        """Send one object; nothing happens where nobody is there to read it."""
        line = json.dumps(said).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(line)

    def answer(
        self,
        registry: CollectorRegistry,
        on_order: Callable[[dict[str, Any]], object],
        on_lost: Callable[[], object],
        patience: float,
    ) -> None:
        """Begin to send snapshots when asked, in a thread of its own, whatever else is busy.

        Args:
            registry: what to take them of.
            on_order: called with every order.
            on_lost: called when the supervisor is gone.
            patience: seconds after that until the process ends, finished or not.
        """
        arguments = (registry, on_order, on_lost, patience)
        threading.Thread(target=self._answer, args=arguments, daemon=True).start()

    def end(self) -> None:
        """Say that the work is done, so that nothing is awaited any more."""
        self._done.set()

    def _answer(
        self,
        registry: CollectorRegistry,
        on_order: Callable[[dict[str, Any]], object],
        on_lost: Callable[[], object],
        patience: float,
    ) -> None:
        with contextlib.suppress(OSError):
            while line := self._lines.readline():
                said = json.loads(line)
                if isinstance(said, int):
                    self.tell(snapshot=take(registry), number=said)
                else:
                    on_order(said)
        with contextlib.suppress(RuntimeError):  # the event loop may have ended meanwhile
            on_lost()
        if not self._done.wait(patience):
            os._exit(_ORPHANED)
