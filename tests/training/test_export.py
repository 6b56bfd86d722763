"""An exported bundle is what was trained, and never replaces a good one by a bad one."""

import json
import shutil
import stat
from dataclasses import replace

import pytest
import torch
from safetensors.numpy import load_file as read_tensors
from safetensors.torch import load_file

from polyhead_server.bundle import open_bundle
from polyhead_server.model import Model
from polyhead_training import export
from polyhead_training.checkpoint import BEST
from polyhead_training.config import load_config
from polyhead_training.data import load_all
from polyhead_training.errors import ExportError
from polyhead_training.evaluation import annotate
from polyhead_training.export import export_bundle
from polyhead_training.workshop import measure, reopen_workshop


@pytest.fixture
def shop(toy):
    """The trained network and its data."""
    config = load_config(toy.config)
    return reopen_workshop(config, load_all(config, toy.data), toy.run)


def contents(folder):
    """Every file below a directory with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_bundle_holds_data_only(toy):
    """Graph, tokenizer, lexicon, matrices, manifest and card: no pickle, no code."""
    names = {path.as_posix() for path in contents(toy.bundle)}
    assert names == {
        "MODEL_CARD.md",
        "encoder.bin",
        "encoder.xml",
        "encoder_check.safetensors",
        "heads/mood.safetensors",
        "heads/names.safetensors",
        "heads/tags.safetensors",
        "manifest.json",
        "tokenizer.json",
        "words.json",
    }
    assert not any(
        content.startswith((b"\x80", b"PK")) for content in contents(toy.bundle).values()
    )


def test_a_bundle_may_be_read_by_others(toy):
    """The server often runs as another user than the one who trained."""
    for path in contents(toy.bundle):
        assert (toy.bundle / path).stat().st_mode & stat.S_IROTH


def test_an_auxiliary_head_is_trained_but_not_served(toy):
    """Its weights are in the run, not in the bundle."""
    assert "heads.extra.out.weight" in load_file(toy.run / BEST)
    assert [head.name for head in open_bundle(toy.bundle).heads] == ["mood", "names", "tags"]


def test_heads_are_the_best_weights(toy):
    """Exactly, whatever becomes of the encoder."""
    weights = load_file(toy.run / BEST)
    for head in open_bundle(toy.bundle).heads:
        for name, value in read_tensors(toy.bundle / head.file).items():
            if name not in {"temperature", "adjacent"}:  # found out by calibration, after training
                assert (value == weights[f"heads.{head.name}.{name}"].numpy()).all()


def test_the_manifest_says_where_the_bundle_comes_from(toy):
    """The whole configuration, seed, data sets with licences, and the length of training."""
    provenance = open_bundle(toy.bundle).manifest.provenance
    assert provenance["config"] == toy.config.read_text()
    assert provenance["seed"] == 3
    licences = {item["name"]: item["licence"] for item in provenance["data_sets"]}
    assert licences["reviews"] == "CC0 1.0"
    assert licences["side"] == "not stated"
    assert 0 < provenance["best_step"] <= provenance["steps"]


def test_served_and_torch_figures_are_recorded(toy):
    """In the manifest for the server, and in the card for people; the toy data are learned."""
    bundle = open_bundle(toy.bundle)
    figures = {(f.data_set, f.split, f.metric): f.value for h in bundle.heads for f in h.figures}
    assert set(figures) == {
        ("reviews", "dev", "accuracy"),
        ("reviews", "test", "accuracy"),
        ("visits", "dev", "entity_f1"),
        ("visits", "test", "entity_f1"),
        ("trees", "dev", "accuracy"),
        ("trees", "dev", "tag_f1_from_raw"),
        ("trees", "dev", "word_f1_from_raw"),
    }
    assert min(figures.values()) > 0.8
    noted = bundle.manifest.provenance["torch_figures"]
    assert {(f["source"], f["split"], f["metric"]) for f in noted} == set(figures)
    card = (toy.bundle / "MODEL_CARD.md").read_text()
    value = f"{100 * figures['visits', 'test', 'entity_f1']:.2f}"
    assert f"| names | visits | test | entity_f1 | {value} | {value} |" in card
    assert "| poles | mood | training | CC BY-SA 4.0 |" in card


def test_int8_answers_like_fp32(shop, toy, tmp_path):
    """Quantised on task text, the encoder is smaller and gives nearly the same answers."""
    small = replace(shop, config=replace(shop.config, export=replace_precision(shop, "int8")))
    proof = export_bundle(small, tmp_path / "small", {"note": "int8"})
    assert proof.cosine > 0.95
    assert min(proof.agreement.values()) > 0.8
    bundle = open_bundle(tmp_path / "small")
    assert bundle.manifest.encoder.precision == "int8"
    assert bundle.manifest.provenance["note"] == "int8"
    size, whole = ((p / "encoder.bin").stat().st_size for p in (bundle.path, toy.bundle))
    assert size < 0.5 * whole
    model = Model.load(bundle.path, threads=1)
    figures = measure(model, shop.config, shop.data, "test", raw=True)
    model.close()
    assert min(figure.value for figure in figures) > 0.8


def test_a_network_on_another_device_is_exported_and_put_back(shop, tmp_path):
    """The bundle is made and proven on the CPU; what is measured next finds the network there."""
    device = torch.device("meta")
    away = replace(shop, hardware=replace(shop.hardware, device=device, bf16=True))
    proof = export_bundle(away, tmp_path / "bundle", {})
    assert proof.cosine > 0.999
    assert min(proof.agreement.values()) > 0.9
    assert {value.device for value in shop.network.parameters()} == {device}


def replace_precision(shop, precision):
    """Export options of another precision."""
    return replace(shop.config.export, precision=precision)


def test_a_new_bundle_takes_the_old_ones_place(shop, toy, tmp_path):
    """Nothing of the old one is left, and nothing beside it."""
    out = tmp_path / "bundle"
    shutil.copytree(toy.bundle, out)
    (out / "leftover.txt").write_text("old")
    export_bundle(shop, out, {"number": 2})
    assert open_bundle(out).manifest.provenance["number"] == 2
    assert not (out / "leftover.txt").exists()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("fault", ["unreadable", "different"])
def test_a_failed_proof_leaves_the_old_bundle(shop, toy, tmp_path, monkeypatch, fault):
    """What the server cannot read, or reads as something else, was not exported."""
    out = tmp_path / "bundle"
    shutil.copytree(toy.bundle, out)
    before = contents(out)
    if fault == "unreadable":
        with torch.no_grad():
            shop.network.heads["mood"].out.weight.fill_(torch.nan)
        message = "cannot read the exported bundle.*not finite"
    else:
        monkeypatch.setitem(export._LEAST_COSINE, "fp32", 1.1)
        message = "mean cosine .* at least 1.1"
    with pytest.raises(ExportError, match=message):
        export_bundle(shop, out, {})
    assert contents(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    "make", [lambda p: p.write_text("x"), lambda p: (p / "a").mkdir(parents=True)]
)
def test_what_is_no_bundle_is_never_replaced(shop, tmp_path, make):
    """A mistyped --out must not cost somebody a directory."""
    out = tmp_path / "precious"
    make(out)
    with pytest.raises(ExportError, match="is no bundle"):
        export_bundle(shop, out, {})
    assert out.exists()


def test_a_long_text_is_answered_from_all_its_windows(toy):
    """One tag for each word, by the model that was trained, also far into the text."""
    model = Model.load(toy.bundle, threads=1)
    text = "Ann met Bob in Oslo . " * 20
    words = tuple(text.split())
    ((document, output),) = annotate(model, [words], "names")
    assert len(document.windows) > 3
    found = {(span.first, span.end) for span in output.spans}
    gold = {(n + at, n + at + 1) for n in range(0, len(words), 6) for at in (0, 2, 4)}
    assert len(found & gold) / len(gold) > 0.8
    model.close()


def test_the_manifest_is_plain_json(toy):
    """Any tool can read it."""
    content = json.loads((toy.bundle / "manifest.json").read_text())
    assert content["format"] == 1
    assert content["encoder"]["model"] == "somewhere/tiny"
