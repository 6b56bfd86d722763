"""Low-rank adapters: the weights stay, a small change to them is learned, and merged to serve."""

import shutil

import pytest
import torch
from mode_runs import Quiet, check_resume, copied, mode_config
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model
from transformers.pytorch_utils import Conv1D

from polyhead_server.packing import pack
from polyhead_training.adapters import (
    AdaptedLinear,
    add_adapters,
    is_adapter,
    merge_adapters,
    merged_weights,
)
from polyhead_training.average import average_runs
from polyhead_training.checkpoint import BEST, save_weights
from polyhead_training.errors import TrainingError
from polyhead_training.export import export_bundle
from polyhead_training.fit import train
from polyhead_training.layers import layer_list
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.warm_start import start_from
from polyhead_training.workshop import reopen_workshop

ADAPTERS = {"train": "adapters", "adapter_rank": 4, "adapter_alpha": 8}
CPU = torch.device("cpu")


@pytest.fixture
def trained(open_shop, tmp_path):
    """A shop after a run with adapters, its weights before, and the run directory."""
    shop = open_shop(mode_config(ADAPTERS, average=0))
    before = copied(shop.network)
    train(shop, tmp_path / "run", Quiet())
    return shop, before, tmp_path / "run"


def test_factors_are_drawn_alike_for_both_kinds_of_layers():
    """GPT-2's weights are transposed, and its random factor is as large as others'."""
    width, rank = 768, 8
    for base in (torch.nn.Linear(width, width), Conv1D(width, width)):
        adapted = AdaptedLinear(base, rank, 8.0)
        factors = (adapted.adapter_left, adapted.adapter_right)
        (drawn,) = (factor for factor in factors if factor.any())
        assert drawn.abs().max().item() == pytest.approx(width**-0.5, rel=0.02)


def features(shop):
    """What the encoder gives for a text."""
    shop.network.eval()
    windows = shop.assets.encoder().encode("The film was good in Rome.").windows
    return TorchEngine(shop.network.encoder, CPU).infer(pack(windows))


def close(ours, theirs, within=1e-5):
    """Whether two outputs are as good as the same."""
    return abs(ours - theirs).max() < within


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_merged_adapters_give_the_same(family):
    """For linear layers of both kinds: a copy is merged, the original stays."""
    torch.manual_seed(0)
    if family == "bert":
        config = BertConfig(50, 32, 2, 2, 64, max_position_embeddings=16)
        model, count = BertModel(config).eval(), 12
    else:
        config = GPT2Config(50, 16, 32, 2, 2)
        model, count = GPT2Model(config).eval(), 8
    ids = torch.arange(10)[None]
    plain = model(ids).last_hidden_state
    add_adapters(layer_list(model), rank=3, alpha=6)
    adapted = [part for part in model.modules() if isinstance(part, AdaptedLinear)]
    assert len(adapted) == count
    torch.testing.assert_close(model(ids).last_hidden_state, plain)  # they start at nothing
    for part in adapted:
        torch.nn.init.normal_(part.adapter_left, std=0.3)
        torch.nn.init.normal_(part.adapter_right, std=0.3)
    changed = model(ids).last_hidden_state
    assert (changed - plain).abs().max() > 0.1
    merged = merge_adapters(model)
    assert not any(isinstance(part, AdaptedLinear) for part in merged.modules())
    assert type(layer_list(merged)[0]) is type(layer_list(model)[0])
    torch.testing.assert_close(merged(ids).last_hidden_state, changed, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(ids).last_hidden_state, changed)
    fresh = type(model)(config).eval()
    fresh.load_state_dict(merged_weights(model.state_dict()))
    torch.testing.assert_close(fresh(ids).last_hidden_state, changed, atol=1e-5, rtol=1e-5)


def test_the_pretrained_weights_stay(trained):
    """Adapters, shapes and heads learn; all else in the encoder is the same to the bit."""
    shop, before, _ = trained
    after = copied(shop.network)
    for name, value in after.items():
        if name.startswith("encoder.transformer.") and not is_adapter(name):
            assert torch.equal(value, before[name]), name
    for name in ("encoder.shapes.weight", "heads.mood.out.weight"):
        assert not torch.equal(after[name], before[name])
    learned = [name for name in after if name.endswith("adapter_left")]
    assert len(learned) == 12
    assert all(after[name].abs().max() > 0 for name in learned)


def test_the_bundle_agrees_with_torch(trained, tmp_path):
    """Merged, quantisable, and no larger than without adapters."""
    shop, _, _ = trained
    proof = export_bundle(shop, tmp_path / "bundle", {})
    assert proof.cosine > 0.99999
    assert min(proof.agreement.values()) > 0.99


def test_a_run_is_reopened_as_it_was(trained):
    """For evaluation and as a teacher."""
    shop, _, folder = trained
    again = reopen_workshop(shop.config, shop.data, folder)
    assert close(features(again), features(shop))


def test_a_killed_run_ends_like_an_uninterrupted_one(open_shop, tmp_path):
    """Adapters, their optimiser state and their moving average come back."""
    check_resume(open_shop, mode_config(ADAPTERS), tmp_path)


def test_a_mean_is_taken_of_the_merged_weights(trained, tmp_path):
    """Not of the factors: two runs whose factors differ in sign are the same function."""
    shop, _, folder = trained
    other = shutil.copytree(folder, tmp_path / "other")
    weights = load_file(other / BEST)
    save_weights(
        other / BEST,
        {n: -v if is_adapter(n) and "scale" not in n else v for n, v in weights.items()},
    )
    average_runs([folder, other], tmp_path / "mean")
    mean = reopen_workshop(shop.config, shop.data, tmp_path / "mean")
    assert close(features(mean), features(shop))


def test_a_further_stage_takes_the_adapters_over(trained, open_shop):
    """Into full fine-tuning, or under new adapters of another rank: the encoder gives the same."""
    shop, _, folder = trained
    for modes in ({}, {"train": "adapters", "adapter_rank": 2}):
        stage = open_shop(mode_config(modes))
        start_from(stage.network, folder)
        assert close(features(stage), features(shop))


def test_adapters_can_start_from_a_run_without(trained, open_shop, tmp_path):
    """They start at nothing, above what was learned."""
    plain = open_shop(mode_config(average=0))
    train(plain, tmp_path / "plain", Quiet())
    shop = open_shop(mode_config(ADAPTERS))
    start_from(shop.network, tmp_path / "plain")
    assert close(features(shop), features(plain))


def test_an_encoder_without_linear_layers_takes_no_adapters():
    """It is said, not passed over."""
    with pytest.raises(TrainingError, match="no linear layers"):
        add_adapters([torch.nn.LSTM(2, 2)], 1, 1)
