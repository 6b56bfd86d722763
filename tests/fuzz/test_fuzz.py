"""A few thousand requests that nobody meant, the same in every run."""

from __future__ import annotations

import random

import pytest
from tiny_bundle import write_tiny_bundle

from tests.fuzz import campaign, decoders
from tests.fuzz.mutations import mutated
from tests.fuzz.oracle import Verdicts

SEED = 20_261_124


def test_live_server(tmp_path):
    """No crash, no hang, no undocumented status, nothing of the inside in any answer or the log."""
    bundle = write_tiny_bundle(tmp_path / "bundle")
    found = campaign.run(bundle, tmp_path, 3_000, SEED, pool=60)
    assert found["problems"] == [], found["ended"]
    assert found["requests"] >= 3_000
    kinds = {ended.split()[0] for ended in found["ended"]}
    assert {"Annotate", "ModelInfer", "stream", "http", "raw", "frames"} <= kinds


def test_readers():
    """What reads strangers' bytes refuses them with the error that it documents."""
    tried = decoders.try_readers(300, random.Random(SEED), 60)
    assert set(tried.values()) == {300}


@pytest.mark.parametrize(
    "text", [b"ValueError: no", b'File "/a/b.py", line 3', b"Traceback (most recent"]
)
def test_leaks_are_seen(text):
    """The judge itself: words of our inside are noticed, those of the request are the caller's."""
    verdicts = Verdicts()
    verdicts.text("call", text, b"")
    assert verdicts.failures
    own = Verdicts()
    own.text("call", text, text)
    assert not own.failures


def test_undocumented_status_is_seen():
    """INTERNAL and UNKNOWN are problems, however harmless their text."""
    verdicts = Verdicts()
    verdicts.status("Annotate", "INTERNAL", "internal error", b"")
    verdicts.http("http", 500, b"{}", b"")
    assert verdicts.failures == 2


def test_mutations_are_the_same_again():
    """A seed tells the mutations."""
    data = [b"the fans in the word", b"{}"]
    once, again = (mutated(data[0], data, random.Random(7)) for _ in range(2))
    assert once == again != data[0]
