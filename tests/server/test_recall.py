"""A document runs once however many ask for it, and nobody pays for another's bad luck."""

from __future__ import annotations

import asyncio
import math

import pytest
from prometheus_client import CollectorRegistry

from polyhead_server.bundle import open_bundle
from polyhead_server.cache import Cache, CacheMetrics
from polyhead_server.errors import DeadlineExceededError, QueueFullError
from polyhead_server.heads import SpansOutput
from polyhead_server.model import load_encoder
from polyhead_server.recall import Recall, Wish
from polyhead_server.timings import Timings

PATIENCE = 10.0


@pytest.fixture(scope="module")
def encode(tiny_bundle):
    return load_encoder(open_bundle(tiny_bundle)).encode


class Waits:
    """An observer that counts."""

    def __init__(self) -> None:
        self.gone = self.late = 0

    def cancelled(self) -> None:
        self.gone += 1

    def expired(self) -> None:
        self.late += 1


class Setting:
    """A memory, and runs that wait until they are let go."""

    def __init__(self) -> None:
        self.metrics = CacheMetrics(CollectorRegistry())
        self.waits = Waits()
        self.recall = Recall(Cache(1 << 20, self.metrics), self.metrics, self.waits)
        self.runs: list[list[str]] = []
        self.gates: list[asyncio.Future[None]] = []
        self._begun = asyncio.Condition()

    async def fresh(self, documents):
        gate = asyncio.get_running_loop().create_future()
        async with self._begun:
            self.runs.append([document.text for document in documents])
            self.gates.append(gate)
            self._begun.notify_all()
        await gate
        results = [{"pos": SpansOutput((len(document.text),))} for document in documents]
        return results, Timings(encode=1.0)

    async def begun(self, runs):
        """Wait until so many runs have begun."""
        async with asyncio.timeout(PATIENCE), self._begun:
            await self._begun.wait_for(lambda: len(self.runs) >= runs)

    def ask(self, documents, *, deadline=math.inf, tasks=("pos",), **manner):
        wish = Wish("bundle", frozenset(tasks), deadline, **({"patient": False} | manner))
        return asyncio.ensure_future(self.recall.run(documents, wish, self.fresh))

    def counts(self):
        metrics = self.metrics
        return tuple(counter.value for counter in (metrics.hits, metrics.misses, metrics.shared))


