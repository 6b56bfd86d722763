"""One fleet for all tests, each of which leaves it as it found it."""

from __future__ import annotations

import pytest

from tests.hosts.fleet import PROGRAMS, running_fleet
from tests.hosts.network import missing
from tests.server.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Two versions of a bundle."""
    folder = tmp_path_factory.mktemp("bundles")
    return {version: write_tiny_bundle(folder / version, version) for version in ("1", "2")}


@pytest.fixture(scope="session")
def fleet(tmp_path_factory, bundles):
    """Four servers and all that is around them; a failure where there cannot be hosts."""
    lacks = missing(PROGRAMS)
    if lacks:
        pytest.fail(lacks, pytrace=False)
    with running_fleet(tmp_path_factory.mktemp("fleet"), bundles["1"]) as fleet:
        yield fleet
