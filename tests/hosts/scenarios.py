"""What happens to hosts in a year, in seconds: each under load, each undone at its end."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.hosts.fleet import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.hosts.fleet import Fleet, Load
    from tests.hosts.load import Call

FIRST, *OTHERS = SERVERS
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the calls of one way during one scenario."""

    scenario: str
    way: str
    calls: int
    lost: tuple[str, ...]
    """Why, one for each."""
    median: float
    p99: float
    longest: float
    """Seconds, waits of every kind and retries included."""
    versions: tuple[str, ...]
    """Of the bundles that answered, in order of their first answer."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that happens, and how long calls may take meanwhile."""

    name: str
    happens: Callable[[Fleet, Load], None]
    p99: float
    """Seconds that 99 of 100 calls take at most, by either way."""


def run(fleet: Fleet, scenario: Scenario, rate: float, around: int) -> list[Outcome]:
    """Run a scenario under load.

    Args:
        fleet: up and healthy, as it is again afterwards.
        scenario: what happens.
        rate: calls a second.
        around: calls before it and after it.
    """
    with fleet.load(rate) as load:
        load.await_calls(around)
        scenario.happens(fleet, load)
        load.await_calls(around)
    ways: dict[str, list[Call]] = {}
    for call in load.calls:
        ways.setdefault(call.way, []).append(call)
    return [_outcome(scenario.name, way, calls) for way, calls in sorted(ways.items())]


def _outcome(scenario: str, way: str, calls: Sequence[Call]) -> Outcome:
    seconds = sorted(call.seconds for call in calls)
    return Outcome(
        scenario=scenario,
        way=way,
        calls=len(calls),
        lost=tuple(call.error for call in calls if call.error),
        median=seconds[len(seconds) // 2],
        p99=seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        longest=seconds[-1],
        versions=tuple(dict.fromkeys(call.version for call in calls if not call.error)),
    )


def nothing(fleet: Fleet, load: Load) -> None:
    """For comparison."""
    load.await_calls(100)


def rolling_upgrade(fleet: Fleet, load: Load) -> None:
    """Every server in turn is drained and started again."""
    for name in SERVERS:
        fleet.drain(name)
        fleet.start(name)
        fleet.servers[name].ready()
        fleet.await_healthy(len(SERVERS))


def rolling_bundle(version: str, bundle: Path) -> Callable[[Fleet, Load], None]:
    """Every server in turn loads another bundle."""

    def happens(fleet: Fleet, load: Load) -> None:
        fleet.serve_from(bundle)
        for name in SERVERS:
            fleet.reload(name, version)

    return happens


def killed(fleet: Fleet, load: Load) -> None:
    """A server ends at once, in the midst of calls; Prometheus sees it; it comes back."""
    fleet.kill(FIRST)
    fleet.await_healthy(len(OTHERS))
    fleet.await_up(len(OTHERS))
    fleet.start(FIRST)
    _all_are_back(fleet)


def cut_off(fleet: Fleet, load: Load) -> None:
    """A server's cable is pulled out: its connections are silent, not closed; it comes back."""
    host = fleet.hosts[FIRST]
    host.cut()
    fleet.await_healthy(len(OTHERS))
    fleet.await_up(len(OTHERS))
    host.join()
    _all_are_back(fleet)


def frozen(fleet: Fleet, load: Load) -> None:
    """A server stands still, while its kernel keeps its connections alive; it goes on."""
    server = fleet.servers[FIRST]
    server.send(signal.SIGSTOP)
    fleet.await_healthy(len(OTHERS))
    fleet.await_up(len(OTHERS))
    server.send(signal.SIGCONT)
    _all_are_back(fleet)


def slowed(bursts: int) -> Callable[[Fleet, Load], None]:
    """A server stands still for half of the time, in short turns: too short to be taken out."""

    def happens(fleet: Fleet, load: Load) -> None:
        for _ in range(bursts):
            for number in (signal.SIGSTOP, signal.SIGCONT):
                fleet.servers[FIRST].send(number)
                time.sleep(_PAUSE_SECONDS)

    return happens


def slow_link(fleet: Fleet, load: Load) -> None:
    """A server's link lets next to nothing through."""
    fleet.hosts[FIRST].narrow(kilobits=64)
    load.await_calls(200)
    fleet.hosts[FIRST].widen()


def scaled(fleet: Fleet, load: Load) -> None:
    """From four servers to one, and from one to four, by the addresses of their name alone."""
    fleet.publish([FIRST])
    for name in OTHERS:
        fleet.drain(name)
    fleet.await_known(1)
    for name in OTHERS:
        fleet.start(name)
    for name in OTHERS:
        fleet.servers[name].ready()
    fleet.publish(SERVERS)
    _all_are_back(fleet)


def _all_are_back(fleet: Fleet) -> None:
    fleet.await_healthy(len(SERVERS))
    fleet.await_up(len(SERVERS))


def known(version: str, bundle: Path, bursts: int) -> dict[str, Scenario]:
    """Every scenario by its name, with another version of the bundle, and so many slow turns."""
    everything = (
        Scenario("steady", nothing, p99=1.0),
        Scenario("rolling upgrade", rolling_upgrade, p99=3.0),
        Scenario("rolling bundle", rolling_bundle(version, bundle), p99=5.0),
        Scenario("host killed", killed, p99=3.0),
        Scenario("host cut off", cut_off, p99=6.0),
        Scenario("host frozen", frozen, p99=6.0),
        Scenario("host slowed", slowed(bursts), p99=3.0),
        Scenario("slow link", slow_link, p99=3.0),
        Scenario("scaled to one and back", scaled, p99=3.0),
    )
    return {one.name: one for one in everything}
