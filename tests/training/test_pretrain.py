"""Pre-training on raw text lowers the perplexity of held-out text, and fit takes what it made."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
import torch
from raw_texts import TEXTS, pretrain_config, write_raw_texts
from safetensors.torch import load_file
from tiny_families import write_family
from toy_data import toy_config
from transformers import AutoConfig, AutoModel, AutoTokenizer

from polyhead_training import pretrain_run
from polyhead_training.cli import main
from polyhead_training.passages import Marks, hold_out, make_batch, mask_tokens
from polyhead_training.pretrain import prepare
from polyhead_training.raw_text import load_texts
from polyhead_training.workshop import open_workshop


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_raw_texts(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Makes the tiny encoder of a family."""
    root = tmp_path_factory.mktemp("families")
    return cache(lambda name: write_family(root / name, name))


class Ran:
    """A pre-training command, given."""

    def __init__(self, folder, raw, text, *more):
        self.config = folder / "pretrain.toml"
        self.config.write_text(text, encoding="utf-8")
        self.out = folder / "encoder"
        paths = ["pretrain", str(self.config), "--data", str(raw), "--out", str(self.out)]
        self.code = main([*paths, *more])

    @property
    def record(self):
        return json.loads((self.out / "pretraining.json").read_text(encoding="utf-8"))

    @property
    def perplexities(self):
        return [item["perplexity"] for item in self.record["history"]]

    def weights(self):
        return load_file(self.out / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("bert", "mlm"),
        ("roberta", "mlm"),
        ("mpnet", "mlm"),
        ("distilbert", "mlm"),
        ("gpt2", "causal"),
    ],
)
def test_an_encoder_goes_on_learning_from_text(name, objective, family, raw, tmp_path):
    """With the objective of its family; the result is an encoder of the same kind."""
    path = family(name)
    ran = Ran(tmp_path, raw, pretrain_config(learning_rate=1e-2), "--encoder", str(path))
    assert ran.code == 0
    assert ran.record["objective"] == objective
    assert [item["name"] for item in ran.record["texts"]] == ["lines", "rows"]
    assert ran.record["texts"][0]["licence"] == "CC0 1.0"
    assert ran.perplexities[-1] < 0.7 * ran.perplexities[0]
    for item in ran.record["history"]:
        assert item["perplexity"] == pytest.approx(math.exp(item["held_out_loss"]))
    before, after = AutoModel.from_pretrained(path), AutoModel.from_pretrained(ran.out)
    assert type(before) is type(after)
    name = next(n for n, value in before.named_parameters() if ".0." in n and value.ndim > 1)
    assert not torch.equal(before.state_dict()[name], after.state_dict()[name])
    text = "the film was lovely"
    assert AutoTokenizer.from_pretrained(ran.out)(text) == AutoTokenizer.from_pretrained(path)(text)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("awd-lstm", "[recurrent]\nwidth = 16\ninner = 24\n[tokenizer]\nvocabulary = 300"),
        ("elmo", "[recurrent]\nwidth = 16\n[tokenizer]\nvocabulary = 400\nlowercase = false"),
    ],
)
def test_a_new_recurrent_model_learns_from_text_alone(name, more, raw, tmp_path, toy_data):
    """With a vocabulary trained on the texts; fit takes it, and so does further pre-training."""
    rates = {"learning_rate": 3e-2, "head_learning_rate": 3e-2}
    ran = Ran(tmp_path, raw, pretrain_config(f'model = "{name}"', more, **rates))
    assert ran.code == 0
    assert ran.perplexities[-1] < 0.6 * ran.perplexities[0]
    assert AutoConfig.from_pretrained(ran.out).model_type == f"polyhead-{name}"
    (tmp_path / "more").mkdir()
    further = Ran(tmp_path / "more", raw, pretrain_config(), "--encoder", str(ran.out))
    assert further.code == 0
    assert further.perplexities[0] == pytest.approx(ran.perplexities[-1], rel=0.2)
    config = tmp_path / "toy.toml"
    config.write_text(toy_config(), encoding="utf-8")
    found = open_workshop(config, toy_data, str(ran.out)).network.encoder.transformer.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in ran.weights().items())


def test_a_tokenizer_can_be_taken_over(family, raw, tmp_path):
    """For a recurrent model with the sub-words of another encoder."""
    path = family("gpt2")
    more = f'[recurrent]\nwidth = 16\ninner = 16\n[tokenizer]\nfrom = "{path}"'
    ran = Ran(tmp_path, raw, pretrain_config('model = "awd-lstm"', more))
    assert ran.code == 0
    vocabularies = [AutoTokenizer.from_pretrained(p).get_vocab() for p in (path, ran.out)]
    assert vocabularies[0] == vocabularies[1]


