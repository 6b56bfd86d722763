"""What heads say is counted by label and by probability, whole and once."""

from __future__ import annotations

import asyncio
import threading
import urllib.request

import numpy as np
import pytest
from background_server import PATIENCE, running
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.bundle import HeadSpec
from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.spans import SpanOutput
from polyhead_server.tallies import MOST_LABELS, Tallies

HEADS = (
    HeadSpec("sentiment", "classification", ("bad", "good"), "-"),
    HeadSpec("pos", "tagging", ("NOUN", "VERB", "X"), "-"),
    HeadSpec("entities", "spans", ("PER", "LOC"), "-"),
)
RESULTS = {
    "sentiment": ClassificationOutput(1, np.array((0.05, 0.95), np.float32)),
    "pos": TaggingOutput(np.array((0, 2, 0)), np.array((0.35, 0.9995, 0.85), np.float32)),
    "entities": SpansOutput((SpanOutput(0, 1, 1, 0.6), SpanOutput(2, 3, 1, 0.55))),
}


@pytest.fixture
def tallies():
    return Tallies()


@pytest.fixture
def value(tallies):
    registry = CollectorRegistry()
    registry.register(tallies)
    return lambda name, **labels: registry.get_sample_value(f"polyhead_{name}", labels)


def test_every_kind_of_head(tallies, value):
    """Labels of documents, words and spans are counted; labels that never came stand at 0."""
    own = tallies.of(HEADS)
    tallies.add(own, tuple(own), [RESULTS, RESULTS], windows=2)
    assert value("head_documents_total", task="pos") == 2
    assert value("labels_total", task="sentiment", label="good") == 2
    assert value("labels_total", task="sentiment", label="bad") == 0
    assert value("labels_total", task="pos", label="NOUN") == 4
    assert value("labels_total", task="pos", label="X") == 2
    assert value("labels_total", task="entities", label="LOC") == 4
    assert value("labels_total", task="entities", label="PER") == 0


def test_probabilities(tallies, value):
    """Buckets hold what is at most their bound; count and sum are those of all labels."""
    own = tallies.of(HEADS)
    tallies.add(own, ("pos",), [RESULTS], windows=1)
    counts = {
        bound: value("scores_bucket", task="pos", le=bound)
        for bound in ("0.3", "0.4", "0.8", "0.9", "0.999", "+Inf")
    }
    assert counts == {"0.3": 0, "0.4": 1, "0.8": 1, "0.9": 2, "0.999": 2, "+Inf": 3}
    assert value("scores_count", task="pos") == 3
    assert value("scores_sum", task="pos") == pytest.approx(0.35 + 0.9995 + 0.85)


def test_only_what_was_asked_for(tallies, value):
    """Results of other tasks, which a cache may give along, are not counted."""
    own = tallies.of(HEADS)
    tallies.add(own, ("pos",), [RESULTS], windows=1)
    assert value("labels_total", task="sentiment", label="good") == 0
    assert value("head_documents_total", task="sentiment") == 0


def test_bundles_share_a_head(tallies, value):
    """A head of several bundles counts on; one of the same name with other labels adds to it."""
    other = (HEADS[0], HeadSpec("pos", "tagging", ("X", "NOUN"), "-"))
    old, new = tallies.of(HEADS), tallies.of(other)
    assert old["sentiment"] is new["sentiment"]
    tallies.add(old, ("pos",), [RESULTS], windows=1)
    tags = {"pos": TaggingOutput(np.array((1,)), np.array((0.5,), np.float32))}
    tallies.add(new, ("pos",), [tags], windows=1)
    assert value("labels_total", task="pos", label="NOUN") == 3


def test_many_labels_are_bounded(tallies, value):
    """A head with more labels than are told apart has the rest in one count."""
    labels = tuple(map(str, range(MOST_LABELS + 50)))
    own = tallies.of((HeadSpec("topic", "tagging", labels, "-"),))
    tags = np.array((0, MOST_LABELS - 1, MOST_LABELS, MOST_LABELS + 49))
    tallies.add(
        own, ("topic",), [{"topic": TaggingOutput(tags, np.ones(4, np.float32))}], windows=1
    )
    assert value("labels_total", task="topic", label=str(MOST_LABELS - 1)) == 1
    assert value("labels_total", task="topic", label=str(MOST_LABELS)) is None
    assert value("labels_total", task="topic", label="(others)") == 2


def test_nothing_is_lost_between_threads(tallies, value):
    """Reading while answers come loses none and counts none twice."""
    own = tallies.of(HEADS)
    done = threading.Event()

    def read():
        while not done.is_set():
            value("labels_total", task="pos", label="X")

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2_000):
        tallies.add(own, tuple(own), [RESULTS], windows=1)
    done.set()
    reader.join(PATIENCE)
    assert value("labels_total", task="pos", label="X") == 2_000
    assert value("head_documents_total", task="entities") == 2_000


async def test_served(tiny_bundle):
    """A server tells of labels, scores, lanes and its own process."""
    documents = [doc.Document(text="the fans in the word")] * 3
    request = pb.AnnotateRequest(documents=documents, tasks=["*"])
    async with running(tiny_bundle, metrics_port=0) as (server, stub):
        await stub.Annotate(request, timeout=PATIENCE)
        page = await asyncio.to_thread(_read, server.ready.metrics)
    samples = [
        sample for family in text_string_to_metric_families(page) for sample in family.samples
    ]

    def total(name, **labels):
        return sum(
            sample.value
            for sample in samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    assert total("polyhead_labels_total", task="pos") == 3 * 5
    assert total("polyhead_scores_count", task="sentiment") == 3
    assert total("polyhead_head_documents_total", task="entities") == 3
    assert total("polyhead_lane_wait_seconds_count", lane="interactive") == 1
    assert [sample.value for sample in samples if sample.name == "polyhead_lane_tokens"] == [0, 0]
    assert total("process_resident_memory_bytes") > 0


def _read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own
        return answer.read().decode()
