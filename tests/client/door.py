"""A door before a service, made of real sockets: shut, slow to open, or narrow."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_PIECE = 32 * 1024


class Door:
    """A port before a service's, which can be shut, and opened so that it hesitates.

    Args:
        behind: the service's port.
        pause: seconds after each piece of what the service says, which then piles up on its side.
    """

    def __init__(self, behind, *, pause=0.0):
        self._behind = behind
        self._pause = pause
        self._streams = []
        self.port = 0
        self.open()

    def open(self, hesitation=0.0):
        """Take connections, and pass them on after so many seconds."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        _start(self._welcome, self._listener, hesitation)

    def shut(self):
        """End all connections and take no more."""
        for stream in (self._listener, *self._streams):
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()
        self._streams.clear()

    close = shut

    def _welcome(self, listener, hesitation):
        with suppress(OSError):
            while True:
                outside, _ = listener.accept()
                time.sleep(hesitation)
                inside = socket.socket()
                if self._pause:
                    inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
                inside.connect(("127.0.0.1", self._behind))
                self._streams += (outside, inside)
                _start(_copy, outside, inside, 0.0)
                _start(_copy, inside, outside, self._pause)


def _start(run, *args):
    threading.Thread(target=run, args=args, daemon=True).start()


def _copy(source, sink, pause):
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
            time.sleep(pause)
        sink.shutdown(socket.SHUT_RDWR)
