"""Each family of encoders trains, exports and serves: the same vectors in all three places."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES, MAX_TOKENS, write_family
from toy_data import toy_config
from transformers import AutoModel, AutoTokenizer

from polyhead_server.model import Model
from polyhead_server.openvino_attention import by_rows
from polyhead_server.openvino_core import shared_core
from polyhead_server.openvino_engine import Inputs, run_batch
from polyhead_server.packing import ROW, pack, pack_rows
from polyhead_training.assets import load_assets
from polyhead_training.cli import main
from polyhead_training.config import load_config
from polyhead_training.errors import TrainingError
from polyhead_training.network import build_network
from polyhead_training.quantise import trace_encoder
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.workshop import open_workshop

TEXTS = (
    "The film was lovely.",
    "Zoë met Ann in Paris",
    "a",
    "The garden 😀 looked very green, wide and new.",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Makes each family's encoder once."""
    root = tmp_path_factory.mktemp("families")
    made = {}

    def of(family):
        if family not in made:
            made[family] = write_family(root / family, family)
        return made[family]

    return of


@pytest.fixture
def config(tmp_path):
    """Writes a config; keys go into its encoder's table."""

    def written(text=None, **encoder):
        file = tmp_path / "config.toml"
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in encoder.items())
        text = text or toy_config()
        file.write_text(text.replace("[encoder]\n", f"[encoder]\n{lines}"), encoding="utf-8")
        return file

    return written


@pytest.fixture
def encoder_of(folder, config):
    """A family's encoder in evaluation, and its windows of some texts."""

    def opened(family):
        settings = load_config(config())
        network = build_network(settings, str(folder(family))).eval()
        assets = load_assets(settings, str(folder(family)))
        windows = [assets.encoder().encode(text).windows[0] for text in TEXTS]
        return network.encoder, windows, assets.spec

    return opened


