"""One ModelStreamInfer call: read while there is room, answer in the order of the requests."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, cast

import grpc

from polyhead_server.calls import on_deadline, told
from polyhead_server.errors import DeadlineExceededError, DrainingError
from polyhead_server.inference import open_inference_pb2 as pb
from polyhead_server.inference.grpc_wire import infer_request, infer_response
from polyhead_server.room import Room

if TYPE_CHECKING:
    from polyhead_server.calls import Call, Calls, Context
    from polyhead_server.errors import RequestError
    from polyhead_server.inference.answers import Inference
    from polyhead_server.received import Received


class InferStream:
    """Answers one stream.

    Args:
        context: where messages come from and go to.
        call: the call that it is.
        inference: answers requests.
        most_texts: texts that are held before reading stops.
    """

    def __init__(
        self, context: Context, call: Call, inference: Inference, *, most_texts: int
    ) -> None:
        self._context = context
        self._call = call
        self._inference = inference
        self._deadline = call.deadline(default=math.inf)
        self._room = Room(most_texts)
        self._answers: asyncio.Queue[tuple[asyncio.Task[pb.ModelStreamInferResponse], int] | None]
        self._answers = asyncio.Queue()
        self._end: RequestError | None = None

    async def run(self, calls: Calls) -> None:
        """Answer until the caller has no more to ask, or the server shuts down.

        Whatever was read is answered before the stream ends.

        Raises:
            DrainingError: the server is shutting down; what was not answered was not read.
            DeadlineExceededError: the time that any call may take is over; likewise.
        """
        draining = DrainingError()
        over = DeadlineExceededError()
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(group))
            late = on_deadline(self._deadline, lambda: self._stop(reader, over))
            with late, calls.on_drain(lambda: self._stop(reader, draining)):
                await self._write()
        await calls.departure.taken(self._context)
        if self._end is not None:
            raise self._end

    def _stop(self, reader: asyncio.Task[None], error: RequestError) -> None:
        """Read no more, and end once everything is answered."""
        if not reader.done():
            self._end = error
        reader.cancel()
        self._answers.put_nowait(None)

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._room.wait()
            message = await self._context.read()
            if message is grpc.aio.EOF:
                self._answers.put_nowait(None)
                return
            received = cast("Received[pb.ModelInferRequest]", message)
            self._call.received()
            size = self._size(received.message)
            self._room.take(size)
            self._answers.put_nowait((group.create_task(self._answer(received)), size))

    def _size(self, request: pb.ModelInferRequest) -> int:
        """The texts that a request says it has, as far as it may have them."""
        # One input of one or two dimensions, or it is refused: a message holds millions of either.
        shapes = (tensor.shape[:2] for tensor in request.inputs[:1])
        said = max((max(shape, default=1) for shape in shapes), default=1)
        return min(max(1, said), self._inference.annotator.limits.max_documents)

    async def _write(self) -> None:
        while (entry := await self._answers.get()) is not None:
            answer, size = entry
            await self._context.write(await answer)
            self._call.sent()
            self._room.give(size)

    async def _answer(
        self, received: Received[pb.ModelInferRequest]
    ) -> pb.ModelStreamInferResponse:
        request = received.message
        try:
            answer = await self._inference.infer(
                infer_request(received.sound()), self._call, deadline=self._deadline, patient=True
            )
            response = infer_response(answer, raw=bool(request.raw_input_contents))
            return pb.ModelStreamInferResponse(infer_response=response)
        except Exception as error:  # noqa: BLE001 - told, and logged where it is our fault
            empty = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
            return pb.ModelStreamInferResponse(error_message=str(told(error)), infer_response=empty)
