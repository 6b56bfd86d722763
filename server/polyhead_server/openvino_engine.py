"""The encoder on OpenVINO."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from polyhead_server.cpu_features import read_features
from polyhead_server.engine import INPUTS, EngineFacts, EngineOptions
from polyhead_server.errors import BundleError, StartError
from polyhead_server.niceness import put_behind
from polyhead_server.openvino_attention import by_rows, with_whole_scores
from polyhead_server.openvino_core import shared_core
from polyhead_server.openvino_graph import unquantised, with_small_tables
from polyhead_server.packing import Packed

if TYPE_CHECKING:
    from pathlib import Path

    import openvino as ov

    from polyhead_server.bundle import Bundle
    from polyhead_server.cpu_features import CpuFeatures
    from polyhead_server.encoding import IntArray
    from polyhead_server.engine import Hidden

_TRIAL_TOKENS = 16
_SEGMENTS = INPUTS.index("segment_ids")
_ROWS_RANK = 2


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What a graph is computed in."""

    int8: bool
    """Quantised matrix products are run in int8; otherwise as if they were not quantised."""
    floats: Literal["bf16", "f32"]


def choose_arithmetic(options: EngineOptions, cpu: CpuFeatures, *, exact: bool) -> Arithmetic:
    """What to compute in.

    Args:
        options: what is wanted.
        cpu: what there is.
        exact: the bundle is one in full precision: only on demand is it computed in less.

    Raises:
        StartError: bf16 is wanted and not there.
    """
    if options.precision == "bf16" and not cpu.bf16:
        raise StartError(f"{cpu.name} has no bf16 instructions: take precision f32 or auto")
    able = cpu.bf16 and not exact
    bf16 = options.precision == "bf16" or (options.precision == "auto" and able)
    return Arithmetic(int8=cpu.int8 and not exact, floats="bf16" if bf16 else "f32")


class OpenVinoEngine:
    """One compiled encoder, which all streams share with its weights.

    Args:
        graph: OpenVINO IR file.
        options: threads, streams and precision.
        hidden_size: width of the encoder's output, checked against the graph.
        exact: the graph is not quantised, and computed in f32 unless bf16 is asked for.
        cpu: what the processor has; found out by default.

    Raises:
        BundleError: the graph cannot be read or is not such an encoder.
        StartError: the processor lacks what the options ask for.
    """

    def __init__(
        self,
        graph: Path,
        options: EngineOptions,
        *,
        hidden_size: int,
        exact: bool = False,
        cpu: CpuFeatures | None = None,
    ) -> None:
        self._graph = graph
        self._core = shared_core()
        cpu = cpu or _this_cpu(self._core)
        arithmetic = choose_arithmetic(options, cpu, exact=exact)
        self._quick = not exact or arithmetic.floats != "f32"
        try:
            self._compiled = self._start(options, arithmetic)
            self.facts = _facts(cpu, arithmetic, self._compiled)
            self.streams = int(self.facts.streams)  # no more than there are processors
            self.apart = self.streams > 1  # a single stream's work is done by whoever calls
            _check_ports(self._compiled, hidden_size)
            self._inputs = Inputs(self._compiled)
            self._free = threading.Semaphore(self.streams)
            self._closed = False
            self._own = threading.local()
            self._prove(hidden_size)
        except RuntimeError:
            raise BundleError(f"{graph.name} is not a graph that OpenVINO can run here") from None

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H]. The array is valid until the calling thread's next call."""
        with self._free:
            if self._closed:
                raise RuntimeError("the engine is closed")
            return run_batch(self._request(), self._inputs, batch)

    def plain(self, batch: Packed) -> Hidden | None:
        """Encode a batch in f32 with nothing quantised but the weights: [N, H]."""
        if not self._quick:
            return None
        options = EngineOptions(threads=1)
        compiled = self._compile(options, Arithmetic(int8=False, floats="f32"))
        return run_batch(compiled.create_infer_request(), Inputs(compiled), batch).copy()

    def close(self) -> None:
        """Drop the compiled encoder once no call is under way; those that come later fail."""
        for _ in range(self.streams):
            self._free.acquire()
        self._closed = True
        del self._own, self._inputs, self._compiled
        self._free.release(self.streams)  # who waited elsewhere meanwhile must not wait here

    def _request(self) -> Any:
        """The calling thread's request: it runs in this thread and keeps the last results."""
        try:
            return self._own.request
        except AttributeError:
            self._own.request = self._compiled.create_infer_request()
            return self._own.request

    def _start(self, options: EngineOptions, arithmetic: Arithmetic) -> Any:
        """Compile; threads that are not those of the callers come behind them."""
        if options.streams == 1:
            return self._compile(options, arithmetic)
        return put_behind(lambda: self._compile(options, arithmetic))

    def _compile(self, options: EngineOptions, arithmetic: Arithmetic) -> Any:
        properties = _properties(options, arithmetic)
        model = served_graph(self._core.read_model(self._graph), int8=arithmetic.int8)
        return self._core.compile_model(model, "CPU", properties)

    def _prove(self, hidden_size: int) -> None:
        """Run the encoder once: a graph that can be read may still be none of ours, or damaged."""
        ids = np.zeros(_TRIAL_TOKENS, np.int32)
        vectors = self.infer(Packed(ids, ids, ids, ids, (0,), _TRIAL_TOKENS))
        if vectors.shape != (_TRIAL_TOKENS, hidden_size):
            raise BundleError(f"the encoder gives {vectors.shape[-1:]} values a token")
        if not np.isfinite(vectors).all():
            raise BundleError("the encoder gives values that are not finite")