@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_gives_what_its_family_gives(family, folder, encoder_of):
    """Vectors of a window alone are those that transformers computes from its ids."""
    encoder, windows, spec = encoder_of(family)
    torch.nn.init.zeros_(encoder.shapes.weight)
    theirs = AutoModel.from_pretrained(folder(family)).eval()
    for window in windows:
        batch = pack([window], spec.position_offset)
        ours = TorchEngine(encoder, torch.device("cpu")).infer(batch)[: batch.used]
        with torch.inference_mode():
            wanted = theirs(torch.from_numpy(window.ids.astype(np.int64))[None]).last_hidden_state
        np.testing.assert_allclose(ours, wanted[0].numpy(), atol=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_rows_give_what_single_windows_give(family, encoder_of):
    """Training sees texts padded to one length; the padding changes nothing."""
    encoder, windows, spec = encoder_of(family)
    size = max(len(window.ids) for window in windows)
    ids, shapes, mask = np.zeros((3, len(windows), size), np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        shapes[row, : len(window.ids)] = window.shapes
        mask[row, : len(window.ids)] = 1
    positions = torch.arange(size).expand(len(windows), size) + spec.position_offset
    with torch.inference_mode():
        given = [torch.from_numpy(array) for array in (ids, mask, shapes)]
        rows = encoder(given[0], positions, given[1], given[2])
    for row, window in enumerate(windows):
        batch = pack([window], spec.position_offset)
        alone = TorchEngine(encoder, torch.device("cpu")).infer(batch)[: batch.used]
        np.testing.assert_allclose(rows[row, : batch.used].numpy(), alone, atol=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_served_graph_gives_what_torch_gives(family, encoder_of):
    """Also for batches longer than the encoder's longest text, and each window as if alone."""
    encoder, windows, spec = encoder_of(family)
    graph = by_rows(trace_encoder(encoder))
    compiled = shared_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    run = partial(graph_run, compiled)
    many = windows * 8
    batch = pack(many, spec.position_offset)
    assert len(batch.ids) > 2 * MAX_TOKENS
    served = run(batch)
    engine = TorchEngine(encoder, torch.device("cpu"))
    np.testing.assert_allclose(served[: batch.used], engine.infer(batch)[: batch.used], atol=2e-4)
    rows = pack_rows(many, spec.position_offset)
    in_rows = run(rows)
    assert rows.row == ROW
    for window, start, at in zip(many, batch.starts, rows.starts, strict=True):
        size = len(window.ids)
        np.testing.assert_allclose(in_rows[at : at + size], served[start : start + size], atol=2e-4)
    for start, window in zip(batch.starts[:4], windows, strict=False):
        alone = run(single := pack([window], spec.position_offset))[: single.used]
        np.testing.assert_allclose(served[start : start + single.used], alone, atol=2e-4)


def graph_run(compiled, batch):
    """What a graph gives for a packed batch."""
    return run_batch(compiled.create_infer_request(), Inputs(compiled), batch).copy()


def test_tokens_of_gpt2_see_those_before_them_only(encoder_of):
    """Whatever comes later in the window, and whichever windows lie around it."""
    encoder, (_, _, _, window), _ = encoder_of("gpt2")
    engine = TorchEngine(encoder, torch.device("cpu"))
    before = engine.infer(pack([window, window])).copy()
    window.ids[-1] += 1
    after = engine.infer(pack([window, window]))
    size = len(window.ids)
    changed = np.abs(after - before).max(axis=1) > 1e-6
    assert np.flatnonzero(changed[: 2 * size]).tolist() == [size - 1, 2 * size - 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_read_as_the_family_reads_text(family, folder, encoder_of):
    """Marks, sub-words and the rows of words are those of the tokenizer's own way with a text."""
    _, windows, spec = encoder_of(family)
    tokenizer = AutoTokenizer.from_pretrained(folder(family))
    before = " " if spec.spaced else ""
    assert windows[1].ids.tolist() == tokenizer(before + TEXTS[1])["input_ids"]
    assert spec.spaced == (family in {"roberta", "gpt2"})
    assert spec.word_piece == ("last" if family == "gpt2" else "first")
    assert (len(spec.prefix), len(spec.suffix)) == ((0, 0) if family == "gpt2" else (1, 1))


@pytest.mark.parametrize(
    ("family", "precision", "shapes"),
    [("gpt2", "int8", True), ("roberta", "fp32", False), ("bert", "int8", False)],
)
def test_a_family_trains_exports_and_serves(
    family, precision, shapes, folder, config, toy_data, tmp_path
):
    """By the ordinary command, to a bundle that the server annotates with."""
    text = re.sub(r"passes = \d.0", "passes = 0.5", toy_config(validations=1))
    text = text.replace('precision = "fp32"\ncal', f'precision = "{precision}"\ncal')
    text = text.replace("hidden = 16", 'hidden = 16\npooling = "last"')
    bundle = tmp_path / "bundle"
    file = config(text, shape_embedding=shapes)
    paths = ["fit", str(file), "--data", str(toy_data), "--out", str(bundle)]
    assert main([*paths, "--encoder", str(folder(family))]) == 0
    model = Model.load(bundle, threads=1)
    (head,) = (head for head in model.bundle.heads if head.name == "mood")
    assert head.pooling == "last"
    assert {figure.data_set for head in model.bundle.heads for figure in head.figures} == {
        "reviews",
        "visits",
        "trees",
    }
    document = model.tokenize("The 😀 café was great.")
    outputs = model.run(model.jobs(document, ("mood", "names", "tags"))).outputs
    results = model.finish(document, outputs, ("mood", "names", "tags"))
    assert len(results["tags"].tags) == len(document.words) == 6


def test_first_pooling_of_a_causal_encoder_is_refused(folder, config, toy_data):
    """Its first token has seen nothing."""
    file = config(toy_config().replace("hidden = 16", 'hidden = 16\npooling = "first"'))
    with pytest.raises(TrainingError, match=r'mood.*"first".*"last"'):
        open_workshop(file, toy_data, str(folder("gpt2")))


def test_a_decoder_of_another_family_is_refused(tmp_path, config, toy_data, folder):
    """Rather than served with tokens that see what they must not."""
    path = write_family(tmp_path / "other", "gpt2")
    settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    settings["model_type"] = "opt"
    (path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(TrainingError, match='"opt" is not supported'):
        open_workshop(config(), toy_data, str(path))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_random_weights_are_drawn_by_the_seed(family, folder, config):
    """Of the same architecture, not the pretrained ones, and the same every time."""
    path = str(folder(family))
    pretrained = build_network(load_config(config()), path).encoder.transformer.state_dict()
    drawn = [
        build_network(load_config(config(init="random")), path).encoder.transformer.state_dict()
        for _ in range(2)
    ]
    assert pretrained.keys() == drawn[0].keys()
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in pretrained)
    assert not any(
        torch.equal(value, drawn[0][name]) for name, value in pretrained.items() if value.ndim > 1
    )
