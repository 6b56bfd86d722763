"""JSON through the gateway against gRPC direct: the same texts to the same server, in turns."""

from __future__ import annotations

from functools import partial
from operator import sub
from typing import TYPE_CHECKING

from tests.bench import closed
from tests.bench.calls import BATCH, Form, json_requests, requests
from tests.bench.rounds import Samples, over, take_turns
from tests.bench.servers import address, gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.bench import Bench
    from tests.bench.wire import Request

_KIND = "16"
_ONE = Form("one1", 1, 1, 1)
_ONE_BATCH = Form("one32", 32, 1, 1)
FORMS = (_ONE, _ONE_BATCH, BATCH)


def measure(bench: Bench) -> Samples:
    """One text and 32 texts a call, one call at a time; 32 texts a call, saturated."""
    arms = _arms(bench)
    samples = take_turns("gateway", arms, bench.patience.rounds)
    for form in FORMS[:2]:
        names = (f"{name}/{form.name}/p50" for name in ("gateway", "direct"))
        samples.derive(f"gateway_p50_more/{form.name}", sub, *names)
    names = (f"{name}/{BATCH.name}/texts_per_second" for name in ("gateway", "direct"))
    samples.derive("gateway_over_direct", over, *names)
    return samples


def _arms(bench: Bench) -> dict[str, Callable[[], dict[str, float]]]:
    door = bench.stack.enter_context(gateway(bench.server))
    places = {
        "direct": (requests, address(bench.server)),
        "gateway": (json_requests, address(door)),
    }
    return {
        f"{name}/{form.name}": partial(
            _press, bench, where, prepare(bench.corpora[_KIND], form, bench.tasks, where), form
        )
        for form in FORMS
        for name, (prepare, where) in places.items()
    }


def _press(bench: Bench, where: str, calls: Sequence[Request], form: Form) -> dict[str, float]:
    return closed.press(bench.server, where, calls, form, bench.patience.seconds).figures()
