"""The queue between the event loop, which fills it, and the engine's thread, which empties it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic

from polyhead_server.schedule import Entry, Item, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.schedule import Call, Policy


class Waiting(Generic[Item, Output]):
    """Entries that wait for the engine, and how many tokens of them are alive. Thread-safe.

    Args:
        policy: picks the entries of a batch.
        batch_tokens: tokens in one batch.
    """

    def __init__(self, policy: Policy, batch_tokens: int) -> None:
        self._policy = policy
        self._batch_tokens = batch_tokens
        self._changed = threading.Condition()
        self._entries: deque[Entry[Item, Output]] = deque()
        self._tokens = 0
        self._closed = False

    @property
    def items(self) -> int:
        """Items that wait, some perhaps dead."""
        return len(self._entries)

    @property
    def tokens(self) -> int:
        """Tokens of the living items that wait."""
        return self._tokens

    def add(self, call: Call[Output], items: Sequence[Item]) -> None:
        """Let a call's items wait, and wake the engine."""
        entries = [Entry(call, index, item, item.tokens) for index, item in enumerate(items)]
        with self._changed:
            call.waiting_tokens = call.tokens
            self._tokens += call.tokens
            self._entries.extend(entries)
            self._changed.notify()

    def release(self, call: Call[Output]) -> None:
        """Take a dead call's items out of the count; they are dropped when a batch is cut."""
        with self._changed:
            self._tokens -= call.waiting_tokens
            call.waiting_tokens = 0
            # Each living item has a token, so anything beyond that is dead and could pile up.
            if len(self._entries) > 2 * max(self._tokens, self._batch_tokens):
                self._entries = deque(entry for entry in self._entries if not entry.dead)

    def cut(self) -> list[Entry[Item, Output]] | None:
        """Wait until there is something to do and take the next batch; None once closed."""
        with self._changed:
            while not self._closed:
                batch = self._policy.cut(self._entries, self._batch_tokens)
                if batch:
                    self._take(batch)
                    return batch
                self._changed.wait()
        return None

    def close(self) -> None:
        """Drop what waits, and let `cut` return None."""
        with self._changed:
            self._closed = True
            self._entries.clear()
            self._changed.notify()

    def _take(self, batch: list[Entry[Item, Output]]) -> None:
        for entry in batch:
            entry.call.waiting_tokens -= entry.tokens
            self._tokens -= entry.tokens
