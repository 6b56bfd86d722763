"""No call is lost whatever happens to one host of four, and none takes long, by either way."""

from __future__ import annotations

import pytest

from tests.hosts import scenarios
from tests.hosts.fleet import SERVERS
from tests.hosts.scenarios import Scenario, run

RATE = 20.0
AROUND = 30
SCENARIOS = [
    Scenario("rolling upgrade", scenarios.rolling_upgrade, p99=3.0),
    Scenario("host killed", scenarios.killed, p99=3.0),
    Scenario("host cut off", scenarios.cut_off, p99=6.0),
    Scenario("host slowed", scenarios.slowed(bursts=6), p99=3.0),
    Scenario("scaled to one and back", scenarios.scaled, p99=3.0),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_no_call_is_lost(fleet, scenario):
    """By the gateway and by clients that balance themselves, each call is answered, and in time."""
    outcomes = run(fleet, scenario, RATE, AROUND)
    assert {one.way for one in outcomes} == {"direct", "gateway"}
    _check(outcomes, scenario)


def test_rolling_bundle(fleet, bundles):
    """One server after the other loads another bundle; each answer is by the old or the new one."""
    changed = Scenario("rolling bundle", scenarios.rolling_bundle("2", bundles["2"]), p99=5.0)
    outcomes = run(fleet, changed, RATE, AROUND)
    _check(outcomes, changed)
    assert [one.versions for one in outcomes] == [("1", "2"), ("1", "2")]


def test_every_server_works_by_both_ways(fleet):
    """Steady load reaches all four servers, and Prometheus counts it."""
    steady = Scenario("steady", scenarios.nothing, p99=1.0)
    _check(run(fleet, steady, RATE, AROUND), steady)
    for name in SERVERS:
        address = fleet.hosts[name].address
        query = f'sum(grpc_server_handled_total{{grpc_code="OK",instance=~"{address}:.*"}})'
        assert fleet.ask_prometheus(query) > 0


def _check(outcomes, scenario):
    told = "\n".join(map(str, outcomes))
    print(told)
    assert [one.lost for one in outcomes] == [(), ()], told
    assert max(one.p99 for one in outcomes) < scenario.p99, told
