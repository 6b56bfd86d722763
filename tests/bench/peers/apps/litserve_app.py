"""LitServe with batching, serving the multi-task torch model."""

import os

import litserve
import orjson
from fastapi import Response
from multitask import Annotation, MultiTask


class Annotator(litserve.LitAPI):
    """A request is a list of texts; a batch is a list of requests."""

    def setup(self, device: str) -> None:
        """Load the model in the worker's process."""
        self.model = MultiTask()

    def decode_request(self, request) -> list[str]:  # type: ignore[no-untyped-def]
        """The request's texts. An annotation would make LitServe read something else than JSON."""
        texts: list[str] = request["texts"]
        return texts

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """Requests as they are: their texts are batched by length in the model."""
        return inputs

    def predict(self, requests: list[list[str]]) -> list[list[Annotation]]:
        """Annotate the texts of all requests together."""
        found = iter(self.model.annotate([text for texts in requests for text in texts]))
        return [[next(found) for _ in texts] for texts in requests]

    def unbatch(self, output: list[list[Annotation]]) -> list[list[Annotation]]:
        """Answers, one for each request."""
        return output

    def encode_response(self, output: list[Annotation]) -> Response:
        """JSON, written here so that the server's process only passes it on."""
        return Response(orjson.dumps(output), media_type="application/json")


if __name__ == "__main__":
    api = Annotator(
        max_batch_size=64,
        batch_timeout=0.002,
        api_path="/annotate",
    )
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        devices=1,
        workers_per_device=1,
        timeout=60,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["POLYHEAD_PEER_PORT"]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
