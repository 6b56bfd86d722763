"""The command polyhead-train compare."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from toy_data import HEADS, SOURCES, toy_config

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_training.cli import main


@pytest.fixture
def told(capsys):
    """What the command prints."""

    def ran(*arguments, code=0):
        capsys.readouterr()
        assert main([str(item) for item in arguments]) == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.out if code == 0 else captured.err

    return ran


@pytest.fixture
def other(toy, tmp_path):
    """Makes a copy of the bundle, changed: weights of heads, and the manifest."""

    def made(weights=None, change=lambda manifest: manifest):
        copy = shutil.copytree(toy.bundle, tmp_path / "other")
        for head, scale in (weights or {}).items():
            file = copy / f"heads/{head}.safetensors"
            tensors = load_file(file)
            tensors["out.bias"] += np.float32(scale) * np.arange(len(tensors["out.bias"]))
            save_file({k: v.astype(np.float32) for k, v in tensors.items()}, file)
        seal_bundle(copy, change(open_bundle(toy.bundle).manifest))
        return copy

    return made


def heads_of(manifest, **changes):
    """The manifest with changed heads; None takes one out."""
    heads = [
        replace(h, **changes.get(h.name, {})) for h in manifest.heads if changes.get(h.name, 1)
    ]
    return replace(manifest, heads=tuple(heads))


def test_a_bundle_and_itself(told, toy):
    """No difference anywhere."""
    content = json.loads(
        told("compare", toy.bundle, toy.bundle, "--data", toy.data, "--json", "--samples", 50)
    )
    assert len(content["comparisons"]) == 7
    for item in content["comparisons"]:
        assert item["a"] == item["b"]
        assert (item["difference"], item["low"], item["high"], item["p"]) == (0, 0, 0, 1)
        assert not item["significant"]
    assert content["left_out"] == []
    assert content["samples"] == 50


def test_two_bundles(told, toy, other):
    """The figures are those of evaluate; where answers differ much that is significant."""
    spoilt = other({"mood": 30, "names": 9})
    content = json.loads(told("compare", toy.bundle, spoilt, "--data", toy.data, "--json"))
    for side, bundle in (("a", toy.bundle), ("b", spoilt)):
        evaluated = json.loads(told("evaluate", bundle, "--data", toy.data, "--json"))["served"]
        expected = {(f["source"], f["split"], f["metric"]): f["value"] for f in evaluated}
        found = {(c["source"], c["split"], c["metric"]): c[side] for c in content["comparisons"]}
        assert found == pytest.approx(expected)
    by_name = {(c["source"], c["split"]): c for c in content["comparisons"]}
    reviews = by_name["reviews", "test"]
    assert reviews["difference"] == pytest.approx(reviews["b"] - reviews["a"])
    assert reviews["low"] < reviews["difference"] < reviews["high"] < 0
    assert reviews["significant_together"]
    assert reviews["p"] < 0.001
    assert reviews["mcnemar_p"] < 0.001
    visits = by_name["visits", "test"]
    assert visits["mcnemar_p"] is None
    assert visits["significant"]
    assert not by_name["trees", "dev"]["significant"]


def test_the_table(told, toy, other):
    """Figures in percent, with a mark where a difference is no chance."""
    printed = told("compare", toy.bundle, other({"mood": 30}), "--data", toy.data)
    row = next(line for line in printed.splitlines() if "reviews" in line and "test" in line)
    assert "**" in row
    row = next(line for line in printed.splitlines() if "entity_f1" in line and "test" in line)
    assert "*" not in row
    assert "+0.00" in row
    assert "p: approximate randomisation" in printed


def test_heads_and_labels_that_differ(told, toy, other):
    """What both have is compared; the rest is named."""
    mixed = other(change=lambda m: heads_of(m, tags=None, names={"labels": ("PER", "GPE")}))
    content = json.loads(told("compare", toy.bundle, mixed, "--data", toy.data, "--json"))
    assert {item["head"] for item in content["comparisons"]} == {"mood", "names"}
    assert all(item["difference"] == 0 for item in content["comparisons"])
    assert content["left_out"] == [
        "head names: label LOC only in A",
        "head names: label GPE only in B",
        "head tags: only in A",
    ]


def test_texts_with_labels_that_one_bundle_lacks(told, toy, other):
    """They are left out and counted; the best of the shared labels is taken."""
    renamed = other(change=lambda m: heads_of(m, mood={"labels": ("bad", "level", "good")}))
    content = json.loads(told("compare", toy.bundle, renamed, "--data", toy.data, "--json"))
    reviews = [item for item in content["comparisons"] if item["source"] == "reviews"]
    assert all(item["count"] < 24 and item["a"] == item["b"] for item in reviews)
    assert any(note.startswith("reviews test: ") for note in content["left_out"])


def test_heads_of_another_kind(told, toy, other):
    """They are not compared."""
    turned = other(change=lambda m: heads_of(m, tags={"kind": "classification"}))
    content = json.loads(told("compare", toy.bundle, turned, "--data", toy.data, "--json"))
    assert "head tags: tagging in A, classification in B" in content["left_out"]
    assert "tags" not in {item["head"] for item in content["comparisons"]}


def test_another_configuration(told, toy, tmp_path):
    """Its sources are measured; heads without data are named."""
    config = tmp_path / "one.toml"
    head = "[[heads]]" + HEADS.split("[[heads]]")[1]
    source = "[[sources]]" + SOURCES.split("[[sources]]")[1]
    config.write_text(toy_config(head, source))
    arguments = ["compare", toy.bundle, toy.bundle, "--data", toy.data, "--config", config]
    content = json.loads(told(*arguments, "--json", "--samples", 10))
    assert {item["source"] for item in content["comparisons"]} == {"reviews"}
    assert content["left_out"] == [
        "head names: no dev or test data",
        "head tags: no dev or test data",
    ]


def test_nothing_to_compare(told, toy, other, tmp_path):
    """Told in one line."""
    names = {name: {"name": f"my-{name}"} for name in ("mood", "names", "tags")}
    strange = other(change=lambda m: heads_of(m, **names))
    errors = told("compare", toy.bundle, strange, "--data", toy.data, code=2)
    assert errors.count("\n") == 1
    assert "no dev or test data for a head with labels that the bundles share" in errors
    assert "not a bundle" in told("compare", toy.bundle, tmp_path, "--data", toy.data, code=2)
    with pytest.raises(SystemExit):
        main(["compare", "a", "b", "--data", "d", "--samples", "0"])
