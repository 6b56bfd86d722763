"""Scores fragments by Ray Data: a pool of actors, each with a bundle and an engine of its own.

Ray carries nothing but the fragments' places and what became of them: actors read the input and
write the output themselves. An actor that dies with its node is made anew elsewhere, and what it
had begun is begun again; what it had finished is found finished.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import PolyheadError, StartError
from polyhead_server.score.errors import ScoreError
from polyhead_server.score.fragments import Fragment
from polyhead_server.score.journal import Done

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from polyhead_server.score.order import Order

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
_WAITING_FRAGMENTS = 2
"""Fragments that an actor has at a time: one to work on, one that is there when it is done."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Which processes score."""

    address: str | None = None
    """Of a cluster that is there; None for one on this machine, for this run alone."""
    actors: int = 0
    """How many; 0 for as many as the cluster's processors allow."""
    threads: int = 1
    """Engine threads, and processors, of each."""


def score_on_cluster(
    order: Order, fragments: Sequence[Fragment], pool: Pool
) -> Generator[Done, None, None]:
    """Score fragments.

    Args:
        order: what is asked for; bundle, input and output are at the same paths on every node.
        fragments: those that are not finished.
        pool: who scores.

    Yields:
        What became of each, once it is finished, in any order.

    Raises:
        StartError: Ray is not installed, or there is no such cluster.
        ScoreError: a node has no such bundle or cannot read or write, or too little is left of the
            cluster.
    """
    ray = _ray()
    with _connected(ray, pool):
        try:
            for result in _results(ray, order, fragments, pool):
                if "failed" in result:
                    raise ScoreError(result["failed"])
                yield Done(**result["done"])
        except (ray.exceptions.RayError, ray.exceptions.RayTaskError) as error:
            raise ScoreError(f"Ray ended the run: {_last_line(error)}") from error


class FragmentScorer:
    """What an actor of the pool runs. Faults travel as values, so that Ray does not wrap them.

    Args:
        order: what is asked for.
        threads: of its engine.
    """

    def __init__(self, order: Order, threads: int) -> None:
        import ray  # noqa: PLC0415 - an extra

        from polyhead_server.score.work import Scorer  # noqa: PLC0415 - slow to import

        self._failed = ""
        try:
            self._scorer = Scorer(order, threads, ray.get_runtime_context().get_node_id())
        except PolyheadError as error:
            self._failed = str(error)

    def __call__(self, row: Mapping[str, str]) -> dict[str, str]:
        """Score one fragment."""
        return {"result": json.dumps(self._result(row["fragment"]))}

    def _result(self, fragment: str) -> dict[str, Any]:
        if self._failed:
            return {"failed": self._failed}
        try:
            return {"done": asdict(self._scorer.score(Fragment(**json.loads(fragment))))}
        except (PolyheadError, OSError) as error:
            return {"failed": str(error)}


def _ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartError(
            f"scoring by several processes needs {error.name}: "
            "install polyhead-server[score], or give --local"
        ) from None
    return ray


@contextmanager
def _connected(ray: Any, pool: Pool) -> Iterator[None]:
    if ray.is_initialized():  # the caller's own
        yield
        return
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if pool.address is not None:
            ray.init(address=pool.address, **quiet)
        else:
            # Ray's ports ask nobody who they are: our own cluster listens to this machine only.
            ray.init(
                address="local",
                num_cpus=max(usable_cpus(), pool.threads),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise StartError(f"no Ray cluster: {_last_line(error)}") from None
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray puts an own one, which aborts
                signal.signal(number, handler)
        yield
    finally:
        ray.shutdown()


def _results(
    ray: Any, order: Order, fragments: Sequence[Fragment], pool: Pool
) -> Iterator[dict[str, Any]]:
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    items = [{"fragment": json.dumps(asdict(fragment))} for fragment in fragments]
    able = max(1, int(ray.cluster_resources().get("CPU", 1) // pool.threads))
    size = min(pool.actors or able, len(items))
    results = ray.data.from_items(items, override_num_blocks=len(items)).map(
        FragmentScorer,
        fn_constructor_args=(order, pool.threads),
        compute=ray.data.ActorPoolStrategy(
            size=size, max_tasks_in_flight_per_actor=_WAITING_FRAGMENTS
        ),
        num_cpus=pool.threads,
    )
    for batch in results.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
        yield from (json.loads(result) for result in batch["result"])


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
