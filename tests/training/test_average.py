"""The mean of runs is a run, and makes a bundle."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from polyhead_server.bundle import open_bundle
from polyhead_training import commands
from polyhead_training.average import mean_weights
from polyhead_training.checkpoint import BEST
from polyhead_training.cli import main
from polyhead_training.errors import ExportError, TrainingError
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import ENCODER_FOLDER


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


def averaged(toy, other, out, data=None):
    runs = [str(toy.run), str(other)]
    return main(["average", *runs, "--data", str(data or toy.data), "--out", str(out)])


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('labels = ["bad", "plain", "good"]', 'labels = ["good", "bad", "plain"]', 'head "mood"'),
        ('labels = ["PER", "LOC"]', 'labels = ["LOC", "PER"]', 'head "names"'),
        ('pooling = "max"', 'pooling = "mean"', 'head "extra"'),
        ("[encoder]\n", "[encoder]\nlayers = 1\n", "layers"),
    ],
)
def test_runs_whose_numbers_mean_something_else_have_no_mean(toy, tmp_path, capsys, old, new, what):
    """Of the same shape though they be."""
    other = shutil.copytree(toy.run, tmp_path / "other.run")
    text = (other / CONFIG_COPY).read_text()
    assert old in text
    (other / CONFIG_COPY).write_text(text.replace(old, new))
    assert averaged(toy, other, tmp_path / "mean") == 2
    told = capsys.readouterr().err
    assert told == f"{other} differs from {toy.run} in its {what}: they have no mean\n"
    assert not list(tmp_path.glob("mean*"))


def test_other_tokens_have_no_mean(toy, tmp_path, capsys):
    """A vector of another word is no vector of this one."""
    other = shutil.copytree(toy.run, tmp_path / "other.run")
    with (other / ENCODER_FOLDER / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert averaged(toy, other, tmp_path / "mean") == 2
    assert "in its tokenizer" in capsys.readouterr().err


def test_a_mean_without_a_head_to_serve_is_no_bundle(toy, tmp_path, capsys):
    """Such runs are trained with --no-export; one line says what is missing."""
    other = shutil.copytree(toy.run, tmp_path / "other.run")
    text = (other / CONFIG_COPY).read_text().replace("export = false\n", "")
    (other / CONFIG_COPY).write_text(text.replace("[[heads]]", "[[heads]]\nexport = false"))
    runs = ["average", str(other), str(other), "--data", str(toy.data)]
    assert main([*runs, "--out", str(tmp_path / "mean")]) == 2
    told = capsys.readouterr().err
    assert told == (
        f"{other}/config.toml: every head has export = false: there is no bundle to make of the "
        "mean\n"
    )
    assert not list(tmp_path.glob("mean*"))


def test_what_failed_can_be_given_again(toy, tmp_path, capsys, monkeypatch):
    """Missing data are told by the run that wants them, and nothing is left of a failed export."""
    out = tmp_path / "mean"
    assert averaged(toy, toy.run, out, data=tmp_path / "nowhere") == 2
    assert f"{toy.run}/config.toml" in capsys.readouterr().err

    def fail(*_):
        raise ExportError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(commands, "export_bundle", fail)
        assert averaged(toy, toy.run, out) == 2
    assert not list(tmp_path.iterdir())
    assert averaged(toy, toy.run, out) == 0


def test_a_stopped_mean_says_so(toy, tmp_path, capsys, monkeypatch):
    """As any other command."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "export_bundle", stop)
    assert averaged(toy, toy.run, tmp_path / "mean") == 130
    assert capsys.readouterr().err == "stopped\n"
