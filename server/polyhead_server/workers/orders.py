"""What a supervisor has its workers do for a rollout, as JSON: the order, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from google.protobuf import json_format

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.errors import (
    STOPS,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    RequestError,
    RolloutError,
    Violation,
)

if TYPE_CHECKING:
    from polyhead_server.rollout.candidates import Candidates

Order = dict[str, Any]
"""`do` names a method of `Candidates`; the rest are its arguments."""
Report = dict[str, Any]
"""`answer`, or `error` with what it takes to raise it again."""

_INTERNAL = "INTERNAL"
"""What became of an order that failed for a fault, told in the worker's log."""

_log = structlog.get_logger(__name__)


async def obey(order: Order, candidates: Candidates) -> Report:
    """Carry out an order, in a worker."""
    try:
        return {"answer": await _carry_out(order, candidates)}
    except RequestError as error:
        return {"error": _told(error)}
    except STOPS:
        raise
    except BaseException:  # noqa: BLE001 - whatever it is, the supervisor must hear of it
        _log.exception("order_failed", order=order.get("do"))
        return {"error": {"reason": _INTERNAL}}


def answer_of(report: Report) -> Any:
    """What a worker answered.

    Raises:
        RequestError: the error that it met.
    """
    error = report.get("error")
    if error is None:
        return report["answer"]
    if "violations" in error:
        raise InvalidRequestError([Violation(*pair) for pair in error["violations"]])
    if "missing" in error:
        raise NotFoundError(error["missing"])
    if error["reason"] == _INTERNAL:
        raise InternalError
    raise RolloutError(error["reason"], error["text"])


async def _carry_out(order: Order, candidates: Candidates) -> Any:
    match order:
        case {"do": "stage", "path": str(path), "beside": bool(beside)}:
            staged = await candidates.stage(path, beside=beside)
            bundle = json_format.MessageToDict(staged.bundle)
            return {"bundle": bundle, "unchanged": staged.unchanged}
        case {"do": "commit", "identity": str(identity), "beside": bool(beside)}:
            return await candidates.commit(identity, beside=beside)
        case {"do": "discard"}:
            return await candidates.discard()
        case {"do": "listing"}:
            return json_format.MessageToDict(await candidates.listing())
        case {"do": "traffic", "traffic": dict(traffic)}:
            return await candidates.set_traffic(json_format.ParseDict(traffic, pb.Traffic()))
        case {"do": "unload", "version": str(version)}:
            return await candidates.unload(version)
    raise InternalError


def _told(error: RequestError) -> dict[str, Any]:
    if isinstance(error, InvalidRequestError):
        return {"violations": [(v.field, v.description) for v in error.violations]}
    if isinstance(error, NotFoundError):
        return {"missing": str(error)}
    reason = error.reason if isinstance(error, RolloutError) else _INTERNAL
    return {"reason": reason, "text": str(error)}
