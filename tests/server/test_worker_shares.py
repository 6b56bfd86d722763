"""Workers share the processors and the queue's bound of the machine that they are on."""

from __future__ import annotations

import pytest
from background_server import primary, running

from polyhead_server.rollout import loading


@pytest.mark.parametrize(
    ("cpus", "workers", "tokens", "threads"),
    [(4, 1, 100, 2), (4, 2, 50, 2), (2, 2, 50, 1), (1, 1, 100, 1), (8, 3, 34, 2)],
)
async def test_shares(tiny_bundle, monkeypatch, cpus, workers, tokens, threads):
    """Outputs are made beside the engine where a worker has two processors to itself."""
    monkeypatch.setattr(loading, "usable_cpus", lambda: cpus)
    settings = {"workers": workers, "queue_tokens": 100, "streams": 1}
    async with running(tiny_bundle, **settings) as (server, _):
        batcher = primary(server).batcher
        assert batcher._bounds.queue_tokens == tokens
        assert len(batcher._threads._threads) == threads


async def test_several_engines_have_no_thread_more(tiny_bundle, monkeypatch):
    """Several engines keep the processors busy while one makes outputs: each has its own thread."""
    monkeypatch.setattr(loading, "usable_cpus", lambda: 2)
    async with running(tiny_bundle, streams=2) as (server, _):
        engines = primary(server).model.engine.streams  # no more than there are processors
        assert len(primary(server).batcher._threads._threads) == max(engines, 2)
