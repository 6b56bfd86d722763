"""The gRPC service: convert, call, convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server import convert
from polyhead_server.calls import Method
from polyhead_server.checks import DOCUMENTS, chars, check_count
from polyhead_server.errors import InvalidRequestError
from polyhead_server.received import Decoder
from polyhead_server.schedule import Priority
from polyhead_server.stream import Stream
from polyhead_server.unary import unary

if TYPE_CHECKING:
    from polyhead_server.calls import Call, Calls, Context
    from polyhead_server.rollout.roster import Roster

SERVICE = pb.DESCRIPTOR.services_by_name["AnnotationService"].full_name

_ANNOTATE = Method("unary", SERVICE, "Annotate")
_STREAM = Method("bidi_stream", SERVICE, "AnnotateStream")
_LIST = Method("unary", SERVICE, "ListTasks")


class AnnotationService:
    """polyhead.v1.AnnotationService.

    Args:
        roster: does the work.
        calls: opens the calls.
        stream_items: items of one stream that are held before reading stops.
    """

    def __init__(self, roster: Roster, calls: Calls, *, stream_items: int) -> None:
        self._roster = roster
        self._calls = calls
        self._stream_items = stream_items

    async def annotate(self, request: pb.AnnotateRequest, call: Call) -> pb.AnnotateResponse:
        """Annotate documents that stand or fall together."""
        unit = convert.unit_of(request.offset_unit)
        violations = [*check_count(len(request.documents), DOCUMENTS, self._roster.limits)]
        if violations:
            raise InvalidRequestError(violations)
        sources = [convert.source_of(document) for document in request.documents]
        call.charge(lambda: sum(map(chars, sources)))
        annotated = await self._roster.annotate(
            sources,
            request.tasks,
            deadline=call.deadline(),
            priority=convert.priority_of(request.priority, Priority.INTERACTIVE),
            version=request.bundle_version,
            key=call.request_id,
        )
        call.count(annotated)
        return await self._roster.work(
            annotated.size, lambda: convert.annotate_response(annotated, unit)
        )

    async def annotate_stream(self, _: object, context: Context) -> None:
        """Annotate a stream of items that stand each for itself."""
        with self._calls.open(context, _STREAM) as call:
            await call.greet()
            stream = Stream(context, call, self._roster, most_items=self._stream_items)
            await stream.run(self._calls)

    async def list_tasks(self, request: pb.ListTasksRequest, _: Call) -> pb.ListTasksResponse:
        """List the tasks of a loaded bundle."""
        served = self._roster.find(request.bundle_version)
        return convert.tasks_response(served.bundle, self._roster.limits)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a server, with decoders that never raise."""
        methods: dict[str, Any] = {
            "Annotate": unary(self._calls, _ANNOTATE, pb.AnnotateRequest, self.annotate),
            "AnnotateStream": grpc.stream_stream_rpc_method_handler(
                self.annotate_stream,
                request_deserializer=Decoder(pb.AnnotateStreamRequest),
                response_serializer=pb.AnnotateStreamResponse.SerializeToString,
            ),
            "ListTasks": unary(self._calls, _LIST, pb.ListTasksRequest, self.list_tasks),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)
