"""Server against raw engine, side by side in one run: a table, and build/bench.json.

Raw engine, batch form and single-text form take turns in every round, so that a busy machine hurts
all of them alike; medians over the rounds are quoted. Ratios:

- batch32_over_raw: tokens/s with 32 texts a call over raw tokens/s, the least over the text kinds;
- single16_over_raw, single64_over_raw: the same with one text a call;
- four_tasks_over_one: time for all tasks over time for one task, 32 news texts a call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from polyhead_server.cpus import usable_cpus
from polyhead_server.model import Model
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.load import Outcome, prepare, press
from tests.bench.raw import RawEngine
from tests.bench.texts import Corpus, exact, news

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = 512
BATCH = 32
BATCH_CALLS = 4
SINGLE_CALLS = 32
FORMS = {"batch32": (BATCH, BATCH_CALLS), "single": (1, SINGLE_CALLS)}

Samples = dict[str, list[float]]


def main() -> None:
    """Measure, print, and write build/bench.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--news", type=Path, help="JSONL.gz with news texts (default: made up)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each stretch")
    options = parser.parse_args()
    model = Model.load(options.bundle, threads=usable_cpus())
    corpora = {
        "16": exact(model, 16, TEXTS),
        "64": exact(model, 64, TEXTS),
        "mix": news(model, TEXTS, options.news),
    }
    tasks = [head.name for head in model.bundle.heads]
    with serving(options.bundle) as (address, pid):
        samples = asyncio.run(
            _rounds(model, corpora, tasks, address, pid, options.rounds, options.seconds)
        )
    model.close()
    _report({name: median(values) for name, values in samples.items()}, corpora, options.rounds)


@contextlib.contextmanager
def serving(bundle: Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its address and process id."""
    command = [sys.executable, "-m", "polyhead_server", "serve", "--port", "0"]
    command += ["--metrics-port", "0", "--bundle", str(bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            found = re.search(r"ready on (\S+)", ready)
            if found is None:
                raise SystemExit(f"the server did not start: {ready}")
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(30)


async def _rounds(
    model: Model,
    corpora: dict[str, Corpus],
    tasks: list[str],
    address: str,
    pid: int,
    rounds: int,
    seconds: float,
) -> Samples:
    samples: Samples = defaultdict(list)
    raw = {kind: RawEngine(model, corpus) for kind, corpus in corpora.items()}
    calls = {
        (kind, form): prepare(corpus, size, tasks)
        for kind, corpus in corpora.items()
        for form, (size, _) in FORMS.items()
    }
    one = prepare(corpora["mix"], BATCH, tasks[:1])
    for number in range(rounds + 1):
        found: dict[str, float] = {}
        for kind in corpora:
            found[f"raw/{kind}"] = raw[kind].tokens_per_second(seconds)
            for form, (_, in_flight) in FORMS.items():
                outcome = await press(
                    address, pid, calls[kind, form], in_flight=in_flight, seconds=seconds
                )
                found |= _figures(f"{form}/{kind}", outcome)
                found[f"ratio/{form}/{kind}"] = outcome.tokens_per_second / found[f"raw/{kind}"]
        outcome = await press(address, pid, one, in_flight=BATCH_CALLS, seconds=seconds)
        found |= _figures("one-task/mix", outcome)
        found["ratio/tasks"] = outcome.tokens_per_second / found["batch32/mix"]
        if number:  # the first round only warms up
            for name, value in found.items():
                samples[name].append(value)
            print(f"round {number} of {rounds} done", file=sys.stderr)
    return samples


def _figures(name: str, outcome: Outcome) -> dict[str, float]:
    return {
        name: outcome.tokens_per_second,
        f"{name}/texts": outcome.texts / outcome.seconds,
        f"{name}/p50": outcome.latency(0.5),
        f"{name}/p99": outcome.latency(0.99),
        f"{name}/server_cpu_per_text": outcome.server_cpu / outcome.texts,
        f"{name}/client_cpu_per_text": outcome.client_cpu / outcome.texts,
    }


def _report(middle: dict[str, float], corpora: dict[str, Corpus], rounds: int) -> None:
    ratios = {
        "batch32_over_raw": min(middle[f"ratio/batch32/{kind}"] for kind in corpora),
        "single16_over_raw": middle["ratio/single/16"],
        "single64_over_raw": middle["ratio/single/64"],
        "four_tasks_over_one": middle["ratio/tasks"],
    }
    _print_table(middle, corpora, ratios)
    content = {
        "machine": {"cpus": usable_cpus(), "platform": platform.platform()},
        "rounds": rounds,
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "medians": {name: float(f"{value:.5g}") for name, value in middle.items()},
    }
    file = Path("build/bench.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {file}{os.linesep}", end="")


def _print_table(
    middle: dict[str, float], corpora: dict[str, Corpus], ratios: dict[str, float]
) -> None:
    print(f"{'texts':>14} {'form':>9} {'tokens/s':>10} {'texts/s':>9} {'over raw':>9}", end="")
    print(f" {'p50 ms':>8} {'p99 ms':>8} {'server us/text':>15} {'client us/text':>15}")
    for kind, corpus in corpora.items():
        print(f"{corpus.name:>14} {'raw':>9} {middle[f'raw/{kind}']:>10,.0f}")
        for form in FORMS:
            _print_row(corpus.name, form, kind, middle, middle[f"ratio/{form}/{kind}"])
    _print_row(corpora["mix"].name, "one-task", "mix", middle, None)
    print()
    for name, value in ratios.items():
        print(f"{name:>20} {value:.3f}")


def _print_row(
    title: str, form: str, kind: str, middle: dict[str, float], ratio: float | None
) -> None:
    name = f"{form}/{kind}"
    over = "" if ratio is None else f"{ratio:.3f}"
    print(
        f"{title:>14} {form:>9} {middle[name]:>10,.0f} {middle[f'{name}/texts']:>9,.0f} {over:>9}"
        f" {1e3 * middle[f'{name}/p50']:>8.2f} {1e3 * middle[f'{name}/p99']:>8.2f}"
        f" {1e6 * middle[f'{name}/server_cpu_per_text']:>15,.0f}"
        f" {1e6 * middle[f'{name}/client_cpu_per_text']:>15,.0f}"
    )


if __name__ == "__main__":
    main()
