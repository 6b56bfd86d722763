"""Ask for known vulnerabilities of every pinned package: python -m tools.audit [CONSTRAINTS].

Ends with 1 where there is one, with 0 where there is none, and with 0 and a line that says so where
the service that knows them cannot be reached: that is no fault of the packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_SERVICES = ("pypi", "osv")
_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Report:
    """What a service said."""

    asked: int
    """Packages that it knows."""
    skipped: tuple[str, ...]
    """Packages that it does not know."""
    faults: tuple[str, ...]
    """A line for each vulnerability."""


def read_report(text: str) -> Report | None:
    """What pip-audit found, from its JSON; None where no package was looked up.

    Args:
        text: its standard output.
    """
    try:
        items: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    skipped = tuple(item["name"] for item in items if "skip_reason" in item)
    if len(skipped) == len(items):
        return None
    faults = tuple(
        f"{item['name']} {item['version']}: {fault['id']}, fixed in "
        f"{', '.join(fault['fix_versions']) or 'no version yet'}"
        for item in items
        for fault in item.get("vulns", ())
    )
    return Report(len(items) - len(skipped), skipped, faults)


def conclude(report: Report | None) -> int:
    """Say what was found, on standard output; the exit status."""
    if report is None:
        _say("not audited: no vulnerability service can be reached from here")
        return 0
    for fault in report.faults:
        _say(fault)
    if report.skipped:
        _say(f"unknown to the service: {', '.join(report.skipped)}")
    _say(f"{report.asked} packages audited, {len(report.faults)} known vulnerabilities")
    return 1 if report.faults else 0


def main(arguments: list[str]) -> int:
    """Ask one service after another until one answers."""
    constraints = Path(arguments[0]) if arguments else _CONSTRAINTS
    answers = (read_report(_ask(service, constraints)) for service in _SERVICES)
    return conclude(next(filter(None, answers), None))


def _ask(service: str, constraints: Path) -> str:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints)]
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    where = ["--vulnerability-service", service, "--timeout", str(_SECONDS)]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [*command, *options, *where], capture_output=True, text=True, check=False
    )
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
