"""Torch and OpenVINO behind one interface give the same vectors, and the same answers."""

import numpy as np
import pytest
import torch

from polyhead_server.engine import OpenVinoEngine
from polyhead_server.heads import SpansOutput, load_head
from polyhead_server.model import Model
from polyhead_server.packing import pack
from polyhead_training.config import load_config
from polyhead_training.evaluation import annotate
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.workshop import reopen_workshop

CPU = torch.device("cpu")
TEXTS = (
    "The film was good.",
    "x",
    ("Ann", "met", "\ufffd", "Bob", "in", "Oslo", "."),
    "The river seemed wide and the garden looked ugly in Rome.",
    "The train was long. " * 12,
)


@pytest.fixture(scope="module")
def shop(toy):
    """The trained network."""
    return reopen_workshop(load_config(toy.config), {}, toy.run)


@pytest.fixture(scope="module")
def windows(shop):
    """All windows of the texts: of different lengths, in a batch that has to be filled up."""
    encoder = shop.assets.encoder()
    windows = [window for text in TEXTS for window in encoder.encode(text).windows]
    assert len({len(window.ids) for window in windows}) > 3
    assert pack(windows).used < len(pack(windows).ids)
    return windows


@pytest.fixture(params=["torch", "openvino"])
def engine(request, shop, toy):
    """Each engine over the same weights, in fp32."""
    if request.param == "torch":
        engine = TorchEngine(shop.network.eval().encoder, CPU)
    else:
        engine = OpenVinoEngine(toy.bundle / "encoder.xml", hidden_size=32, threads=1, exact=True)
    yield engine
    engine.close()


@torch.inference_mode()
def plain(shop, window):
    """One window by itself through the transformer, as its authors run it."""
    ids = torch.from_numpy(window.ids).long()[None]
    transformer = shop.network.eval().encoder.transformer
    vectors = transformer.get_input_embeddings()(ids)
    shapes = shop.network.encoder.shapes(torch.from_numpy(window.shapes).long()[None])
    return transformer(inputs_embeds=vectors + shapes).last_hidden_state[0].numpy()


def test_packed_equals_one_by_one(engine, shop, windows):
    """Each window of a packed batch has the vectors of a plain run of its own, to 1e-4."""
    batch = pack(windows)
    hidden = engine.infer(batch)
    assert hidden.shape == (len(batch.ids), 32)
    assert hidden.dtype == np.float32
    for start, window in zip(batch.starts, windows, strict=True):
        ours = hidden[start : start + len(window.ids)]
        np.testing.assert_allclose(ours, plain(shop, window), atol=1e-4)


def test_a_batch_may_be_longer_than_any_window(engine, shop, windows):
    """The encoder's number of positions limits windows, not batches."""
    batch = pack(windows * 40)
    assert batch.used > 2_000
    hidden = engine.infer(batch)
    last = batch.starts[-1]
    ours = hidden[last : last + len(windows[-1].ids)]
    np.testing.assert_allclose(ours, plain(shop, windows[-1]), atol=1e-4)


def test_both_models_answer_alike(shop, toy):
    """Every head of the bundle, temperature and all, on short and long text."""
    served = Model.load(toy.bundle, threads=1)
    heads = {head.name: load_head(toy.bundle, head, 32) for head in served.bundle.heads}
    engine = TorchEngine(shop.network.eval().encoder, CPU)
    reference = Model(served.bundle, shop.assets.encoder(), engine, heads)
    for head in served.bundle.heads:
        pairs = zip(
            annotate(served, TEXTS, head.name), annotate(reference, TEXTS, head.name), strict=True
        )
        for (document, ours), (_, theirs) in pairs:
            if isinstance(ours, SpansOutput):
                key = [(s.first, s.end, s.label) for s in ours.spans]
                assert key == [(s.first, s.end, s.label) for s in theirs.spans]
            else:
                np.testing.assert_allclose(ours.scores, theirs.scores, atol=5e-4)
            if head.kind == "tagging":
                assert len(ours.tags) == len(document.words)
    served.close()
