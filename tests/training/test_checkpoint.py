"""A checkpoint holds all that a run needs, without pickle, and is always whole."""

import os

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from polyhead_training import checkpoint
from polyhead_training.checkpoint import (
    BEST,
    CHECKPOINT,
    Progress,
    best_weights,
    checkpoint_fingerprint,
    load_checkpoint,
    save_checkpoint,
    save_weights,
    sole_use,
)
from polyhead_training.errors import TrainingError


def trained(steps: int = 3, seed: int = 0):
    """A small network after a few steps, and its optimiser."""
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(steps):
        torch.autograd.backward(network(torch.ones(1, 3)).sum())
        optimiser.step()
        optimiser.zero_grad()
    return network, optimiser


def save(folder, network, optimiser, **progress):
    """Save a checkpoint with the weights as their own average."""
    weights = dict(network.state_dict())
    save_checkpoint(
        folder,
        fingerprint="mark",
        progress=Progress(**progress),
        weights=weights,
        average={name: value / 2 for name, value in weights.items()},
        optimiser=optimiser,
    )


def test_everything_comes_back(tmp_path):
    """Weights, averages, the optimiser's moments and step counts, and the progress."""
    network, optimiser = trained()
    facts = {"step": 3, "best_score": 0.5, "seconds": 1.5, "history": [{"step": 2}], "loss": 0.1}
    save(tmp_path, network, optimiser, **facts)
    other, fresh = trained(steps=0, seed=1)
    progress, average = load_checkpoint(tmp_path, other, fresh)
    assert progress == Progress(**facts)
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(average["weight"], network.weight / 2)
    for ours, theirs in zip(
        fresh.state_dict()["state"].values(), optimiser.state_dict()["state"].values(), strict=True
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_checkpoint_names_its_run(tmp_path):
    """None where there is no checkpoint."""
    assert checkpoint_fingerprint(tmp_path) is None
    save(tmp_path, *trained())
    assert checkpoint_fingerprint(tmp_path) == "mark"


def test_a_new_checkpoint_takes_the_old_ones_place(tmp_path):
    """One file, and nothing of the writing is left."""
    save(tmp_path, *trained(), step=1)
    save(tmp_path, *trained(), step=2)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    with safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        assert '"step": 2' in file.metadata()["progress"]


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x10\0\0\0\0\0\0\0{}"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    """The message says how to go on."""
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(TrainingError, match="--fresh"):
        checkpoint_fingerprint(tmp_path)


def test_tensors_that_are_no_checkpoint_are_refused(tmp_path):
    """Somebody else's file of that name."""
    save_file({"x": torch.ones(1)}, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match="no checkpoint"):
        checkpoint_fingerprint(tmp_path)


def test_shared_and_strided_weights_are_saved(tmp_path):
    """Views of one storage are written as tensors of their own."""
    weights = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path / BEST, {"a": weights, "b": weights.T})
    with safe_open(tmp_path / BEST, framework="pt") as file:
        assert torch.equal(file.get_tensor("b"), weights.T)


def test_a_run_directory_is_one_process_s(tmp_path):
    """While one trains there, another is refused; after that it is free."""
    with (
        sole_use(tmp_path / "run"),
        pytest.raises(TrainingError, match=r"another process trains in .*run"),
        sole_use(tmp_path / "run"),
    ):
        pass
    with sole_use(tmp_path / "run"):
        pass


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """What was there stays, and nothing half written."""

    def half(_, file, **__):
        file.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    save_weights(tmp_path / BEST, {"a": torch.zeros(1)})
    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(TrainingError, match=r"best\.safetensors cannot be written: .*No space"):
        save_weights(tmp_path / BEST, {"a": torch.ones(1)})
    assert best_weights(tmp_path)["a"] == 0
    assert [file.name for file in tmp_path.iterdir()] == [BEST]


def test_damaged_weights_are_told(tmp_path):
    """As those that are missing."""
    save_weights(tmp_path / BEST, {"a": torch.zeros(9)})
    os.truncate(tmp_path / BEST, 60)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TrainingError, match=r"best\.safetensors is damaged or not there"):
            best_weights(folder)