async def settle():
    """Let tasks that were just made come to their first wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def now():
    return asyncio.get_running_loop().time()


async def test_one_run_for_all(encode):
    """Callers who come while a document is under way share its run; later ones find it kept."""
    setting = Setting()
    document = encode("the fans")
    calls = [setting.ask([document]) for _ in range(5)]
    await setting.begun(1)
    setting.gates[0].set_result(None)
    answers = await asyncio.gather(*calls)
    again, timings = await setting.ask([document])
    assert setting.runs == [["the fans"]]
    assert {answer[0][0]["pos"].spans for answer in answers} == {(8,)}
    assert again[0]["pos"].spans == (8,)
    assert timings == Timings()
    assert setting.counts() == (1, 1, 4)
    assert setting.recall._flights == {}


async def test_only_what_is_missing_runs(encode):
    """Of a request, only the documents that are neither kept nor under way are run, each once."""
    setting = Setting()
    texts = ["the", "fans", "word", "in"]
    the, fans, word, inn = map(encode, texts)
    first = setting.ask([the])
    await setting.begun(1)
    setting.gates[0].set_result(None)
    await first
    second = setting.ask([fans])
    await setting.begun(2)
    third = setting.ask([the, fans, word, inn, word])
    await setting.begun(3)
    setting.gates[2].set_result(None)
    await settle()
    assert not third.done()
    setting.gates[1].set_result(None)
    outputs, timings = await third
    await second
    assert setting.runs == [["the"], ["fans"], ["word", "in"]]
    assert [one["pos"].spans[0] for one in outputs] == [3, 4, 4, 2, 4]
    assert timings.encode == 1.0
    assert timings.queue > 0
    assert setting.counts() == (1, 4, 2)


async def test_cancelled_leader(encode):
    """Where the first caller goes away, one of the others runs the document for the rest."""
    setting = Setting()
    calls = [setting.ask([encode("the fans")]) for _ in range(4)]
    await setting.begun(1)
    calls[0].cancel()
    await setting.begun(2)
    await settle()
    setting.gates[1].set_result(None)
    answers = await asyncio.gather(*calls[1:])
    assert [answer[0][0]["pos"].spans for answer in answers] == [(8,)] * 3
    assert len(setting.runs) == 2
    assert calls[0].cancelled()


async def test_cancelled_follower(encode):
    """Where one who shares goes away, the run goes on for the others."""
    setting = Setting()
    leader, leaving, staying = (setting.ask([encode("the fans")]) for _ in range(3))
    await setting.begun(1)
    leaving.cancel()
    await settle()
    setting.gates[0].set_result(None)
    await leader
    await staying
    assert leaving.cancelled()
    assert len(setting.runs) == 1
    assert setting.waits.gone == 1


async def test_failures_are_not_kept(encode):
    """A failed run fails its own caller; others try for themselves, and so does who comes later."""
    setting = Setting()
    leader, other = (setting.ask([encode("the fans")]) for _ in range(2))
    await setting.begun(1)
    setting.gates[0].set_exception(QueueFullError(1.0))
    with pytest.raises(QueueFullError):
        await leader
    await setting.begun(2)
    setting.gates[1].set_exception(QueueFullError(1.0))
    with pytest.raises(QueueFullError):
        await other
    later = setting.ask([encode("the fans")])
    await setting.begun(3)
    setting.gates[2].set_result(None)
    await later
    assert setting.counts() == (0, 3, 0)


async def test_losses_are_bounded(encode):
    """Whoever has lost two leaders relies on none any more: all that are left run at once."""
    setting = Setting()
    calls = [setting.ask([encode("the fans")]) for _ in range(6)]
    for number in (0, 1):
        await setting.begun(number + 1)
        await settle()
        setting.gates[number].set_exception(QueueFullError(1.0))
    await setting.begun(6)
    for gate in setting.gates[2:]:
        gate.set_result(None)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, QueueFullError) for answer in answers) == 2
    assert setting.recall._flights == {}


async def test_each_has_its_own_deadline(encode):
    """One who shares is told when its own time is over; the run goes on for the others."""
    setting = Setting()
    leader = setting.ask([encode("the fans")], deadline=now() + PATIENCE)
    await setting.begun(1)
    with pytest.raises(DeadlineExceededError):
        await setting.ask([encode("the fans")], deadline=now() + 0.001)
    assert setting.waits.late == 1
    setting.gates[0].set_result(None)
    await leader


@pytest.mark.parametrize(
    ("leader", "follower"),
    [
        ({"deadline": 1.0}, {"deadline": 10.0}),
        ({"deadline": 10.0}, {}),
        ({"patient": True}, {}),
        ({}, {"tasks": ("pos", "topic")}),
    ],
)
async def test_no_sharing_with_worse(encode, leader, follower):
    """Nobody waits for a run that ends too soon, gives way to others, or lacks a task."""
    setting = Setting()
    for number, options in enumerate((leader, follower)):
        if "deadline" in options:
            options = options | {"deadline": now() + options["deadline"]}  # noqa: PLW2901
        setting.ask([encode("the fans")], **options)
        await setting.begun(number + 1)
    for gate in setting.gates:
        gate.set_result(None)


async def test_bundles_are_apart(encode):
    """What one bundle found says nothing about another's results."""
    setting = Setting()
    for number, bundle in enumerate(("one", "two")):
        wish = Wish(bundle, frozenset(["pos"]), math.inf, patient=False)
        run = asyncio.ensure_future(setting.recall.run([encode("fans")], wish, setting.fresh))
        await setting.begun(number + 1)
        setting.gates[number].set_result(None)
        await run
    assert setting.counts() == (0, 2, 0)
