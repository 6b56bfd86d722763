"""No call is lost whatever happens to one host of four, and none takes long, by either way."""

from __future__ import annotations

import pytest

from tests.hosts.fleet import SERVERS
from tests.hosts.scenarios import known, run

RATE = 20.0
AROUND = 30
NAMES = ("rolling upgrade", "host killed", "host cut off", "host slowed", "scaled to one and back")


@pytest.fixture(scope="session")
def scenarios(bundles):
    return known("2", bundles["2"], bursts=6)


@pytest.mark.parametrize("name", NAMES)
def test_no_call_is_lost(fleet, scenarios, name):
    """By the gateway and by clients that balance themselves, each call is answered, and in time."""
    scenario = scenarios[name]
    outcomes = run(fleet, scenario, RATE, AROUND)
    assert {one.way for one in outcomes} == {"direct", "gateway"}
    _check(outcomes, scenario)


def test_rolling_bundle(fleet, scenarios):
    """One server after the other loads another bundle; each answer is by the old or the new one."""
    outcomes = run(fleet, scenarios["rolling bundle"], RATE, AROUND)
    _check(outcomes, scenarios["rolling bundle"])
    assert [one.versions for one in outcomes] == [("1", "2"), ("1", "2")]


def test_every_server_works_by_both_ways(fleet, scenarios):
    """Steady load reaches all four servers, and Prometheus counts it."""
    _check(run(fleet, scenarios["steady"], RATE, AROUND), scenarios["steady"])
    for name in SERVERS:
        address = fleet.hosts[name].address
        query = f'sum(grpc_server_handled_total{{grpc_code="OK",instance=~"{address}:.*"}})'
        assert fleet.ask_prometheus(query) > 0


def _check(outcomes, scenario):
    told = "\n".join(map(str, outcomes))
    print(told)
    assert [one.lost for one in outcomes] == [(), ()], told
    assert max(one.p99 for one in outcomes) < scenario.p99, told
