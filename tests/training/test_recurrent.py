"""Recurrent language models as encoders: built, stored, run and measured like the others."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from toy_data import toy_config
from transformers import AutoConfig, AutoModel, AutoTokenizer

from polyhead_server.packing import pack
from polyhead_training.checkpoint import BEST, save_weights
from polyhead_training.cli import main
from polyhead_training.network import Encoder
from polyhead_training.recurrent import AwdLstmConfig, ElmoConfig
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.unfreezing import Unfreezing
from polyhead_training.workshop import open_workshop

SETTINGS = {
    "awd-lstm": AwdLstmConfig(vocab_size=50, hidden_size=12, inner_size=16, num_hidden_layers=3),
    "elmo": ElmoConfig(vocab_size=50, embedding_size=12, num_hidden_layers=2),
}
KINDS = tuple(SETTINGS)


@pytest.fixture
def models():
    """Both models, in evaluation."""
    torch.manual_seed(0)
    return {kind: AutoModel.from_config(settings).eval() for kind, settings in SETTINGS.items()}


def run(model, ids, mask=None):
    """Vectors of padded texts."""
    ids = torch.tensor(ids)
    mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
    with torch.no_grad():
        vectors = model.get_input_embeddings()(ids)
        return model(inputs_embeds=vectors, attention_mask=mask).last_hidden_state


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_is_loaded(kind, models, tmp_path):
    """In the layout of transformers, by its own classes."""
    models[kind].save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    settings = AutoConfig.from_pretrained(tmp_path)
    assert settings.model_type == f"polyhead-{kind}"
    again = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(run(again, [[1, 2, 3]]), run(models[kind], [[1, 2, 3]]))


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind, models):
    """A short text beside a long one has the vectors that it has alone."""
    ids = [[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]]
    both = run(models[kind], ids, [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    torch.testing.assert_close(both[1, :3], run(models[kind], [[6, 7, 8]])[0])
    torch.testing.assert_close(both[0], run(models[kind], [ids[0]])[0])


def test_an_awd_lstm_sees_what_came_before_only(models):
    """And an elmo's two halves see one side each."""
    ids, other = [[1, 2, 3, 4]], [[1, 2, 9, 4]]
    changed = (run(models["awd-lstm"], ids) != run(models["awd-lstm"], other)).any(dim=2)
    assert changed.tolist() == [[False, False, True, True]]
    halves = (run(models["elmo"], ids) != run(models["elmo"], other)).chunk(2, dim=2)
    assert halves[0].any(dim=2).tolist() == [[False, False, True, True]]
    assert halves[1].any(dim=2).tolist() == [[True, True, True, False]]


def test_dropout_is_of_training_only_and_one_mask_serves_a_text(models):
    """Weights, words and layers are dropped; the same units for every token of a text."""
    model = models["awd-lstm"]
    first = run(model, [[1, 2, 3]])
    torch.testing.assert_close(run(model, [[1, 2, 3]]), first)
    model.train()
    model.config.dropout = 0.5
    lost = run(model, [[1, 2, 3]])[0] == 0
    assert 0 < lost[0].sum() < lost.shape[1]
    assert (lost == lost[0]).all()
    assert not torch.equal(run(model, [[1, 2, 3]]), run(model, [[1, 2, 3]]))


def test_a_dropped_word_is_dropped_everywhere(models):
    """In all places of a batch alike."""
    embedding = models["awd-lstm"].get_input_embeddings().train()
    embedding.dropout = 0.5
    torch.manual_seed(1)
    vectors = embedding(torch.tensor([[1, 2, 1], [2, 1, 2]]))
    torch.testing.assert_close(vectors[0, 0], vectors[1, 1])
    torch.testing.assert_close(vectors[0, 1], vectors[1, 0])
    lost = sum(int((embedding(torch.arange(50)) == 0).all(dim=1).sum()) for _ in range(20))
    assert 300 < lost < 700


def test_an_elmo_mixes_its_layers(models):
    """The weights of the mix decide between embeddings and layers, and are learned."""
    model = models["elmo"]
    vectors = model.get_input_embeddings()(torch.tensor([[1, 2, 3]]))
    output = model(inputs_embeds=vectors, output_hidden_states=True)
    assert len(output.hidden_states) == 3
    mean = torch.stack(output.hidden_states).mean(dim=0)
    torch.testing.assert_close(output.last_hidden_state, mean)
    output.last_hidden_state.square().sum().backward()
    assert model.mix.grad.abs().sum() > 0
    with torch.no_grad():
        model.mix.copy_(torch.tensor([100.0, 0.0, 0.0]))
    mixed = model(inputs_embeds=vectors).last_hidden_state
    torch.testing.assert_close(mixed, torch.cat([vectors, vectors], dim=2))


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_reads_each_window_for_itself(kind, models, tiny_windows):
    """There is no mask that would hold packed windows apart: they get a row each."""
    encoder = Encoder(models[kind], shapes=True).eval()
    assert not encoder.packable
    engine = TorchEngine(encoder, torch.device("cpu"))
    batch = pack(tiny_windows)
    hidden = engine.infer(batch)
    assert hidden.shape == (len(batch.ids), encoder.hidden_size)
    for start, window in zip(batch.starts, tiny_windows, strict=True):
        alone = engine.infer(pack([window]))
        size = len(window.ids)
        np.testing.assert_allclose(hidden[start : start + size], alone[:size], atol=1e-5)


