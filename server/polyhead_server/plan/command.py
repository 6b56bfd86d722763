"""The command `polyhead-server plan`."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from polyhead_server.errors import SettingsError
from polyhead_server.plan.calibrate import calibrate
from polyhead_server.plan.measured import read_speed, write_speed
from polyhead_server.plan.sizing import Demand, size
from polyhead_server.settings import DEFAULT_BUNDLE

if TYPE_CHECKING:
    import argparse

    from polyhead_server.plan.sizing import Plan, Speed

_LONGEST = 2.0
_UNITS = {"ms": 0.001, "s": 1.0}


def add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "plan",
        help="how many cores and replicas a load needs, and what it costs",
        description="Says how many cores and replicas a load needs, from what a text costs here or "
        "on the machine that was measured, with one replica to spare and a quarter of the capacity "
        "free at the peak, and what a million texts cost.",
        allow_abbrev=False,
    )
    parser.add_argument("--rps", type=float, required=True, help="texts a second at the peak")
    parser.add_argument(
        "--p99",
        type=_duration,
        required=True,
        metavar="TIME",
        help="time that 99 of 100 calls may take, network not included: 50ms, 0.05s or 0.05",
    )
    parser.add_argument("--length", type=int, required=True, help="tokens of a text, on average")
    parser.add_argument("--longest", type=int, help="tokens of the longest in 100; twice --length")
    _add_replicas(parser)
    _add_speed(parser)
    parser.add_argument(
        "--price-per-core-hour", type=float, metavar="PRICE", help="in whatever currency"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(command=_plan)


def _add_replicas(parser: argparse.ArgumentParser) -> None:
    defaults = {field.name: field.default for field in fields(Demand)}
    texts = {
        "cores_per_replica": "cores of each replica",
        "efficiency": "what each further core of a replica adds, as a part of the first one's",
        "headroom": "part of the capacity that the peak leaves free",
        "failures": "replicas that may be lost at the peak",
        "variation": "squared coefficient of variation of service times",
    }
    for name, text in texts.items():
        default = defaults[name]
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            help=f"{text} [default {default}]",
        )
    parser.add_argument(
        "--random",
        action="store_true",
        help="calls go to any replica, not by the gateway to one with few calls",
    )


def _add_speed(parser: argparse.ArgumentParser) -> None:
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--measured",
        type=Path,
        metavar="FILE",
        help="what a text costs: build/bench.json of `make bench`, or a file by --save",
    )
    speed.add_argument(
        "--calibrate",
        action="store_true",
        help="measure it on this machine, which takes some 15 seconds; the default",
    )
    parser.add_argument(
        "--bundle", type=Path, default=DEFAULT_BUNDLE, metavar="PATH", help="what to measure with"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write what was measured there")


def _duration(text: str) -> float:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def _plan(parsed: argparse.Namespace) -> int:
    price = parsed.price_per_core_hour
    if price is not None and not 0 <= price < math.inf:
        raise SettingsError([f"--price-per-core-hour: {price:g} is out of range"])
    demand = Demand(
        rps=parsed.rps,
        p99=parsed.p99,
        length=parsed.length,
        longest=parsed.longest or _LONGEST * parsed.length,
        cores_per_replica=parsed.cores_per_replica,
        efficiency=parsed.efficiency,
        headroom=parsed.headroom,
        failures=parsed.failures,
        pooled=not parsed.random,
        variation=parsed.variation,
    )
    speed = _speed(parsed, demand)
    plan = size(demand, speed)
    found = _found(plan, demand, speed, price)
    if parsed.json:
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(plan, demand, speed, found.get("price_per_million_texts"))
    return 0


def _speed(parsed: argparse.Namespace, demand: Demand) -> Speed:
    if parsed.save is not None and not parsed.save.parent.is_dir():  # told before it is measured
        raise SettingsError([f"--save: there is no folder {parsed.save.parent}"])
    if parsed.measured is not None:
        speed = read_speed(parsed.measured)
    else:
        speed = calibrate(parsed.bundle, round(demand.length), round(demand.longest))
    if parsed.save is not None:
        write_speed(speed, parsed.save)
    return speed


def _found(plan: Plan, demand: Demand, speed: Speed, price: float | None) -> dict[str, Any]:
    found = {"demand": asdict(demand), "speed": asdict(speed), "plan": asdict(plan)}
    if price is None:
        return found
    return found | {"price_per_million_texts": plan.price_per_million(price, demand.rps)}


def _show(plan: Plan, demand: Demand, speed: Speed, price: float | None) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "replicas": f"{plan.replicas}, of which {demand.failures} may be lost",
        "cores": f"{plan.cores}",
        "utilisation": f"{plan.utilisation:.0%}; {plan.utilisation_after_failures:.0%} "
        f"with {demand.failures} lost",
        "p99": f"{plan.p99 * 1000:.1f} ms expected then, {demand.p99 * 1000:g} ms allowed",
        "one text": f"{plan.service * 1000:.2f} ms on an idle replica",
        "capacity": f"{plan.capacity:.0f} texts/s at the most",
        "measured": speed.source,
    }
    if price is not None:
        rows["price"] = f"{price:.4g} for a million texts at this rate"
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table, highlight=False)
