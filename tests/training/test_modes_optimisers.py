"""Every optimiser learns and resumes; the slanted schedule."""

import pytest
import torch
from mode_runs import Quiet, check_resume, mode_config
from toy_data import HEADS, SOURCES, toy_config

from polyhead_training.fit import train
from polyhead_training.optimiser import build_optimiser, rate_factor

TAGS = (HEADS.split("\n\n")[2], SOURCES.split("\n\n")[3].replace("passes = 2", "passes = 4"))
KINDS = {
    "adamw": (torch.optim.AdamW, 6e-3),
    "radam": (torch.optim.RAdam, 6e-3),
    "adafactor": (torch.optim.Adafactor, 5e-2),
    "sgd": (torch.optim.SGD, 5e-2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_optimiser_learns(open_shop, tmp_path, kind):
    """It is the one of torch, and answers get much better than guessing, a fifth."""
    optimiser, rate = KINDS[kind]
    rates = {"learning_rate": rate, "head_learning_rate": rate}
    shop = open_shop(toy_config(*TAGS, optimiser=kind, validations=1, **rates))
    assert type(build_optimiser(shop.network, shop.config.training)) is optimiser
    run = train(shop, tmp_path, Quiet())
    assert run.progress.best_score > 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_each_optimiser_resumes(open_shop, tmp_path, kind):
    """Its state comes back whole: the weights are the same to the bit."""
    check_resume(open_shop, mode_config(optimiser=kind), tmp_path)


@pytest.mark.parametrize(("done", "factor"), [(0.0, 1 / 32), (0.05, 33 / 64), (0.1, 1.0)])
def test_slanted_rates_rise_fast_and_fall_slowly(open_shop, done, factor):
    """From a 32nd of the peak, at the end of the warm-up at it, and down to a 32nd again."""
    config = open_shop(mode_config(schedule="slanted", warmup=0.1)).config.training
    assert rate_factor(config, done) == pytest.approx(factor)
    assert rate_factor(config, 0.55) == pytest.approx(33 / 64)
    assert rate_factor(config, 1.0) == pytest.approx(1 / 32)
