"""inference.GRPCInferenceService: convert, call, convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import ParseDict

from polyhead_server.calls import Method, refuse
from polyhead_server.errors import UnsupportedError
from polyhead_server.inference import describe
from polyhead_server.inference import open_inference_pb2 as pb
from polyhead_server.inference.grpc_wire import infer_request, infer_response
from polyhead_server.inference.stream import InferStream
from polyhead_server.received import Decoder
from polyhead_server.unary import unary

if TYPE_CHECKING:
    from polyhead_server.calls import Call, Calls, Context
    from polyhead_server.inference.answers import Inference
    from polyhead_server.unary import Answer

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

_STREAM = Method("bidi_stream", SERVICE, "ModelStreamInfer")
OPEN_METHODS = frozenset({"ServerLive", "ServerReady"})
"""Methods that probes call, who have no token."""
_NOT_OFFERED = (
    *("RepositoryModelLoad", "RepositoryModelUnload", "TraceSetting", "LogSettings"),
    *("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"),
    *("CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"),
)
"""Further methods of the protocol's extensions, which clients can ask for."""


class InferenceService:
    """inference.GRPCInferenceService.

    Args:
        inference: answers requests.
        calls: opens the calls.
        stream_items: texts of one stream that are held before reading stops.
    """

    def __init__(self, inference: Inference, calls: Calls, *, stream_items: int) -> None:
        self._inference = inference
        self._calls = calls
        self._stream_items = stream_items

    async def server_live(self, _: pb.ServerLiveRequest, __: Call) -> pb.ServerLiveResponse:
        """Say that the server answers."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb.ServerReadyRequest, __: Call) -> pb.ServerReadyResponse:
        """Say whether the server takes work."""
        return pb.ServerReadyResponse(ready=self._inference.ready())

    async def model_ready(self, request: pb.ModelReadyRequest, _: Call) -> pb.ModelReadyResponse:
        """Say whether a model takes work."""
        there = self._inference.catalog.has(request.name, request.version)
        return pb.ModelReadyResponse(ready=there and self._inference.ready())

    async def server_metadata(
        self, _: pb.ServerMetadataRequest, __: Call
    ) -> pb.ServerMetadataResponse:
        """Describe the server."""
        return ParseDict(describe.server_metadata(), pb.ServerMetadataResponse())

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, _: Call
    ) -> pb.ModelMetadataResponse:
        """Describe a model."""
        model = self._inference.catalog.find(request.name, request.version)
        return ParseDict(describe.model_metadata(model), pb.ModelMetadataResponse())

    async def model_config(self, request: pb.ModelConfigRequest, _: Call) -> pb.ModelConfigResponse:
        """Describe how a model is set up."""
        model = self._inference.catalog.find(request.name, request.version)
        config = describe.model_config(model, self._inference.annotator.limits)
        return ParseDict({"config": config}, pb.ModelConfigResponse())

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, _: Call
    ) -> pb.ModelStatisticsResponse:
        """Tell what models have done."""
        records = self._inference.records(request.name, request.version)
        return ParseDict(describe.statistics(records), pb.ModelStatisticsResponse())

    async def repository_index(
        self, request: pb.RepositoryIndexRequest, _: Call
    ) -> pb.RepositoryIndexResponse:
        """List the models."""
        models = describe.repository_index(
            self._inference.catalog, ready=self._inference.ready(), ready_only=request.ready
        )
        return ParseDict({"models": models}, pb.RepositoryIndexResponse())

    async def model_infer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """Run a model."""
        deadline = call.deadline()
        answer = await self._inference.infer(infer_request(request), call, deadline=deadline)
        return infer_response(answer, raw=bool(request.raw_input_contents))

    async def model_stream_infer(self, _: object, context: Context) -> None:
        """Run models on a stream of requests."""
        with self._calls.open(context, _STREAM) as call:
            await call.greet()
            stream = InferStream(context, call, self._inference, most_texts=self._stream_items)
            await stream.run(self._calls)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a server, with decoders that never raise."""
        single: dict[str, tuple[type[Any], Answer]] = {
            "ServerLive": (pb.ServerLiveRequest, self.server_live),
            "ServerReady": (pb.ServerReadyRequest, self.server_ready),
            "ModelReady": (pb.ModelReadyRequest, self.model_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self.server_metadata),
            "ModelMetadata": (pb.ModelMetadataRequest, self.model_metadata),
            "ModelInfer": (pb.ModelInferRequest, self.model_infer),
            "ModelConfig": (pb.ModelConfigRequest, self.model_config),
            "ModelStatistics": (pb.ModelStatisticsRequest, self.model_statistics),
            "RepositoryIndex": (pb.RepositoryIndexRequest, self.repository_index),
        }
        methods: dict[str, Any] = {
            name: unary(self._calls, _method(name), kind, answer, to_all=name in OPEN_METHODS)
            for name, (kind, answer) in single.items()
        }
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self.model_stream_infer,
            request_deserializer=Decoder(pb.ModelInferRequest),
            response_serializer=pb.ModelStreamInferResponse.SerializeToString,
        )
        methods |= {name: self._not_offered(name) for name in _NOT_OFFERED}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _not_offered(self, name: str) -> Any:
        method = _method(name)

        async def handle(_: bytes, context: Context) -> None:
            with self._calls.open(context, method) as call:
                call.received()
                call.let_in()
                raise UnsupportedError(f"{name} is not supported by this server")
            await refuse(context)

        return grpc.unary_unary_rpc_method_handler(handle)


def _method(name: str) -> Method:
    return Method("unary", SERVICE, name)
