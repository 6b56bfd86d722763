"""Warm-up is short, begins with short batches, and is gone on with behind the first callers."""

import math
import threading

import pytest
from tiny_bundle import HIDDEN

from polyhead_server.engine import EngineOptions
from polyhead_server.errors import StartError
from polyhead_server.model import Model
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.packing import ladder, ladder_of_rows, pack
from polyhead_server.warming import Warming


class NotedEngine(OpenVinoEngine):
    """Notes which thread ran which length."""

    def infer(self, batch):
        if not hasattr(self, "runs"):
            self.runs = []
        self.runs.append((len(batch.ids), threading.get_ident()))
        return super().infer(batch)


@pytest.fixture
def model(tiny_bundle):
    model = Model.load(tiny_bundle, threads=1)
    yield model
    model.close()


@pytest.fixture
def noted(tiny_bundle, model):
    """A function that gives the model an engine that notes."""
    plain = model.engine

    def make():
        options = EngineOptions(threads=1)
        graph = tiny_bundle / "encoder.xml"
        model.engine = NotedEngine(graph, options, hidden_size=HIDDEN, exact=True)
        model.engine.runs.clear()
        plain.close()
        return model.engine

    return make


def test_every_length_is_run_shortest_first(model, noted):
    """Once, in order, in one row and in several, and nothing is left."""
    engine = noted()
    assert model.warm(300, together=192) == 0
    assert [length for length, _ in engine.runs] == sorted(ladder(300) + ladder_of_rows(192))


def test_warming_ends_with_its_time(model, noted):
    """Without time only the shortest length is run; a thread runs the others."""
    engine = noted()
    lengths = sorted(ladder(128) + ladder_of_rows(128))
    assert model.warm(128, seconds=0) == len(lengths) - 1
    assert [length for length, _ in engine.runs] == lengths[:1]
    model.warm_rest()
    model._warming._rest.join()
    assert [length for length, _ in engine.runs] == lengths
    assert len({thread for _, thread in engine.runs}) == 2


def test_every_stream_is_warmed(model, noted):
    """A stream is a thread that calls: each length is run in as many at a time."""
    engine = noted()
    engine.streams = 2  # OpenVINO has no more than there are processors
    model.warm(32)
    engine.streams = 1
    assert [length for length, _ in engine.runs] == [16, 16, 32, 32]
    assert len({thread for _, thread in engine.runs[:2]}) == 2


def test_closing_ends_the_warming(model, noted, monkeypatch):
    """What is left then is not run, and the engine is not pulled from under it."""
    engine = noted()
    infer = engine.infer
    entered, go_on = threading.Event(), threading.Event()

    def infer_when_let(batch):
        entered.set()
        assert go_on.wait(10)
        return infer(batch)

    monkeypatch.setattr(engine, "infer", infer_when_let)
    batches = [pack(model.tokenize("warm").windows)] * 1000
    warming = Warming(engine, batches)
    warming.run_rest()
    assert entered.wait(10)
    stopping = threading.Thread(target=warming.stop)
    stopping.start()
    assert warming._stopped.wait(10)
    go_on.set()
    stopping.join(10)
    assert not stopping.is_alive()
    assert warming.left == 999
    assert warming.run(math.inf) == 999


@pytest.fixture
def faulty(model, monkeypatch):
    """A model whose engine computes 32 tokens wrong, as one does that was met."""
    infer = model.engine.infer

    def wrong(batch):
        hidden = infer(batch)
        return hidden[::-1] if len(batch.ids) == 32 else hidden

    monkeypatch.setattr(model.engine, "infer", wrong)
    return model


def test_a_length_that_is_computed_wrong_is_no_secret(faulty):
    """Where the machine gets one length wrong nothing is served."""
    with pytest.raises(StartError, match="batches of 32 tokens"):
        faulty.warm(64)


def test_a_length_that_is_found_wrong_later_is_logged(faulty, capsys):
    """Lengths that are warmed behind the first callers are checked, too."""
    faulty.warm(64, seconds=0)
    faulty.warm_rest()
    faulty._warming._rest.join()
    assert "length_computed_wrong" in capsys.readouterr().out
