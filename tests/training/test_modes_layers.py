"""Layers taken out, added, and mixed."""

import pytest
import torch
from mode_runs import Quiet, check_resume, copied, mode_config
from tiny_encoder import MAX_TOKENS
from transformers import (
    AutoConfig,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from polyhead_server.model import Model
from polyhead_server.packing import pack
from polyhead_training.checkpoint import BEST, save_weights
from polyhead_training.errors import TrainingError
from polyhead_training.export import export_bundle
from polyhead_training.fit import train
from polyhead_training.layers import add_layers, chosen_layers, keep_layers, layer_list
from polyhead_training.optimiser import build_optimiser
from polyhead_training.scalar_mix import ScalarMix
from polyhead_training.torch_engine import TorchEngine
from polyhead_training.warm_start import start_from
from polyhead_training.workshop import reopen_workshop

CPU = torch.device("cpu")
LAYER = "encoder.transformer.encoder.layer"


def features(shop):
    """What the encoder gives for a text."""
    shop.network.eval()
    windows = shop.assets.encoder().encode("The film was good in Rome.").windows
    return TorchEngine(shop.network.encoder, CPU).infer(pack(windows))


@pytest.mark.parametrize(
    ("modes", "layers"),
    [({"layers": [1]}, 1), ({"layers": 1, "add_layers": 2, "mix": True}, 3)],
)
def test_a_run_of_other_layers_trains_reopens_and_serves(open_shop, tmp_path, modes, layers):
    """The bundle gives what torch gives, and the run directory builds the same network again."""
    shop = open_shop(mode_config(modes, average=0))
    train(shop, tmp_path / "run", Quiet())
    assert AutoConfig.from_pretrained(tmp_path / "run" / "encoder").num_hidden_layers == layers
    again = reopen_workshop(shop.config, shop.data, tmp_path / "run")
    assert len(again.network.encoder.transformer.encoder.layer) == layers
    proof = export_bundle(again, tmp_path / "bundle", {})
    assert proof.cosine > 0.99999
    served = Model.load(tmp_path / "bundle", threads=1)
    windows = served.tokenize("The film was good in Rome.").windows
    hidden = served.engine.infer(pack(windows)).copy()
    served.close()
    assert abs(hidden - features(shop)).max() < 1e-4


def test_the_layers_asked_for_are_the_ones_kept(open_shop):
    """From the bottom, or by number; a kept layer has its pretrained weights."""
    whole = open_shop(mode_config()).network.state_dict()
    for modes, number in (({"layers": 1}, 0), ({"layers": [1]}, 1), ({"layers": [0, 1]}, 0)):
        own = open_shop(mode_config(modes)).network.state_dict()
        for part in ("attention.self.query.weight", "output.dense.bias"):
            assert torch.equal(own[f"{LAYER}.0.{part}"], whole[f"{LAYER}.{number}.{part}"])


def test_layers_that_the_encoder_has_not_are_refused(open_shop):
    """With the config's name and the number there is."""
    with pytest.raises(TrainingError, match=r"config.toml: layers wants layer 2 .* has only 2"):
        open_shop(mode_config({"layers": 3}))


def test_chosen_layers():
    """A number counts from the bottom, 0 takes all."""
    assert chosen_layers(0, 3) == (0, 1, 2)
    assert chosen_layers(2, 3) == (0, 1)
    assert chosen_layers((0, 2), 3) == (0, 2)
    with pytest.raises(TrainingError):
        chosen_layers((0, 3), 3)


SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "vocab_size": 30}


@pytest.mark.parametrize(
    "model",
    [
        lambda: BertModel(BertConfig(intermediate_size=8, **SIZES)),
        lambda: RobertaModel(RobertaConfig(intermediate_size=8, **SIZES)),
        lambda: MPNetModel(MPNetConfig(intermediate_size=8, **SIZES)),
        lambda: GPT2Model(GPT2Config(30, 40, 16, 3, 2)),
        lambda: DistilBertModel(DistilBertConfig(30, 40, n_layers=3, n_heads=2, dim=16)),
    ],
)
def test_layers_of_every_family_are_found(model):
    """Taken out and added, they run, and the configuration says how many they are."""
    torch.manual_seed(0)
    encoder = model().eval()
    bottom, _, top = layer_list(encoder)
    keep_layers(encoder, (0, 2))
    add_layers(encoder, 1)
    first, second, fresh = layer_list(encoder)
    assert (first, second) == (bottom, top)
    assert type(fresh) is type(bottom)
    assert encoder.config.num_hidden_layers == 3
    ids = torch.arange(3, 12)[None]
    states = encoder.eval()(ids, output_hidden_states=True).hidden_states
    assert len(states) == 4
    assert all(state.shape == (1, 9, 16) for state in states)


def test_an_added_layer_is_drawn_by_the_seed(open_shop):
    """The same config gives the same weights; they differ from those of the layer below."""
    first, second = (copied(open_shop(mode_config({"add_layers": 1})).network) for _ in range(2))
    name = f"{LAYER}.2.attention.self.query.weight"
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], first[name.replace(".2.", ".1.")])


def test_layer_decay_counts_from_the_top_pretrained_layer(open_shop):
    """New layers above it have the full rate."""
    shop = open_shop(mode_config({"add_layers": 1}, learning_rate=0.1, layer_decay=0.5))
    optimiser = build_optimiser(shop.network, shop.config.training)
    peaks = {id(p): g["peak"] for g in optimiser.param_groups for p in g["params"]}
    own = dict(shop.network.named_parameters())
    rates = [peaks[id(own[f"{LAYER}.{n}.output.dense.weight"])] for n in range(3)]
    assert rates == pytest.approx([0.05, 0.1, 0.1])