def test_random_weights_learn_too(family, raw, tmp_path):
    """From scratch: the architecture and the tokenizer are taken, the weights are not."""
    path = family("bert")
    texts = pretrain_config('init = "random"', learning_rate=1e-3)
    config = tmp_path / "pretrain.toml"
    config.write_text(texts, encoding="utf-8")
    settings, documents = load_texts(config, raw)
    model = prepare(settings, documents, tmp_path / "run", str(path)).model
    theirs = AutoModel.from_pretrained(path).state_dict()
    own = model.encoder.transformer.state_dict()
    assert not any(torch.equal(own[n], theirs[n]) for n in own if own[n].ndim > 1)
    ran = Ran(tmp_path, raw, texts, "--encoder", str(path))
    assert ran.perplexities[-1] < ran.perplexities[0]
    assert ran.perplexities[0] == pytest.approx(
        AutoConfig.from_pretrained(path).vocab_size, rel=0.2
    )


@pytest.mark.parametrize("name", ["bert", "awd-lstm"])
def test_a_killed_run_ends_like_an_uninterrupted_one(name, family, raw, tmp_path, monkeypatch):
    """The very same weights, wherever it was stopped."""
    encoder = str(family(name)) if name == "bert" else name
    more = "[recurrent]\nwidth = 16\ninner = 16\n[tokenizer]\nvocabulary = 300"
    text = pretrain_config("", more)
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = Ran(tmp_path / "whole", raw, text, "--encoder", encoder)
    plain = pretrain_run.PretrainRun._step

    def stop(run, number):
        if number == 7:
            raise KeyboardInterrupt
        plain(run, number)

    monkeypatch.setattr(pretrain_run.PretrainRun, "_step", stop)
    assert Ran(tmp_path / "broken", raw, text, "--encoder", encoder).code == 130
    monkeypatch.setattr(pretrain_run.PretrainRun, "_step", plain)
    broken = Ran(tmp_path / "broken", raw, text, "--encoder", encoder)
    weights = whole.weights()
    assert all(torch.equal(value, weights[key]) for key, value in broken.weights().items())
    assert broken.perplexities == whole.perplexities
    assert broken.record["steps"] == whole.record["steps"] > 7


def test_a_run_directory_of_other_texts_is_not_taken_up(family, raw, tmp_path, capsys):
    """Unless it is told to start anew."""
    path = str(family("bert"))
    few = TEXTS.replace("passes = 2.0", "passes = 0.1\nmax_documents = 10")
    assert Ran(tmp_path, raw, pretrain_config(texts=few), "--encoder", path).code == 0
    other = pretrain_config(texts=few).replace("seed = 3", "seed = 4")
    assert Ran(tmp_path, raw, other, "--encoder", path).code == 2
    assert "--fresh" in capsys.readouterr().err
    assert Ran(tmp_path, raw, other, "--encoder", path, "--fresh").code == 0


def test_what_is_not_an_encoder_of_ours_is_not_overwritten(family, raw, tmp_path, capsys):
    """Nothing is read or trained before that is clear."""
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert Ran(tmp_path, raw, pretrain_config(), "--encoder", str(family("bert"))).code == 2
    assert "--out" in capsys.readouterr().err
    assert (tmp_path / "encoder" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        ("gpt2", 'objective = "mlm"', '"mlm" is not for encoders of the family gpt2'),
        ("bert", 'objective = "causal"', 'learn by "mlm"'),
    ],
)
def test_an_objective_that_is_not_the_familys_is_refused(
    name, encoder, message, family, raw, tmp_path, capsys
):
    """With the one that is."""
    text = pretrain_config().replace("seed = 3", f"seed = 3\n{encoder}")
    assert Ran(tmp_path, raw, text, "--encoder", str(family(name))).code == 2
    assert message in capsys.readouterr().err


def test_an_encoder_that_is_not_there_is_named(raw, tmp_path, capsys):
    """In one line."""
    (tmp_path / "empty").mkdir()
    assert Ran(tmp_path, raw, pretrain_config(), "--encoder", str(tmp_path / "empty")).code == 2
    error = capsys.readouterr().err
    assert "cannot be loaded" in error
    assert error.count("\n") == 1


def test_windows_longer_than_the_encoders_are_refused(family, raw, tmp_path, capsys):
    """Before the first step."""
    text = pretrain_config().replace("max_tokens = 24", "max_tokens = 200")
    assert Ran(tmp_path, raw, text, "--encoder", str(family("bert"))).code == 2
    assert "at most 40 tokens" in capsys.readouterr().err


