"""A slow line between a client and a server, made of real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_PIECE = 32 * 1024


class SlowLink:
    """Takes connections, and passes on at once what clients say, and slowly what they are told.

    Args:
        address: of the server.
        pause: seconds after each piece of 32 KiB.
    """

    def __init__(self, address: str, *, pause: float) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._pause = pause
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        self._sockets = [self._door]
        self._threads: list[threading.Thread] = []
        self._run(self._take)

    def _run(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket()
                # What the server writes piles up on its side, as with a line of little room.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
                server.connect(self._server)
                self._sockets += [client, server]
                self._run(self._pass_on, client, server, 0.0)
                self._run(self._pass_on, server, client, self._pause)

    def _pass_on(self, source: socket.socket, sink: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                sink.sendall(piece)
                time.sleep(pause)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(20)
