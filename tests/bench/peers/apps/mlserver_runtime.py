"""MLServer's custom runtime around the multi-task torch model. Run as a program, it is served.

A request is one BYTES tensor with a text an element; the answer is one BYTES tensor with the JSON
of a text's annotations an element. MLServer's adaptive batching joins requests before `predict`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import orjson
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from multitask import MultiTask, weights


class Runtime(MLModel):
    """The model behind the Open Inference Protocol."""

    async def load(self) -> bool:
        """Load the model in the worker's process."""
        self._multitask = MultiTask()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Annotate the texts of all requests that were joined."""
        texts = StringCodec.decode_input(payload.inputs[0])
        answers = [orjson.dumps(found).decode() for found in self._multitask.annotate(texts)]
        return InferenceResponse(
            model_name=self.name,
            outputs=[StringCodec.encode_output("annotations", answers, use_bytes=True)],
        )


def _settings(folder: Path) -> None:
    port = int(os.environ["POLYHEAD_PEER_PORT"])
    server = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": int(os.environ["POLYHEAD_PEER_SECOND_PORT"]),
        "metrics_endpoint": None,
        "debug": False,
        "gzip_enabled": False,
        "parallel_workers": 1,
    }
    model = {
        "name": "multitask",
        "implementation": "mlserver_runtime.Runtime",
        "max_batch_size": 64,
        "max_batch_time": 0.02,
    }
    for name, content in (("settings", server), ("model-settings", model)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    place = weights() / "mlserver"
    place.mkdir(exist_ok=True)
    _settings(place)
    os.chdir(place)
    program = str(Path(sys.executable).parent / "mlserver")
    os.execv(program, [program, "start", "."])  # noqa: S606 - its own program, in this one's place
