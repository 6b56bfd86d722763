"""The long form: every scenario, longer and with the default bundle, and throughput by hosts.

`make hosts` runs it as root; figures go to build/hosts.json, lines of a table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.settings import DEFAULT_BUNDLE
from tests.hosts.fleet import PROGRAMS, SERVERS, running_fleet
from tests.hosts.network import missing
from tests.hosts.quota import held_to
from tests.hosts.scenarios import known, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.hosts.fleet import Fleet
    from tests.hosts.scenarios import Outcome, Scenario

_AROUND = 200
_PART = 0.05
_CALLERS_A_HOST = 4
_FLOOD_SECONDS = 5.0
_OTHER = "other"


def main() -> int:
    """Run it; 0 where no call was lost and every p99 was within its bound."""
    parser = argparse.ArgumentParser(prog="tests.hosts", description=__doc__)
    parser.add_argument("--rate", type=float, default=30.0, help="calls a second, by both ways")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--out", type=Path, default=Path("build/hosts.json"))
    parser.add_argument("--only", nargs="*", help="names of scenarios")
    parsed = parser.parse_args()
    lacks = missing(PROGRAMS)
    if lacks:
        print(lacks, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="polyhead-hosts-") as folder:
        found, kept = _measure(Path(folder), parsed)
    parsed.out.parent.mkdir(exist_ok=True)
    parsed.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if kept else 1


def _measure(folder: Path, parsed: argparse.Namespace) -> tuple[dict[str, object], bool]:
    other = _other_version(parsed.bundle, folder / "other-bundle")
    scenarios = known(_OTHER, other, bursts=15).values()
    chosen = [one for one in scenarios if not parsed.only or one.name in parsed.only]
    kept, outcomes = True, []
    with running_fleet(folder, parsed.bundle.absolute()) as fleet:
        for scenario in chosen:
            found = run(fleet, scenario, parsed.rate, _AROUND)
            kept &= all(not one.lost and one.p99 <= scenario.p99 for one in found)
            outcomes += [asdict(one) for one in found]
            _tell(found, scenario)
        throughput = _throughput(fleet)
    machine = {"cpus": os.cpu_count(), "platform": platform.platform()}
    return {"machine": machine, "rate": parsed.rate, "outcomes": outcomes} | throughput, kept


def _tell(outcomes: Sequence[Outcome], scenario: Scenario) -> None:
    for one in outcomes:
        figures = " | ".join(f"{1000 * value:.0f}" for value in (one.median, one.p99, one.longest))
        counts = f"{one.calls} | {len(one.lost)}"
        print(f"| {one.scenario} | {one.way} | {counts} | {figures} | {1000 * scenario.p99:.0f} |")
        sys.stdout.flush()


def _throughput(fleet: Fleet) -> dict[str, object]:
    """Calls a second by number of hosts, each held to a small part of a core; ends all but one."""
    pids = [fleet.servers[name].process.pid for name in SERVERS]
    rates: list[float] = []
    with held_to(_PART, pids):
        for count in range(len(SERVERS), 0, -1):
            fleet.shrink(count)
            rates.insert(0, fleet.flood(_CALLERS_A_HOST * count, _FLOOD_SECONDS))
    for count, rate in enumerate(rates, start=1):
        print(f"| {count} | {rate:.0f} | {rate / rates[0]:.2f} |", flush=True)
    return {"part_of_a_core_a_host": _PART, "calls_per_second_by_hosts": rates}


def _other_version(bundle: Path, copy: Path) -> Path:
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    (copy / "manifest.json").write_text(json.dumps(manifest | {"version": _OTHER}))
    return copy


if __name__ == "__main__":
    sys.exit(main())
