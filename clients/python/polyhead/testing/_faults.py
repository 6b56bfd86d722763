"""What a test tells the service to do: fail, wait, remember."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyhead.testing._answers import Rejection


@dataclass(frozen=True, slots=True)
class Fault:
    """One call to fail: with what, of which method, after how many answers of a stream."""

    rejection: Rejection
    method: str | None
    after: int = 0

    def concerns(self, method: str) -> bool:
        """Whether the next call of a method meets this fault."""
        return method == self.method or (self.method is None and method != "ListTasks")


class Faults:
    """Faults in the order in which they were asked for. Safe between threads."""

    def __init__(self) -> None:
        self._calls: deque[Fault] = deque()
        self._items: deque[Rejection] = deque()
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Ask for one more failing call."""
        with self._lock:
            self._calls.append(fault)

    def add_item(self, rejection: Rejection) -> None:
        """Ask for one more failing item."""
        with self._lock:
            self._items.append(rejection)

    def take(self, method: str) -> Fault | None:
        """Give the fault that a call of this method meets, if any."""
        with self._lock:
            for fault in self._calls:
                if fault.concerns(method):
                    self._calls.remove(fault)
                    return fault
        return None

    def take_item(self) -> Rejection | None:
        """Give the status that the next item meets, if any."""
        with self._lock:
            return self._items.popleft() if self._items else None


class Gate:
    """Holds calls while it is closed. Safe between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._held = 0

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Close it, and open it on leaving."""
        self._set(closed=True)
        try:
            yield
        finally:
            self._set(closed=False)

    def pass_through(self, is_active: Callable[[], bool]) -> None:
        """Wait while it is closed and the call lives."""
        with self._changed:
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._closed or not is_active())
            self._held -= 1
            self._changed.notify_all()

    def wait_held(self, count: int, timeout: float) -> None:
        """Wait until that many calls are held."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held == count, timeout):
                raise TimeoutError(f"{self._held} calls are held, not {count}")

    def stir(self) -> None:
        """Let every held call look again whether it lives."""
        with self._changed:
            self._changed.notify_all()

    def _set(self, *, closed: bool) -> None:
        with self._changed:
            self._closed = closed
            self._changed.notify_all()
