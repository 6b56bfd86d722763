"""From what became of entries to the replies of their calls; on the event loop only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyhead_server.errors import InternalError
from polyhead_server.schedule import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead_server.schedule import Call, Entry, Item, Output
    from polyhead_server.worker import Ran


def fail(call: Call[Any], error: Exception) -> None:
    """Answer a call with an error, unless it has been answered."""
    if not call.reply.done():
        call.reply.set_exception(error)


def fail_all(entries: Iterable[Entry[Any, Any]], fault: Exception) -> None:
    """Answer the calls of entries on which the engine failed; the fault is chained for the log."""
    for call in {entry.call for entry in entries}:
        error = InternalError()
        error.__cause__ = fault
        fail(call, error)


def count_run(entries: Iterable[Entry[Any, Any]], run: Ran[Any], started: float) -> None:
    """Add the times of a run to each call that had a part in it, once."""
    for call in {entry.call for entry in entries}:
        call.started = max(call.started, started)
        call.encode_seconds += run.encode_seconds
        call.heads_seconds += run.heads_seconds


def answer_all(entries: Iterable[Entry[Item, Output]], outputs: Iterable[Output]) -> None:
    """Give each entry its output of a run, and answer the calls that have all of theirs."""
    for entry, output in zip(entries, outputs, strict=True):
        call = entry.call
        call.outputs[entry.index] = output
        call.missing -= 1
        if call.missing == 0 and not call.reply.done():
            call.reply.set_result(_answer(call))


def _answer(call: Call[Output]) -> Answer[Output]:
    return Answer(
        outputs=call.outputs,
        queue_seconds=max(0.0, call.started - call.entered),
        encode_seconds=call.encode_seconds,
        heads_seconds=call.heads_seconds,
    )
