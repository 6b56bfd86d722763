"""What is kept is what was put in, without its text, within bounds."""

from __future__ import annotations

import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from tiny_bundle import HEADS, write_tiny_bundle

from polyhead_server.bundle import open_bundle
from polyhead_server.cache import Cache, CacheMetrics, key_of
from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.model import load_encoder
from polyhead_server.spans import SpanOutput

MANY = 1 << 30


def outputs(words, *tasks):
    """Results of a document of so many words; they are views on a batch's arrays, as in life."""
    rng = np.random.default_rng(words)
    batch = rng.random((4 * words + 8, 3)).astype(np.float32)
    every = {
        "topic": ClassificationOutput(1, batch[2]),
        "pos": TaggingOutput(batch.argmax(axis=1)[3 : 3 + words], batch[3 : 3 + words, 0]),
        "entities": SpansOutput(tuple(_span(n, batch) for n in range(words // 3))),
    }
    return {task: every[task] for task in tasks or every}


def _span(number, batch):
    return SpanOutput(1000 + number, 2000 + number, 0, float(batch[number, 0]))


def cache(most=MANY):
    return Cache(most, CacheMetrics(CollectorRegistry()))


def evictions(kept):
    return kept._metrics.evictions.value


def same(one, other):
    """Whether two outputs agree to the bit."""
    if isinstance(one, ClassificationOutput):
        return one.index == other.index and one.scores.tobytes() == other.scores.tobytes()
    if isinstance(one, TaggingOutput):
        return (one.tags.tobytes(), one.scores.tobytes()) == (
            other.tags.tobytes(),
            other.scores.tobytes(),
        )
    return one == other


@given(st.integers(1, 60))
def test_kept_to_the_bit(words):
    """What is found is what was kept, bit by bit."""
    kept = cache()
    given_outputs = outputs(words)
    kept.keep(b"key", given_outputs)
    found = kept.find(b"key", ["topic", "pos", "entities"])
    assert all(same(found[task], output) for task, output in given_outputs.items())


def test_all_tasks_or_nothing():
    """A document is found where all tasks asked for are there; tasks come together over time."""
    kept = cache()
    kept.keep(b"key", outputs(5, "topic"))
    assert kept.find(b"key", ["topic", "pos"]) is None
    kept.keep(b"key", outputs(5, "pos"))
    assert kept.find(b"key", ["topic", "pos"]) is not None
    assert kept.find(b"other", []) is None
    assert len(kept) == 1


def test_arrays_stand_alone():
    """No batch's memory is held, and nobody can change what others are given."""
    own = cache().keep(b"key", outputs(5))
    for array in (own["topic"].scores, own["pos"].tags, own["pos"].scores):
        assert array.base is None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


Steps = st.lists(
    st.tuples(
        st.sampled_from(["keep", "find"]),
        st.integers(0, 7),
        st.sampled_from(["topic", "pos", "entities"]),
    ),
    max_size=60,
)


def size(number, tasks):
    """Bytes that a document's results take alone."""
    alone = cache()
    alone.keep(b"", outputs(number + 1, *tasks))
    return alone.size


@given(Steps, st.integers(500, 9_000))
def test_least_recently_used_goes_first(steps, most):
    """As a plain model has it: within bounds at every moment, what was unused longest goes."""
    kept = cache(most)
    model: OrderedDict[int, set[str]] = OrderedDict()
    for step, number, task in steps:
        there = model.get(number, set())
        if step == "find":
            assert (kept.find(bytes([number]), [task]) is not None) == (task in there)
            if task in there:
                model.move_to_end(number)
            continue
        kept.keep(bytes([number]), outputs(number + 1, task))
        if size(number, there | {task}) <= most:
            model[number] = there | {task}
            model.move_to_end(number)
        while (total := sum(size(*entry) for entry in model.items())) > most:
            model.popitem(last=False)
        assert [key[0] for key in kept._entries] == list(model)
        assert kept.size == total <= most


def test_too_large_is_not_kept():
    """A document that would not fit by itself leaves the others where they are."""
    kept = cache(3_000)
    kept.keep(b"small", outputs(3))
    kept.keep(b"large", outputs(500))
    assert kept.find(b"small", ["pos"]) is not None
    assert kept.find(b"large", ["pos"]) is None
    assert evictions(kept) == 0


@pytest.mark.parametrize("words", [1, 12, 300])
def test_memory_is_counted(words):
    """The bytes counted are no fewer than those that are held, and not many times as many."""
    kept = cache()
    outputs(words)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(300):
            kept.keep(number.to_bytes(24), outputs(words))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held <= kept.size <= 2 * held


TEXTS = ["the fans", "the Fans", "the fans in", "fans the", "the word " * 40, "the word " * 41]


def test_a_key_for_what_the_encoder_reads(tiny_bundle):
    """The same reading has the same key; any other text, case, split or bundle has another."""
    bundle = open_bundle(tiny_bundle)
    encode = load_encoder(bundle).encode
    keys = {key_of(encode(text), "a") for text in TEXTS}
    keys.add(key_of(encode(("thefans",)), "a"))
    keys.add(key_of(encode("the fans"), "b"))
    assert len(keys) == len(TEXTS) + 2
    assert key_of(encode("the  fans"), "a") == key_of(encode(("the", "fans")), "a")
    assert len(bundle.identity) == 64


def test_identity_tells_bundles_apart(tiny_bundle, tmp_path):
    """Another version, or another file under the same version, is another bundle."""
    newer = write_tiny_bundle(tmp_path / "newer", version="2")
    other = write_tiny_bundle(tmp_path / "other", heads=HEADS[1:])
    identities = [open_bundle(path).identity for path in (tiny_bundle, newer, other)]
    assert len(set(identities)) == 3
    assert open_bundle(tiny_bundle).identity == identities[0]