def open_engine(bundle: Bundle, options: EngineOptions) -> OpenVinoEngine:
    """The engine of a bundle.

    Raises:
        BundleError: the bundle's graph cannot be run.
        StartError: the processor lacks what the options ask for.
    """
    spec = bundle.manifest.encoder
    return OpenVinoEngine(
        bundle.path / spec.file,
        options,
        hidden_size=spec.hidden_size,
        exact=spec.precision == "fp32",
    )


def served_graph(model: ov.Model, *, int8: bool) -> ov.Model:
    """What is compiled of a bundle's graph."""
    model = with_small_tables(with_whole_scores(model)) if int8 else unquantised(model)
    return by_rows(model)


class Inputs:
    """The inputs of a compiled served graph: how a batch is handed to it."""

    def __init__(self, compiled: Any) -> None:
        self._ports = [compiled.input(name) for name in INPUTS]
        segments = self._ports[_SEGMENTS]
        in_rows = segments.get_partial_shape().rank.get_length() == _ROWS_RANK
        self._segments = segments if in_rows else None

    def of(self, batch: Packed) -> dict[Any, IntArray]:
        """A batch by input, its segments row by row where the graph attends in rows."""
        columns = dict(zip(self._ports, batch.columns, strict=True))
        if self._segments is not None:
            columns[self._segments] = batch.laid_out
        return columns


def run_batch(request: Any, inputs: Inputs, batch: Packed) -> Hidden:
    """Run a request of a compiled served graph."""
    request.infer(inputs.of(batch), share_inputs=True)
    return cast("Hidden", request.get_output_tensor(0).data)


def _properties(options: EngineOptions, arithmetic: Arithmetic) -> dict[str, str | int | bool]:
    cache = {"CACHE_DIR": str(options.compile_cache)} if options.compile_cache else {}
    return {
        **cache,
        "INFERENCE_PRECISION_HINT": arithmetic.floats,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": options.streams,
        "INFERENCE_NUM_THREADS": options.threads,
        "ENABLE_CPU_PINNING": False,
    }


def _this_cpu(core: ov.Core) -> CpuFeatures:
    name = str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip()
    return read_features(name, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _facts(cpu: CpuFeatures, arithmetic: Arithmetic, compiled: Any) -> EngineFacts:
    return EngineFacts(
        engine="openvino",
        device=cpu.name,
        weights="int8" if arithmetic.int8 else arithmetic.floats,
        floats=arithmetic.floats,
        threads=str(compiled.get_property("INFERENCE_NUM_THREADS")),
        streams=str(compiled.get_property("NUM_STREAMS")),
    )


def _check_ports(compiled: Any, hidden_size: int) -> None:
    names = {name for port in compiled.inputs for name in port.get_names()}
    if missing := sorted(set(INPUTS) - names):
        raise BundleError(f"the encoder has no input {', '.join(missing)}")
    width = compiled.output(0).get_partial_shape()[-1]
    if width.is_static and width.get_length() != hidden_size:
        raise BundleError(
            f"the encoder gives {width.get_length()} values a token, not {hidden_size}"
        )