def test_a_mix_is_a_weighted_mean(open_shop):
    """Equal shares at first; learned ones are those of a softmax, scaled."""
    mix = ScalarMix(3)
    parts = list(torch.randn(3, 1, 2, 4))
    torch.testing.assert_close(mix(parts), torch.stack(parts).mean(dim=0))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.5, 0.25, 0.25]).log())
        mix.gamma.fill_(2.0)
    torch.testing.assert_close(mix(parts), parts[0] + 0.5 * parts[1] + 0.5 * parts[2])


def test_a_mix_takes_the_embeddings_and_every_layer(open_shop):
    """With all its weight on the top layer, the encoder is one without a mix."""
    mixed, plain = open_shop(mode_config({"mix": True})), open_shop(mode_config())
    plain.network.encoder.shapes.load_state_dict(mixed.network.encoder.shapes.state_dict())
    assert abs(features(mixed) - features(plain)).max() > 1e-2
    with torch.no_grad():
        mixed.network.encoder.mix.weights.copy_(torch.tensor([-60.0, -60.0, 60.0]))
    assert abs(features(mixed) - features(plain)).max() < 1e-5


def test_a_killed_run_ends_like_an_uninterrupted_one(open_shop, tmp_path):
    """With layers taken out, added and mixed."""
    text = mode_config({"layers": [1], "add_layers": 1, "mix": True, "attention_dropout": 0.1})
    check_resume(open_shop, text, tmp_path)


def test_fewer_layers_start_from_a_run_of_all(open_shop, tmp_path):
    """The layers kept are taken from the same places of the earlier run."""
    whole = open_shop(mode_config(average=0))
    train(whole, tmp_path / "run", Quiet())
    earlier = whole.network.state_dict()
    for modes, number in (({"layers": [1], "mix": True}, 1), ({"layers": 1, "add_layers": 1}, 0)):
        shop = open_shop(mode_config(modes))
        start_from(shop.network, tmp_path / "run")
        name = f"{LAYER}.{{}}.output.dense.weight"
        own = shop.network.state_dict()[name.format(0)]
        assert torch.equal(own, earlier[name.format(number)])


def test_a_run_of_fewer_layers_goes_on_as_it_is(open_shop, tmp_path):
    """A second stage of the same shape takes the first one's layers in order."""
    text = mode_config({"layers": [1]}, average=0)
    first = open_shop(text)
    train(first, tmp_path / "run", Quiet())
    second = open_shop(text)
    start_from(second.network, tmp_path / "run")
    assert (features(second) == features(first)).all()


def left(shop, folder):
    """Leaves the network, with other weights than fresh ones, as a run leaves it."""
    folder.mkdir()
    with torch.no_grad():
        for value in shop.network.parameters():
            value.add_(0.5)
    save_weights(folder / BEST, shop.network.state_dict())
    shop.keep(folder)
    return copied(shop.network)


BOTTOM, TOP = {"layers": 1}, {"layers": [1]}
NEW = {"add_layers": 1}


@pytest.mark.parametrize(
    ("earlier", "ours", "places"),
    [
        (BOTTOM | NEW, BOTTOM | NEW, {0: 0, 1: 1}),
        (TOP | NEW, TOP | NEW, {0: 0, 1: 1}),
        (TOP, TOP | NEW, {0: 0}),
        (NEW, TOP | NEW, {0: 1, 1: 2}),
        (NEW, {"add_layers": 2}, {0: 0, 1: 1, 2: 2}),
        ({"layers": 2} | NEW, TOP, {0: 1}),
    ],
)
def test_each_layer_is_taken_from_its_place(open_shop, tmp_path, earlier, ours, places):
    """Pretrained ones by their numbers, added ones as added ones; further ones stay fresh."""
    given = left(open_shop(mode_config(earlier)), tmp_path / "run")
    network = open_shop(mode_config(ours)).network
    fresh = copied(network)
    start_from(network, tmp_path / "run")
    name = f"{LAYER}.{{}}.output.dense.weight"
    own = copied(network)
    for place in range(len(network.encoder.transformer.encoder.layer)):
        at = name.format(place)
        wanted = given[name.format(places[place])] if place in places else fresh[at]
        assert torch.equal(own[at], wanted)


@pytest.mark.parametrize(("earlier", "ours"), [(BOTTOM | NEW, {}), (BOTTOM, TOP), (TOP, {})])
def test_a_run_without_a_kept_layer_is_no_start(open_shop, tmp_path, earlier, ours):
    """No other layer, nor an added one, stands in for it."""
    left(open_shop(mode_config(earlier)), tmp_path / "run")
    with pytest.raises(TrainingError, match="or of other layers of it"):
        start_from(open_shop(mode_config(ours)).network, tmp_path / "run")


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_attention_dropout_reaches_the_encoder(open_shop, probability):
    """None by default."""
    modes = {"attention_dropout": probability} if probability else {}
    encoder = open_shop(mode_config(modes)).network.encoder.transformer
    assert encoder.config.max_position_embeddings == MAX_TOKENS
    assert {layer.attention.self.dropout.p for layer in encoder.encoder.layer} == {probability}
    assert {layer.output.dropout.p for layer in encoder.encoder.layer} == {0.1}
