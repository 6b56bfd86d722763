"""The gRPC service: convert, call, convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server import convert
from polyhead_server.calls import Method, refuse
from polyhead_server.checks import chars
from polyhead_server.received import Decoder, Received
from polyhead_server.schedule import Priority
from polyhead_server.stream import Stream

if TYPE_CHECKING:
    from polyhead_server.calls import Calls, Context
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

    async def annotate(
        self, received: Received[pb.AnnotateRequest], context: Context
    ) -> pb.AnnotateResponse | None:
        """Annotate documents that stand or fall together."""
        with self._calls.open(context, _ANNOTATE) as call:
            call.received()
            call.let_in()
            request = received.sound()
            unit = convert.unit_of(request.offset_unit)
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
            response = await self._roster.work(
                annotated.size, lambda: convert.annotate_response(annotated, unit)
            )
            call.sent()
            call.send_id()
            return response
        await refuse(context)
        return None

    async def annotate_stream(self, _: object, context: Context) -> None:
        """Annotate a stream of items that stand each for itself."""
        with self._calls.open(context, _STREAM) as call:
            await call.greet()
            stream = Stream(context, call, self._roster, most_items=self._stream_items)
            await stream.run(self._calls)

    async def list_tasks(
        self, received: Received[pb.ListTasksRequest], context: Context
    ) -> pb.ListTasksResponse | None:
        """List the tasks of a loaded bundle."""
        with self._calls.open(context, _LIST) as call:
            call.received()
            call.let_in()
            served = self._roster.find(received.sound().bundle_version)
            call.sent()
            call.send_id()
            return convert.tasks_response(served.bundle, self._roster.limits)
        await refuse(context)
        return None

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a server, with decoders that never raise."""
        unary = grpc.unary_unary_rpc_method_handler
        streams = grpc.stream_stream_rpc_method_handler
        methods: dict[str, Any] = {
            "Annotate": unary(
                self.annotate,
                request_deserializer=Decoder(pb.AnnotateRequest),
                response_serializer=pb.AnnotateResponse.SerializeToString,
            ),
            "AnnotateStream": streams(
                self.annotate_stream,
                request_deserializer=Decoder(pb.AnnotateStreamRequest),
                response_serializer=pb.AnnotateStreamResponse.SerializeToString,
            ),
            "ListTasks": unary(
                self.list_tasks,
                request_deserializer=Decoder(pb.ListTasksRequest),
                response_serializer=pb.ListTasksResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)
