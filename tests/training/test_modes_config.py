"""Keys of the ways of transfer: read, documented defaults, and mistakes at their lines."""

import pytest
from toy_data import toy_config

from polyhead_training.config import EncoderConfig, TrainingConfig, load_config
from polyhead_training.problems import InputError


@pytest.fixture
def load(tmp_path):
    """Reads a config with further lines in its encoder and training tables."""

    def loaded(encoder: str = "", **training):
        file = tmp_path / "config.toml"
        text = toy_config(**training).replace("[encoder]", f"[encoder]\n{encoder}", 1)
        file.write_text(text, encoding="utf-8")
        return load_config(file)

    return loaded


def test_the_default_is_full_fine_tuning_of_the_whole_encoder(load):
    """Nothing changes for a config without these keys."""
    config, encoder, training = load(), EncoderConfig(), TrainingConfig()
    for key in ("train", "mix", "layers", "add_layers", "attention_dropout"):
        assert getattr(config.encoder, key) == getattr(encoder, key)
    for key in ("optimiser", "sampling", "consistency", "schedule"):
        assert getattr(config.training, key) == getattr(training, key)
    assert (encoder.train, training.optimiser, training.sampling) == (
        "full",
        "adamw",
        "proportional",
    )


def test_every_key_reaches_its_field(load):
    """Values are taken as written."""
    config = load(
        'train = "adapters"\nadapter_rank = 4\nadapter_alpha = 2\nmix = true\n'
        "layers = [0, 2]\nadd_layers = 1\nattention_dropout = 0.2",
        optimiser="sgd",
        schedule="slanted",
        sampling="annealed",
        sampling_temperature=5,
        consistency=0.5,
    )
    encoder, training = config.encoder, config.training
    assert (encoder.train, encoder.adapter_rank, encoder.adapter_alpha) == ("adapters", 4, 2.0)
    assert (encoder.mix, encoder.layers, encoder.add_layers) == (True, (0, 2), 1)
    assert encoder.attention_dropout == 0.2
    assert (training.optimiser, training.schedule) == ("sgd", "slanted")
    assert (training.sampling, training.sampling_temperature) == ("annealed", 5.0)
    assert training.consistency == 0.5
    assert load("layers = 2").encoder.layers == 2
    assert load('train = "gradual"\nunfrozen_by = 0.4').encoder.unfrozen_by == 0.4


@pytest.mark.parametrize(
    ("lines", "line", "part"),
    [
        ('train = "frozn"', 5, 'did you mean "frozen"?'),
        ("train = true", 5, "train must be"),
        ('train = "gradual"\nunfrozen_by = 1', 6, "unfrozen_by must be a number from 0.01 to 0.99"),
        ("unfrozen_by = 0.5", 5, 'unfrozen_by is for train = "gradual", not "full"'),
        ("adapter_rank = 8", 5, 'adapter_rank is for train = "adapters", not "full"'),
        ('train = "adapters"\nadapter_rank = 0', 6, "adapter_rank must be a whole number"),
        ('train = "adapters"\nadapter_alpha = 0', 6, "adapter_alpha must be a number"),
        ("mix = 1", 5, "mix must be true or false"),
        ("layers = -1", 5, "layers must be a whole number from 0"),
        ('layers = "3"', 5, "layers must be a whole number from 0"),
        ("layers = []", 5, "list of rising layer numbers"),
        ("layers = [2, 0]", 5, "list of rising layer numbers from 0, not [2, 0]"),
        ("layers = [0, 0]", 5, "list of rising layer numbers"),
        ("layers = [true]", 5, "list of rising layer numbers"),
        ("add_layers = 1.5", 5, "add_layers must be a whole number"),
        ("attention_dropout = 1", 5, "attention_dropout must be a number from 0 to 0.9"),
    ],
)
def test_a_mistake_in_the_encoder_is_named_at_its_line(load, lines, line, part):
    """One mistake gives its message."""
    with pytest.raises(InputError) as caught:
        load(lines)
    ((found,),) = (caught.value.problems,)
    assert (found.line, part in found.message) == (line, True), found


@pytest.mark.parametrize(
    ("training", "part"),
    [
        ({"optimiser": "adam"}, 'optimiser must be "adamw", "radam", "adafactor" or "sgd"'),
        ({"schedule": "triangle"}, "schedule must be"),
        ({"sampling": "even"}, "sampling must be"),
        (
            {"sampling_temperature": 2},
            'sampling_temperature is for sampling = "temperature" or "annealed"',
        ),
        (
            {"sampling": "annealed", "sampling_temperature": 0.5},
            "sampling_temperature must be a number from 1",
        ),
        ({"consistency": -1}, "consistency must be a number from 0"),
    ],
)
def test_a_mistake_in_training_is_named(load, training, part):
    """One mistake gives its message."""
    with pytest.raises(InputError) as caught:
        load(**training)
    ((found,),) = (caught.value.problems,)
    assert part in found.message
