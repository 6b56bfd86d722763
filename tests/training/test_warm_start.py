"""A run can start from the weights of an earlier one."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_data import toy_config

from polyhead_server.bundle import open_bundle
from polyhead_training.checkpoint import BEST
from polyhead_training.cli import main
from polyhead_training.errors import TrainingError
from polyhead_training.warm_start import start_from


def test_a_second_stage_starts_where_the_first_ended(toy, tmp_path):
    """With a learning rate of next to nothing, the weights stay those of the first stage."""
    config = tmp_path / "second.toml"
    config.write_text(toy_config(learning_rate=0.0, head_learning_rate=1e-8), encoding="utf-8")
    out = tmp_path / "second"
    arguments = ["fit", str(config), "--data", str(toy.data), "--encoder", str(toy.encoder)]
    assert main([*arguments, "--out", str(out), "--start", str(toy.run)]) == 0
    first, second = load_file(toy.run / BEST), load_file(tmp_path / "second.run" / BEST)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-4, rtol=1e-3)
    assert open_bundle(out).manifest.provenance["started_from"] == toy.config.read_text()


def test_a_head_that_the_earlier_run_has_not_is_fresh(toy, tmp_path, open_shop):
    """What does not fit is left as it is; the encoder is taken over."""
    weights = load_file(toy.run / BEST)
    own = {name: value for name, value in weights.items() if not name.startswith("heads.mood")}
    save_file(own, tmp_path / BEST)
    network = open_shop(toy_config()).network
    before = network.heads["mood"].out.weight.detach().clone()
    start_from(network, tmp_path)
    assert torch.equal(network.heads["mood"].out.weight, before)
    some = next(name for name in own if name.startswith("encoder."))
    assert torch.equal(network.state_dict()[some], own[some])


def test_no_weights_is_an_error(toy, tmp_path, open_shop):
    """A directory without weights, or with those of another encoder, is named."""
    network = open_shop(toy_config()).network
    with pytest.raises(TrainingError, match="no weights of a run"):
        start_from(network, tmp_path)
    save_file({"encoder.x": torch.zeros(1)}, tmp_path / BEST)
    with pytest.raises(TrainingError, match="another encoder"):
        start_from(network, tmp_path)