@pytest.fixture
def tiny_windows(open_shop):
    """Windows of different lengths, of few ids."""
    encoder = open_shop(toy_config()).assets.encoder()
    found = [encoder.encode(text).windows[0] for text in ("the film", "a", "a river in the garden")]
    for window in found:
        window.ids[:] %= 50
    return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory, tiny_encoder):
    """Stores a model with the tiny encoder's tokenizer."""

    def store(kind):
        path = tmp_path_factory.mktemp(kind)
        tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
        tokenizer.save_pretrained(path)
        torch.manual_seed(0)
        settings = SETTINGS[kind].to_dict() | {"vocab_size": len(tokenizer)}
        AutoModel.from_config(type(SETTINGS[kind]).from_dict(settings)).save_pretrained(path)
        return path

    return store


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_encoder_is_tuned_and_measured(kind, stored, tmp_path, toy_data, capsys):
    """By the ordinary command and configuration, without a bundle, which could not be served."""
    config = tmp_path / "toy.toml"
    text = re.sub(r"passes = \d.0", "passes = 0.5", toy_config(validations=1))
    config.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    paths = ["fit", str(config), "--data", str(toy_data), "--out", str(out)]
    paths += ["--encoder", str(stored(kind))]
    assert main(paths) == 2
    assert "--no-export" in capsys.readouterr().err
    assert not (tmp_path / "out.run").exists()
    assert main([*paths, "--no-export"]) == 0
    assert not out.exists()
    figures = json.loads((tmp_path / "out.run" / "figures.json").read_text(encoding="utf-8"))
    assert {(f["head"], f["split"]) for f in figures} >= {("mood", "test"), ("tags", "dev")}
    shown = capsys.readouterr().out
    assert "reviews" in shown
    assert "mood" in shown


def test_no_mean_of_recurrent_runs_is_exported(stored, tmp_path, toy_data, capsys):
    """A bundle of it would read texts wrongly; nothing is left of the attempt."""
    config = tmp_path / "toy.toml"
    config.write_text(toy_config(), encoding="utf-8")
    shop = open_workshop(config, toy_data, str(stored("elmo")))
    run = tmp_path / "a.run"
    run.mkdir()
    shop.keep(run)
    save_weights(run / BEST, shop.network.state_dict())
    paths = ["--data", str(toy_data), "--out", str(tmp_path / "mean")]
    assert main(["average", str(run), str(run), *paths]) == 2
    told = capsys.readouterr().err
    assert told == (
        "encoders of the family polyhead-elmo cannot be served: there is no bundle to make of the "
        "mean\n"
    )
    assert not list(tmp_path.glob("mean*"))


@pytest.mark.parametrize("kind", KINDS)
def test_gradual_unfreezing_opens_what_learns(kind, stored, tmp_path, toy_data):
    """An LSTM's second bias never does: its gradients would count, and no step would use them."""
    config = tmp_path / "toy.toml"
    text = toy_config().replace("[encoder]\n", '[encoder]\ntrain = "gradual"\n')
    config.write_text(text, encoding="utf-8")
    shop = open_workshop(config, toy_data, str(stored(kind)))
    own = dict(shop.network.named_parameters())
    before = {name for name, value in own.items() if value.requires_grad}
    still = own.keys() - before
    assert still
    assert all(name.endswith(".bias_hh") for name in still)
    unfreezing = Unfreezing(shop.network, shop.config)
    for done, learning in ((1.0, before), (0.0, {n for n in before if n.startswith("heads.")})):
        unfreezing.reach(done)
        assert {name for name, value in own.items() if value.requires_grad} == learning


@pytest.mark.parametrize("options", ["layers = 1", "add_layers = 1"])
def test_an_elmo_keeps_its_layers(options, stored, tmp_path, toy_data, capsys):
    """Its own mix has a share for each; said before anything is trained."""
    config = tmp_path / "toy.toml"
    text = toy_config().replace("[encoder]\n", f"[encoder]\n{options}\n")
    config.write_text(text, encoding="utf-8")
    paths = ["fit", str(config), "--data", str(toy_data), "--out", str(tmp_path / "out")]
    assert main([*paths, "--encoder", str(stored("elmo")), "--no-export"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{config}: layers and add_layers are not for an ELMo")
    assert told.count("\n") == 1


def test_layers_of_different_width_are_not_mixed(stored, tmp_path, toy_data, capsys):
    """With a message that says so."""
    config = tmp_path / "toy.toml"
    text = toy_config().replace("[encoder]\n", "[encoder]\nmix = true\n")
    config.write_text(text, encoding="utf-8")
    paths = ["fit", str(config), "--data", str(toy_data), "--out", str(tmp_path / "out")]
    assert main([*paths, "--encoder", str(stored("awd-lstm")), "--no-export"]) == 2
    assert "one width" in capsys.readouterr().err
