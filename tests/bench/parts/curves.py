"""Throughput as connections, batch size and heads are doubled: it should not fall."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.bench import MIX
from tests.bench.calls import BATCH, Form
from tests.bench.rounds import Samples, over, take_turns
from tests.bench.servers import with_heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.bench import Bench

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
COPIES = (2, 4)
"""Bundles with twice and four times the heads."""
_KIND = "16"
_TEXTS_IN_FLIGHT = 256
_ROUNDS = 3


def measure(bench: Bench) -> Samples:
    """The three curves, all points in turns; and each step of a curve as a ratio."""
    curves = {"connections": _connections(bench), "batch": _batches(bench), "heads": _heads(bench)}
    arms = {f"{curve}/{x}": arm for curve, points in curves.items() for x, arm in points.items()}
    samples = take_turns("curves", arms, min(_ROUNDS, bench.patience.rounds))
    for curve, points in curves.items():
        for low, high in itertools.pairwise(points):
            names = (f"{curve}/{x}/texts_per_second" for x in (high, low))
            samples.derive(f"step/{curve}/{low}-{high}", over, *names)
    return samples


def _connections(bench: Bench) -> dict[int, Callable[[], dict[str, float]]]:
    most = max(CONNECTIONS)
    forms = {number: Form(f"connections-{number}", 1, most, number) for number in CONNECTIONS}
    return {number: partial(bench.press, form, _KIND) for number, form in forms.items()}


def _batches(bench: Bench) -> dict[int, Callable[[], dict[str, float]]]:
    forms = {}
    for size in BATCHES:
        calls = max(2, _TEXTS_IN_FLIGHT // size)
        forms[size] = Form(f"batch{size}", size, calls, min(8, calls))
    return {size: partial(bench.press, form, _KIND) for size, form in forms.items()}


def _heads(bench: Bench) -> dict[int, Callable[[], dict[str, float]]]:
    tasks = bench.tasks
    found: dict[int, Callable[[], dict[str, float]]] = {}
    number = 1
    while number <= len(tasks):
        found[number] = partial(bench.press_with, bench.server, BATCH, MIX, tasks[:number])
        number *= 2
    for times in COPIES:
        bundle = bench.stack.enter_context(with_heads(bench.path, times))
        server = bench.serve(bundle=bundle)
        found[times * len(tasks)] = partial(bench.press_with, server, BATCH, MIX, ["*"])
    return found
