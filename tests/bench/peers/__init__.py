"""Peers on the same machine, each beside ours: see README.md in this folder.

`measure` takes `Options` and gives what is written as JSON; `table` makes text of it, and `missed`
names the bars that were not reached. It needs the environments that `make bench-peers` makes:
`installed` tells whether they are there.
"""

from __future__ import annotations

from tests.bench.peers.driver import NotInstalledError, Options, installed, measure
from tests.bench.peers.table import missed, table

__all__ = ["NotInstalledError", "Options", "installed", "measure", "missed", "table"]
