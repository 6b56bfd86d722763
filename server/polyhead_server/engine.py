"""The encoder on OpenVINO: flat packed tokens in, one vector per token out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from polyhead_server.errors import BundleError
from polyhead_server.packing import Packed

if TYPE_CHECKING:
    from pathlib import Path

Hidden = NDArray[np.float32]

_TRIAL_TOKENS = 16

INPUTS = ("input_ids", "position_ids", "segment_ids", "shape_ids")


class Engine(Protocol):
    """An encoder. Implementations differ in hardware, never in results beyond rounding."""

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H]. The array may be reused by the next call."""
        ...

    def close(self) -> None:
        """Give up threads and memory."""
        ...


class OpenVinoEngine:
    """One compiled encoder. Calls are taken one at a time.

    Args:
        graph: OpenVINO IR file.
        hidden_size: width of the encoder's output, checked against the graph.
        threads: inference threads.
        exact: compute in fp32; otherwise in bf16 where the CPU has it.

    Raises:
        BundleError: the graph cannot be read or is not such an encoder.
    """

    def __init__(self, graph: Path, *, hidden_size: int, threads: int, exact: bool = False) -> None:
        self._lock = threading.Lock()
        try:
            core = ov.Core()
            model = core.read_model(graph)
            _check_ports(model, hidden_size)
            compiled = core.compile_model(model, "CPU", _options(threads, exact=exact))
            self._request = compiled.create_infer_request()
            self._inputs = [compiled.input(name) for name in INPUTS]
            self._prove(hidden_size)
        except RuntimeError:
            raise BundleError(f"{graph.name} is not a graph that OpenVINO can run here") from None

    def _prove(self, hidden_size: int) -> None:
        """Run the encoder once: a graph that can be read may still be none of ours, or damaged."""
        ids = np.zeros(_TRIAL_TOKENS, np.int32)
        vectors = self.infer(Packed(ids, ids, ids, ids, (0,), _TRIAL_TOKENS))
        if vectors.shape != (_TRIAL_TOKENS, hidden_size):
            raise BundleError(f"the encoder gives {vectors.shape[-1:]} values a token")
        if not np.isfinite(vectors).all():
            raise BundleError("the encoder gives values that are not finite")

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H]. The array is valid until the next call."""
        values = (batch.ids, batch.positions, batch.segments, batch.shapes)
        with self._lock:
            self._request.infer(dict(zip(self._inputs, values, strict=True)), share_inputs=True)
            return cast("Hidden", self._request.get_output_tensor(0).data)

    def close(self) -> None:
        """Drop the compiled encoder once no call is under way."""
        with self._lock:
            del self._request


def _options(threads: int, *, exact: bool) -> dict[str, str | int | bool]:
    precision = {"INFERENCE_PRECISION_HINT": "f32"} if exact else {}
    return {
        **precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }


def _check_ports(model: ov.Model, hidden_size: int) -> None:
    names = {name for port in model.inputs for name in port.get_names()}
    if missing := sorted(set(INPUTS) - names):
        raise BundleError(f"the encoder has no input {', '.join(missing)}")
    width = model.output(0).get_partial_shape()[-1]
    if width.is_static and width.get_length() != hidden_size:
        raise BundleError(
            f"the encoder gives {width.get_length()} values a token, not {hidden_size}"
        )
