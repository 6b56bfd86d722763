"""Feature-based transfer: the heads learn, the encoder is left as it was."""

import torch
from mode_runs import Quiet, check_resume, copied, mode_config

from polyhead_server.packing import pack
from polyhead_training.export import export_bundle
from polyhead_training.fit import train
from polyhead_training.torch_engine import TorchEngine

FROZEN = {"train": "frozen"}
CPU = torch.device("cpu")


def features(shop):
    """What the encoder gives for a text."""
    shop.network.eval()
    windows = shop.assets.encoder().encode("The film was good in Rome.").windows
    return TorchEngine(shop.network.encoder, CPU).infer(pack(windows))


def test_only_the_heads_learn(open_shop, tmp_path):
    """The encoder's weights stay the same to the bit, and so does what it gives; heads change."""
    shop = open_shop(mode_config(FROZEN))
    before, given = copied(shop.network), features(shop)
    train(shop, tmp_path, Quiet())
    for name, value in copied(shop.network).items():
        stays = name.startswith("encoder.") or name.endswith(".adjacent")
        assert torch.equal(value, before[name]) == stays, name
    assert (features(shop) == given).all()


def test_the_pretrained_output_is_what_the_heads_get(open_shop):
    """Letter-case shapes, which have not been learned, change nothing."""
    shop = open_shop(mode_config(FROZEN))
    bare = open_shop(mode_config({**FROZEN, "shape_embedding": False}))
    assert (features(shop) == features(bare)).all()


def test_a_frozen_encoder_has_no_dropout(open_shop):
    """Two passes in training give the same vectors, for which no gradient is kept."""
    shop = open_shop(mode_config(FROZEN))
    shop.network.train()
    assert shop.network.heads["mood"].dropout.training
    ids = torch.arange(5, 12)[None]
    one = torch.ones_like(ids)
    first, second = (shop.network.encoder(ids, ids - 5, one, one) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad


def test_added_layers_learn_on_a_frozen_encoder(open_shop, tmp_path):
    """Only they, with dropout of their own; the pretrained layers below stay."""
    shop = open_shop(mode_config({**FROZEN, "add_layers": 1}))
    before = copied(shop.network)
    shop.network.train()
    layers = shop.network.encoder.transformer.encoder.layer
    assert [layer.training for layer in layers] == [False, False, True]
    train(shop, tmp_path, Quiet())
    changed = {n for n, v in copied(shop.network).items() if not torch.equal(v, before[n])}
    inside = {name for name in changed if name.startswith("encoder.")}
    assert inside
    assert all(name.startswith("encoder.transformer.encoder.layer.2.") for name in inside)


def test_a_frozen_run_with_a_mix_resumes_and_serves(open_shop, tmp_path):
    """As ELMo was used: the mix of layers learns, the layers do not."""
    text = mode_config({**FROZEN, "mix": True})
    check_resume(open_shop, text, tmp_path)
    shop = open_shop(text)
    before = copied(shop.network)
    train(shop, tmp_path / "run", Quiet())
    changed = {n for n, v in copied(shop.network).items() if not torch.equal(v, before[n])}
    inside = {name for name in changed if name.startswith("encoder.")}
    assert inside == {"encoder.mix.weights", "encoder.mix.gamma"}
    proof = export_bundle(shop, tmp_path / "bundle", {})
    assert proof.cosine > 0.99999
