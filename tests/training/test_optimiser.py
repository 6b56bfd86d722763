"""Learning rates by layer, and over time."""

import pytest
from toy_data import toy_config

from polyhead_training.optimiser import build_optimiser, rate_factor


@pytest.fixture
def rates(open_shop):
    """Peak learning rate by parameter, for a layer decay."""

    def found(**training):
        shop = open_shop(toy_config(learning_rate=0.1, head_learning_rate=0.5, **training))
        optimiser = build_optimiser(shop.network, shop.config.training)
        peaks = {id(p): g["peak"] for g in optimiser.param_groups for p in g["params"]}
        return {name: peaks[id(p)] for name, p in shop.network.named_parameters()}

    return found


def test_without_decay_all_encoder_layers_learn_alike(rates):
    """Two rates: the encoder's, and that of what is new."""
    for name, rate in rates().items():
        assert rate == (0.1 if name.startswith("encoder.transformer.") else 0.5)


def test_rates_fall_towards_the_embeddings(rates):
    """The top layer has the full rate, each layer below it half of the one above."""
    found = rates(layer_decay=0.5)
    part = "encoder.transformer."
    query = "attention.self.query.weight"
    assert found[f"{part}encoder.layer.1.{query}"] == pytest.approx(0.1)
    assert found[f"{part}encoder.layer.0.{query}"] == pytest.approx(0.05)
    assert found[f"{part}embeddings.word_embeddings.weight"] == pytest.approx(0.025)
    assert found["encoder.shapes.weight"] == 0.5


@pytest.mark.parametrize(
    ("schedule", "middle"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1)]
)
def test_the_rate_rises_and_falls(open_shop, schedule, middle):
    """From nothing to the peak while warming up, then along the schedule."""
    config = open_shop(toy_config(schedule=schedule, warmup=0.2)).config.training
    assert rate_factor(config, 0.1) == pytest.approx(0.5)
    assert rate_factor(config, 0.2) == pytest.approx(1.0)
    assert rate_factor(config, 0.6) == pytest.approx(middle)
    assert rate_factor(config, 1.0) == pytest.approx(1.0 if schedule == "constant" else 0.0)
