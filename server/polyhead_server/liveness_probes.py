"""Liveness and readiness over HTTP, beside the metrics: /livez, /readyz and /readyz/HEAD."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_LIVE = "/livez"
_READY = "/readyz"


class Probes:
    """What the probes answer. Until `watch` a process is alive and not ready."""

    def __init__(self) -> None:
        self._alive: Callable[[], bool] = lambda: True
        self._ready: Callable[[str], bool | None] = lambda _: False

    def watch(self, alive: Callable[[], bool], ready: Callable[[str], bool | None]) -> None:
        """Answer by these, which are called from threads.

        Args:
            alive: whether the process can answer calls at all.
            ready: whether calls are taken for a head, or for all where it is empty; None where
                it is known that there is no such head.
        """
        self._alive = alive
        self._ready = ready

    def before(self, app: WSGIApplication) -> WSGIApplication:
        """An application that answers probes, and leaves all else to another one."""

        def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            status = self._status(str(environment.get("PATH_INFO", "")))
            if status is None:
                return app(environment, start)
            body = status.partition(" ")[2].lower().encode() + b"\n"
            start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]

        return answer

    def _status(self, path: str) -> str | None:
        if path == _LIVE:
            return _of(self._alive())
        if path == _READY:
            return _of(self._ready(""))
        head = path.removeprefix(f"{_READY}/")
        return _of(self._ready(head)) if head and head != path else None


def _of(good: bool | None) -> str:  # noqa: FBT001 - three states
    if good is None:
        return "404 Not Found"
    return "200 OK" if good else "503 Service Unavailable"
