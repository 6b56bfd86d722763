"""The mean of runs is a run, and makes a bundle."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from polyhead_server.bundle import open_bundle
from polyhead_training.average import mean_weights
from polyhead_training.checkpoint import BEST
from polyhead_training.cli import main
from polyhead_training.errors import TrainingError


def test_the_mean_of_a_run_with_itself_is_the_run(toy, tmp_path):
    """The command exports a bundle that has figures and says what it was made of."""
    copy = shutil.copytree(toy.run, tmp_path / "copy.run")
    out = tmp_path / "mean"
    runs = [str(toy.run), str(copy)]
    assert main(["average", *runs, "--data", str(toy.data), "--out", str(out)]) == 0
    first, mean = load_file(toy.run / BEST), load_file(tmp_path / "mean.run" / BEST)
    for name, value in first.items():
        torch.testing.assert_close(mean[name], value)
    manifest = open_bundle(out).manifest
    assert manifest.provenance["mean_of_runs"] == [toy.config.read_text()] * 2
    assert all(head.figures for head in manifest.heads)


def test_the_mean_is_taken_by_tensor():
    """Numbers are averaged; whole numbers are taken from the first."""
    states = [
        {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
        {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(5)},
    ]
    mean = mean_weights(states)
    assert mean["a"].tolist() == [2.0, 4.0]
    assert mean["n"].item() == 3


def test_networks_of_different_shape_have_no_mean():
    """They are refused, not broadcast."""
    with pytest.raises(TrainingError, match="no mean"):
        mean_weights([{"a": torch.zeros(2)}, {"a": torch.zeros(1)}])


def test_what_is_no_run_is_named(toy, tmp_path, capsys):
    """One line, exit code 2, nothing written."""
    save_file({"a": torch.zeros(1)}, tmp_path / BEST)
    out = tmp_path / "mean"
    runs = [str(toy.run), str(tmp_path)]
    assert main(["average", *runs, "--data", str(toy.data), "--out", str(out)]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    assert not out.exists()
    assert not out.with_name("mean.run").exists()
