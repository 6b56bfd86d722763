"""The network in torch gives what the serving code gives, for every kind of head."""

import numpy as np
import pytest
import torch
from toy_data import toy_config

from polyhead_server.features import batch_features
from polyhead_server.heads import Head
from polyhead_server.packing import pack
from polyhead_training.batches import Sample, collate
from polyhead_training.network import blank_network, head_spec
from polyhead_training.torch_engine import TorchEngine, head_tensors

CPU = torch.device("cpu")
WORDS = ("the", "film", "was", "good", "Ann", "met", "Bob", "in", "Oslo", "x1y2z", "\ufffd", ".")

HEADS = "".join(
    f"""
[[heads]]
name = "{kind}-{pooling}-{hidden}"
kind = "{kind}"
labels = ["a", "b", "c"]
hidden = {hidden}
"""
    + (f'pooling = "{pooling}"\n' if kind == "classification" else "")
    for kind, pooling in (
        ("classification", "mean"),
        ("classification", "first"),
        ("classification", "max"),
        ("tagging", "mean"),
        ("spans", "mean"),
    )
    for hidden in (0, 8)
)
NAMES = [line.split('"')[1] for line in HEADS.splitlines() if line.startswith("name")]
SOURCES = "".join(
    f"""
[[sources]]
name = "{name}"
head = "{name}"
format = "{"jsonl" if name.startswith("class") else "conll"}"
train = "{"poles/train.jsonl" if name.startswith("class") else "names/train.conll"}"
map = {{ {MAP} }}
"""
    for name in NAMES
    for MAP in [
        'bad = "a", good = "b"'
        if name.startswith("class")
        else 'PER = "a", LOC = "b"'
        if name.startswith("spans")
        else '"B-PER" = "a", "I-PER" = "a", "B-LOC" = "b", "O" = "c"'
    ]
)


@pytest.fixture
def shop(open_shop):
    """An untrained network with every kind of head."""
    shop = open_shop(toy_config(HEADS, SOURCES))
    shop.network.eval()
    return shop


@pytest.fixture
def windows(shop):
    """Windows of different lengths, some of one long text."""
    encoder = shop.assets.encoder()
    sources = ["The film was good.", WORDS[:3], WORDS, "?", WORDS * 4]
    return [window for source in sources for window in encoder.encode(source).windows]


def padded(shop, windows):
    """The batch that training makes of windows."""
    return collate([Sample(window, ()) for window in windows], CPU)[0]


def logits_of(shop, name: str, features):
    """What the serving head makes of features, as log probabilities."""
    head = Head(head_spec(shop.config.head(name)), head_tensors(shop.network, name), 32)
    rows = {
        "classification": lambda: head._pool(features)[None],
        "tagging": lambda: features.words,
        "spans": lambda: features.words,
    }[head.spec.kind]()
    return np.log(head._probabilities(rows))


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_padded_training_equals_packed_serving(shop, windows, name):
    """Each window of a padded batch gives what the serving head gives for the packed one."""
    expected = shop.network(padded(shop, windows), name).log_softmax(dim=1).numpy()
    batch = pack(windows)
    hidden = TorchEngine(shop.network.encoder, CPU).infer(batch)
    features = batch_features(hidden, batch.starts, windows)
    found = [logits_of(shop, name, one) for one in features]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_window_in_a_batch_equals_the_window_alone(shop, windows, name):
    """Padding and neighbours change nothing."""
    together = shop.network(padded(shop, windows), name)
    alone = torch.cat([shop.network(padded(shop, [window]), name) for window in windows])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_letter_case_reaches_the_encoder(shop):
    """An uncased vocabulary gives the same ids; the shapes make the vectors differ."""
    encoder = shop.assets.encoder()
    lower, title = (encoder.encode((word,)).windows[0] for word in ("rome", "Rome"))
    assert lower.ids.tolist() == title.ids.tolist()
    engine = TorchEngine(shop.network.encoder, CPU)
    gap = np.abs(engine.infer(pack([lower])) - engine.infer(pack([title]))).max()
    assert gap > 1e-3


def test_without_shapes_there_is_no_shape_embedding(open_shop):
    """An encoder that knows letter case can do without."""
    text = toy_config().replace("[encoder]", "[encoder]\nshape_embedding = false")
    shop = open_shop(text)
    assert shop.network.encoder.shapes is None
    assert not shop.assets.encoder().encode("Rome").windows[0].shapes.any()


def test_new_layers_are_drawn_by_the_seed(open_shop):
    """The same config gives the same weights, another seed others."""
    first, again = open_shop(toy_config()), open_shop(toy_config())
    other = open_shop(toy_config().replace("seed = 3", "seed = 4"))
    weight = "heads.mood.out.weight"
    states = [shop.network.state_dict() for shop in (first, again, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0][weight], states[2][weight])


def test_a_head_may_have_the_name_of_a_method(open_shop, tmp_path):
    """Its weights are named as any other's; a network of the same make takes them."""
    names = ("type", "values", "items", "keys", "update", "half", "training", "train", "parameters")
    blocks = [block for block in HEADS.split("[[heads]]") if block.strip()]
    heads = "".join(
        "[[heads]]" + block.replace(f'"{old}"', f'"{new}"')
        for block, old, new in zip(blocks, NAMES, names, strict=False)
    )
    sources = SOURCES
    for old, new in zip(NAMES, names, strict=False):
        sources = sources.replace(f'head = "{old}"', f'head = "{new}"')
    sources = "[[sources]]".join(sources.split("[[sources]]")[: len(names) + 1])
    shop = open_shop(toy_config(heads, sources))
    state = shop.network.train().state_dict()
    assert {f"heads.{name}.out.weight" for name in names} <= state.keys()
    assert sorted(shop.network.heads) == sorted(names)
    windows = shop.assets.encoder().encode("The film was good.").windows
    for name in names:
        assert shop.network(padded(shop, windows), name).isfinite().all()
    shop.keep(tmp_path)
    blank_network(shop.config, tmp_path / "encoder").load_state_dict(state)


def test_a_blank_network_has_the_same_make(shop, tmp_path):
    """It takes the weights of the built one as they are."""
    shop.keep(tmp_path)
    blank = blank_network(shop.config, tmp_path / "encoder")
    blank.load_state_dict(shop.network.state_dict())
