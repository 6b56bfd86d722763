"""Torch and OpenVINO behind one interface give the same vectors, and the same answers."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_server.cli import main
from polyhead_server.cpu_features import CpuFeatures
from polyhead_server.engine import EngineOptions
from polyhead_server.errors import BundleError
from polyhead_server.heads import SpansOutput
from polyhead_server.model import Model
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.packing import Packed, pack
from polyhead_server.self_check import CHECK_FILE, check_engine
from polyhead_training.config import load_config
from polyhead_training.evaluation import annotate
from polyhead_training.export_parts import write_encoder_parts
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.torch_engine_bundle import TORCH_FILE
from polyhead_training.workshop import reopen_workshop

CPU = torch.device("cpu")
TEXTS = (
    "The film was good.",
    "x",
    ("Ann", "met", "\ufffd", "Bob", "in", "Oslo", "."),
    "The river seemed wide and the garden looked ugly in Rome.",
    "The train was long. " * 12,
)
ENGINES = ("torch", "torch, two streams", "openvino", "openvino, two streams", "openvino, not int8")


@pytest.fixture(scope="module")
def shop(toy):
    """The trained network."""
    shop = reopen_workshop(load_config(toy.config), {}, toy.run)
    shop.network.eval()
    return shop


@pytest.fixture(scope="module")
def bundle(shop, toy, tmp_path_factory):
    """The trained bundle with weights for both engines."""
    place = tmp_path_factory.mktemp("both") / "bundle"
    shutil.copytree(toy.bundle, place)
    export = replace(shop.config.export, torch=True)
    whole = replace(shop, config=replace(shop.config, export=export))
    manifest = open_bundle(place).manifest
    encoder = write_encoder_parts(whole, place, manifest.encoder)
    seal_bundle(place, replace(manifest, encoder=encoder))
    return place


@pytest.fixture(scope="module")
def windows(shop):
    """All windows of the texts: of different lengths, in a batch that has to be filled up."""
    encoder = shop.assets.encoder()
    windows = [window for text in TEXTS for window in encoder.encode(text).windows]
    assert len({len(window.ids) for window in windows}) > 3
    assert pack(windows).used < len(pack(windows).ids)
    return windows


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, bundle):
    """Each engine over the same weights, in f32, as the server makes it."""
    name, _, rest = request.param.partition(", ")
    streams = 2 if rest == "two streams" else 1
    options = EngineOptions(precision="f32", streams=streams)
    if rest == "not int8":
        cpu = CpuFeatures("old", int8=False, bf16=False)
        graph = bundle / "encoder.xml"
        engine = OpenVinoEngine(graph, options, hidden_size=32, cpu=cpu)
    else:
        engine = Model.load(bundle, threads=2, engine=name, options=options).engine
    yield engine
    engine.close()


@torch.inference_mode()
def plain(shop, window):
    """One window by itself through the transformer, as its authors run it."""
    ids = torch.from_numpy(window.ids).long()[None]
    transformer = shop.network.encoder.transformer
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


@settings(max_examples=15, deadline=None)
@given(length=st.integers(1, 31), seed=st.integers(0, 2**16))
def test_any_length_off_the_ladder(engine, shop, length, seed):
    """Odd lengths, any ids, positions and shapes: as the network in training has them."""
    rng = np.random.default_rng(seed)
    ids, shapes, segments = rng.integers(0, (90, 8, 3), (length, 3)).T.astype(np.int32)
    positions = rng.integers(0, 32, length, np.int32)
    columns = (np.ascontiguousarray(c) for c in (ids, positions, np.sort(segments), shapes))
    batch = Packed(*columns, (0,), length)
    reference = TorchEngine(shop.network.encoder, CPU).infer(batch)
    np.testing.assert_allclose(engine.infer(batch), reference, atol=1e-4)


def test_what_tells_tokens_apart(engine, windows):
    """Position, segment and shape all matter; the number of a segment does not."""
    batch = pack(windows[:2])
    here = engine.infer(batch).copy()
    other = engine.infer(replace(batch, segments=batch.segments + 5)).copy()
    np.testing.assert_allclose(other, here, atol=1e-4)
    for changed in (
        replace(batch, positions=batch.positions[::-1].copy()),
        replace(batch, segments=np.zeros_like(batch.segments)),
        replace(batch, shapes=(batch.shapes + 1) % 8),
    ):
        assert np.abs(engine.infer(changed)[: batch.used] - here[: batch.used]).max() > 1e-2


def test_calls_from_several_threads(engine, windows):
    """More threads than streams: each has its own results until it calls again."""
    batches = [pack([window]) for window in windows[:4]]
    alone = [engine.infer(batch).copy() for batch in batches]
    together = threading.Barrier(len(batches))
    differences = []

    def work(batch, expected):
        together.wait(10)
        for _ in range(10):
            mine = engine.infer(batch)
            together.wait(10)
            differences.append(float(np.abs(mine - expected).max()))

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(batches, alone, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(differences) == 40
    assert max(differences) < 1e-4


def test_what_the_engine_says_of_itself(engine):
    """What it computes in, on what, with how many streams."""
    assert engine.facts.engine in ("torch", "openvino")
    assert engine.facts.floats == "f32"
    assert engine.facts.device
    assert engine.facts.streams == str(engine.streams)


@pytest.mark.parametrize("other", ["torch", "openvino"])
def test_models_answer_alike(shop, bundle, other):
    """Every head of the bundle, temperature and all, on short and long text."""
    options = EngineOptions(precision="f32")
    served = Model.load(bundle, threads=1, engine=other, options=options)
    engine = TorchEngine(shop.network.encoder, CPU)
    reference = Model.load(bundle, threads=1)
    reference.engine.close()
    reference.engine = engine
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


@pytest.mark.parametrize("name", ["torch", "openvino"])
@pytest.mark.parametrize("precision", ["f32", "auto"])
def test_engines_pass_the_check_of_the_export(bundle, name, precision):
    """Whatever computes, it meets the vectors that the bundle brings."""
    options = EngineOptions(precision=precision)
    model = Model.load(bundle, threads=1, engine=name, options=options)
    assert model.bundle.manifest.encoder.check == CHECK_FILE
    assert check_engine(model) < 1e-3
    model.close()


def test_bf16_on_torch_is_checked_by_f32(bundle, toy):
    """As close as rounding allows; and told apart from it."""
    model = Model.load(bundle, threads=1, engine="torch", options=EngineOptions(precision="bf16"))
    batch = model.check_batch()
    assert model.engine.facts.floats == "bf16"
    plain = model.engine.plain(batch)
    assert 0 < np.abs(plain - model.engine.infer(batch)).max() < 0.1
    model.close()


def test_a_bundle_without_weights_for_torch(toy, capsys):
    """It is refused with the way out; status 2."""
    with pytest.raises(BundleError, match="torch = true in"):
        Model.load(toy.bundle, threads=1, engine="torch")
    arguments = ["serve", "--port=0", "--metrics-port=-1", "--engine=torch"]
    assert main([*arguments, "--bundle", str(toy.bundle)]) == 2
    assert "torch = true in [export]" in capsys.readouterr().err


def test_weights_that_do_not_fit(bundle, tmp_path):
    """Configuration and weights of different encoders are no encoder."""
    place = tmp_path / "bundle"
    shutil.copytree(bundle, place)
    settings_file = place / "torch/encoder.json"
    text = settings_file.read_text()
    assert '"num_hidden_layers": 2' in text
    settings_file.write_text(text.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    seal_bundle(place, open_bundle(bundle).manifest)
    with pytest.raises(BundleError, match=TORCH_FILE):
        Model.load(place, threads=1, engine="torch")


def test_the_configuration_names_no_place(bundle, toy):
    """Where the encoder lay on the machine that trained it is nobody's business."""
    text = (bundle / "torch/encoder.json").read_text()
    assert str(toy.encoder) not in text
    assert str(toy.run) not in text
