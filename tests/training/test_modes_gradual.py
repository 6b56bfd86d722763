"""Gradual unfreezing: one more layer after another, from the top."""

import math

import pytest
import torch
from mode_runs import Quiet, Stopped, check_resume, copied, mode_config

from polyhead_training.fit import train
from polyhead_training.unfreezing import Unfreezing

PART = "encoder.transformer."
GRADUAL = {"train": "gradual", "unfrozen_by": 0.6}


def parts(names):
    """Layers, embeddings and shapes of the encoder among parameters."""
    inside = {name.removeprefix(PART) for name in names if name.startswith("encoder.")}
    return {".".join(name.split(".")[:3]) for name in inside if ".layer." in name} | {
        name.split(".")[0] if "embeddings" in name else "shapes"
        for name in inside
        if "embeddings" in name or "shapes" in name
    }


STAGES = [set(), {"encoder.layer.1"}, {"encoder.layer.1", "encoder.layer.0"}]
STAGES.append({*STAGES[-1], "embeddings", "shapes"})


class HalfWay(Quiet):
    """Stops a run in its middle."""

    def step(self, done, total, loss, tokens):
        if done == total // 2:
            raise Stopped


def test_layers_open_from_the_top_at_evenly_spaced_points(open_shop, tmp_path):
    """At each step just those learn whose point has come; the heads learn from the start."""
    shop = open_shop(mode_config(GRADUAL))
    log = Quiet(shop.network)
    train(shop, tmp_path, log)
    for number, names in enumerate(log.learning):
        opened = min(3, math.floor(3 * number / log.total / 0.6 + 1e-9))
        assert parts(names) == STAGES[opened], number
        assert {name for name in names if name.startswith("heads.")}
    assert parts(log.learning[0]) == STAGES[0]
    assert parts(log.learning[-1]) == STAGES[3]


def test_what_is_not_open_does_not_change(open_shop, tmp_path):
    """Stopped while only the top layer is open, the others are as they were pretrained."""
    shop = open_shop(mode_config({"train": "gradual", "unfrozen_by": 0.99}, patience=0))
    before = copied(shop.network)
    with pytest.raises(Stopped):
        train(shop, tmp_path, HalfWay())
    changed = {n for n, v in copied(shop.network).items() if not torch.equal(v, before[n])}
    assert parts(changed) == STAGES[1]
    assert any(name.startswith("heads.") for name in changed)


def test_a_killed_run_ends_like_an_uninterrupted_one(open_shop, tmp_path):
    """Layers that had not been open at the kill have no optimiser state, and open all the same."""
    text = mode_config(GRADUAL, schedule="slanted", layer_decay=0.5)
    assert check_resume(open_shop, text, tmp_path) > 10


def test_added_layers_and_the_mix_are_open_from_the_start(open_shop):
    """What is not pretrained needs no protection from fresh heads."""
    shop = open_shop(mode_config({"train": "gradual", "add_layers": 1, "mix": True}))
    Unfreezing(shop.network, shop.config).reach(0.0)
    own = shop.network.named_parameters()
    names = {name for name, value in own if value.requires_grad and name.startswith("encoder.")}
    assert parts(names) == {"encoder.layer.2"}
    assert {"encoder.mix.weights", "encoder.mix.gamma"} <= names


def test_without_the_mode_everything_learns_always(open_shop):
    """Full fine-tuning is left alone."""
    shop = open_shop(mode_config())
    Unfreezing(shop.network, shop.config).reach(0.0)
    assert all(value.requires_grad for value in shop.network.parameters())
