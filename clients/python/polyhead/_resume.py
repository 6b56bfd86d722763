"""When a bulk stream that broke is opened again: the decisions both clients share."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from polyhead._bulk_items import BulkOptions, Message, Refusal
from polyhead._errors import DeadlineExceededError, InternalError, PolyheadError, UnavailableError
from polyhead._plans import (
    CallOptions,
    Planner,
    check_priority,
    check_unit,
    check_version,
    name_request,
    wire_tasks,
)
from polyhead._retry import Retries, is_transient
from polyhead._status import error_of_rpc

if TYPE_CHECKING:
    import grpc

    from polyhead._bulk import Bulk

_FAILED_WRITE = "Internal error from Core"


def bulk_options(planner: Planner, options: CallOptions, *, ordered: bool) -> BulkOptions:
    """Check what a caller says about a stream; raises InvalidArgumentError."""
    return BulkOptions(
        tasks=tuple(wire_tasks(options.tasks)),
        offset_unit=check_unit(options.offset_unit),
        request_id=name_request(options.request_id),
        ordered=ordered,
        silence=planner.seconds(options.timeout),
        max_send_bytes=planner.max_send_bytes,
        priority=check_priority(options.priority),
        bundle_version=check_version(options.bundle_version),
    )


class Resumption:
    """Counts the attempts since the last answer, and decides on the next.

    Args:
        retries: The client's decision on retries.
        bulk: The stream's items.
        options: What the stream asks for.
    """

    def __init__(self, retries: Retries, bulk: Bulk, options: BulkOptions) -> None:
        self._retries = retries
        self._bulk = bulk
        self._silence = options.silence
        self._request_id = options.request_id
        self._attempt = 1
        self._waiting_since: float | None = None

    def patience(self) -> float | None:
        """Seconds to wait for the next answer; None where none is due or there is no bound."""
        if not self._bulk.waiting or math.isinf(self._silence):
            self._waiting_since = None
            return None
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        return max(0.0, self._waiting_since + self._silence - now)

    def answered(self, refusal: Refusal | None) -> tuple[float, Message] | None:
        """Note an answer, and decide on the items that it refused.

        Returns:
            Seconds to wait and then the message to send; or None, when there is nothing to send.
        """
        self._attempt = 1
        self._waiting_since = None
        self._retries.budget.earn()
        if refusal is None:
            return None
        attempts = refusal.message.attempt - 1
        wait = self._retries.delay(refusal.error, attempts, self._silence)
        if wait is None:
            self._bulk.give_up(refusal)
            return None
        return wait, self._bulk.resend(refusal)

    def broken(self, failure: grpc.RpcError | None) -> float:
        """Decide what follows the end of the stream.

        Args:
            failure: What grpc raised; None where the server ended the stream in peace.

        Returns:
            Seconds to wait before sending every unanswered message on a new stream.

        Raises:
            PolyheadError: The stream failed for good. No item is lost in silence: those without
                an outcome were not answered.
        """
        error = self._error(failure)
        self._waiting_since = None
        if not self._bulk.waiting and is_transient(error):
            return 0.0
        wait = self._retries.delay(error, self._attempt, self._silence)
        if wait is None:
            raise error from failure
        self._attempt += 1
        return wait

    def silent(self) -> PolyheadError:
        """Build the error for a server that leaves messages without an answer."""
        return DeadlineExceededError(
            f"no answer for {self._silence:g} seconds",
            code="DEADLINE_EXCEEDED",
            request_id=self._request_id,
        )

    def _error(self, failure: grpc.RpcError | None) -> PolyheadError:
        if failure is not None:
            error = error_of_rpc(failure, self._request_id)
            return self._unavailable(error.message) if _lost_its_status(error) else error
        message = "the server ended the stream before it had answered every item"
        return self._unavailable(message)

    def _unavailable(self, message: str) -> UnavailableError:
        return UnavailableError(message, code="UNAVAILABLE", request_id=self._request_id)


def _lost_its_status(error: PolyheadError) -> bool:
    """Whether grpc.aio put a status of its own in the place of the real one.

    It does when a message is written to a stream that has just ended. Opening the stream again
    shows what the matter is.
    """
    return isinstance(error, InternalError) and error.message == _FAILED_WRITE
