"""Tokens a second, saturated, beside the raw engine's: every form of call, every length."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.bench import EQUAL, LENGTHS, MIX
from tests.bench.calls import BATCH, FORMS, SINGLE
from tests.bench.rounds import over, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.bench import Bench
    from tests.bench.calls import Form
    from tests.bench.rounds import Samples


def measure(bench: Bench) -> Samples:
    """Every form with every kind of texts, in turns with the raw engine."""
    arms: dict[str, Callable[[], dict[str, float]]] = {}
    for kind in (*LENGTHS, MIX, EQUAL):
        arms[f"raw/{kind}"] = partial(bench.press_raw, kind)
        for form in forms(kind):
            arms[f"{form.name}/{kind}"] = partial(bench.press, form, kind)
    samples = take_turns("throughput", arms, bench.patience.rounds)
    for kind in (*LENGTHS, MIX, EQUAL):
        for form in forms(kind):
            _compare(samples, form, kind)
    for form in forms(EQUAL):
        names = (f"{form.name}/{kind}/tokens_per_second" for kind in (MIX, EQUAL))
        samples.derive(f"mixed_over_equal/{form.name}", over, *names)
    return samples


def forms(kind: str) -> tuple[Form, ...]:
    """The forms in which texts of a kind are sent."""
    return (SINGLE, BATCH) if kind == EQUAL else FORMS


def _compare(samples: Samples, form: Form, kind: str) -> None:
    arm, raw = f"{form.name}/{kind}", f"raw/{kind}"
    rates = (f"{arm}/tokens_per_second", f"{raw}/tokens_per_second")
    samples.derive(f"over_raw/{arm}", over, *rates)
    costs = (f"{arm}/server_cpu_per_text", f"{raw}/cpu_per_text")
    samples.derive(f"cpu_over_raw/{arm}", over, *costs)