def test_held_out_texts_are_not_trained_on(family, raw, tmp_path):
    """And are the same for the same seed."""
    config = tmp_path / "pretrain.toml"
    config.write_text(pretrain_config(), encoding="utf-8")
    settings, documents = load_texts(config, raw)
    ready = [
        prepare(settings, documents, tmp_path / "run", str(family("bert"))).corpus for _ in range(2)
    ]
    held = {passage.tobytes() for passage in ready[0].held}
    assert held == {passage.tobytes() for passage in ready[1].held}
    trained = {passage.tobytes() for part in ready[0].train.values() for passage in part}
    assert len(held) >= 10
    assert not held & trained
    longest = max(len(passage) for part in ready[0].train.values() for passage in part)
    assert longest == 24


def test_a_new_vocabulary_is_not_trained_on_held_out_texts(raw, tmp_path):
    """Whatever stands in them, there is no sub-word of it."""
    config = tmp_path / "pretrain.toml"
    more = "[recurrent]\nwidth = 16\ninner = 24\n[tokenizer]\nvocabulary = 300"
    config.write_text(pretrain_config('model = "awd-lstm"', more), encoding="utf-8")
    settings, documents = load_texts(config, raw)
    held = set(hold_out(documents, settings.hold_out, settings.seed).held)
    changed = {
        name: [text.replace("the", "zqzq") if text in held else text for text in part]
        for name, part in documents.items()
    }
    assert (
        hold_out(changed, settings.hold_out, settings.seed).train
        == hold_out(documents, settings.hold_out, settings.seed).train
    )
    found = [
        prepare(settings, texts, tmp_path / f"run-{number}", "awd-lstm").assets.tokenizer_json
        for number, texts in enumerate((documents, changed))
    ]
    assert found[0] == found[1]


def test_masks_are_drawn_as_devlin_has_them():
    """15 %, of which eight in ten are the mask, one is any word and one stays."""
    ids = torch.arange(100_000).reshape(100, 1000) % 900 + 100
    able = torch.ones_like(ids, dtype=torch.bool)
    able[:, 0] = False
    generator = torch.Generator().manual_seed(0)
    seen, targets = mask_tokens(ids, able, Marks(5, (), 1000), generator)
    chosen = targets != -100
    assert not chosen[:, 0].any()
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(targets[chosen], ids[chosen])
    assert torch.equal(seen[~chosen], ids[~chosen])
    assert (seen[chosen] == 5).float().mean() == pytest.approx(0.8, abs=0.02)
    assert (seen[chosen] == ids[chosen]).float().mean() == pytest.approx(0.1, abs=0.02)


def test_even_a_batch_of_one_word_has_something_to_foretell(family):
    """Otherwise its loss would be no number."""
    marks = Marks(4, (2, 3), 50)
    for seed in range(20):
        batch = make_batch([np.array([2, 9, 3])], marks, seed, torch.device("cpu"))
        assert batch.targets.tolist() == [[-100, 9, -100]]


def test_texts_of_all_layouts_are_read(raw, tmp_path):
    """Blank lines and rows are no documents; CoNLL-U gives documents where it marks them."""
    (raw / "raw" / "plain.conllu").write_text("# text = One.\n1\tOne\n\n# text = Two.\n", "utf-8")
    marked = (
        "# newdoc id = a\n# text = One.\n1\tOne\n\n# text = Two.\n\n# newdoc\n# text = Three.\n"
    )
    (raw / "raw" / "marked.conllu").write_text(marked, "utf-8")
    more = "".join(
        f'[[texts]]\nname = "{name}"\nformat = "conllu"\nfiles = "raw/{name}.conllu"\n'
        for name in ("plain", "marked")
    )
    config = tmp_path / "pretrain.toml"
    config.write_text(pretrain_config(texts=TEXTS + more), encoding="utf-8")
    _, documents = load_texts(config, raw)
    assert {name: len(part) for name, part in documents.items()} == {
        "lines": 40,
        "rows": 20,
        "plain": 2,
        "marked": 2,
    }
    assert documents["marked"] == ["One. Two.", "Three."]


def test_every_error_of_config_and_texts_is_reported_at_once(raw, tmp_path, capsys):
    """With file and line."""
    (raw / "raw" / "bad.jsonl").write_text('{"text": "fine"}\nnot json\n', encoding="utf-8")
    text = pretrain_config('init = "rnadom"', "[recurrent]\nlayers = 99", average=0.9)
    text += '\n[[texts]]\nname = "bad"\nformat = "jsonl"\nfiles = "raw/bad.jsonl"\n'
    text += '\n[[texts]]\nname = "lines"\nformat = "text"\nfiles = "raw/none.txt"\nfile = "x"\n'
    assert Ran(tmp_path, raw, text).code == 2
    error = capsys.readouterr().err
    for message in (
        'init must be "pretrained" or "random"',
        "layers must be a whole number from 1 to 12",
        "average is not for pre-training",
        "bad.jsonl:2",
        "none.txt cannot be read",
        'texts called "lines" exist already',
        'unknown key "file"',
    ):
        assert message in error
    assert not (tmp_path / "encoder.run").exists()
