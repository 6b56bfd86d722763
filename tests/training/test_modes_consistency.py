"""The loss for two passes that disagree."""

import torch
from mode_runs import Quiet, check_resume, copied, mode_config, same

from polyhead_training.consistency import disagreement
from polyhead_training.fit import train


def test_disagreement_is_the_mean_of_both_divergences():
    """The same for the same answers is 0; the order does not matter."""
    first, second = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = first.softmax(1), second.softmax(1)
    there = (theirs * (theirs / ours).log()).sum(1).mean()
    back = (ours * (ours / theirs).log()).sum(1).mean()
    torch.testing.assert_close(disagreement(first, second), (there + back) / 2)
    torch.testing.assert_close(disagreement(second, first), disagreement(first, second))
    assert disagreement(first, first).item() == 0


def test_both_passes_get_gradients():
    """Each is drawn towards the other."""
    first = torch.tensor([[1.0, 0.0]], requires_grad=True)
    second = torch.tensor([[0.0, 0.0]], requires_grad=True)
    torch.autograd.backward(disagreement(first, second))
    assert first.grad[0, 0] > 0 > second.grad[0, 0]


def test_training_with_it_makes_passes_agree(open_shop, tmp_path):
    """After training, two passes with dropout differ less than after training without it."""
    apart = {}
    for weight in (0.0, 5.0):
        shop = open_shop(mode_config(average=0, consistency=weight))
        train(shop, tmp_path / str(weight), Quiet())
        apart[weight] = distance(shop)
    assert apart[5.0] < 0.7 * apart[0.0]


def distance(shop):
    """Mean divergence of two passes over a text."""
    window = shop.assets.encoder().encode("The film was round.").windows[0]
    ids = torch.from_numpy(window.ids.astype("int64")).repeat(64, 1)
    shapes = torch.from_numpy(window.shapes.astype("int64")).repeat(64, 1)
    network = shop.network.train()
    torch.manual_seed(0)
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    one = torch.ones_like(ids)
    with torch.no_grad():
        hidden = network.encoder(ids, positions, one, shapes).mean(dim=1)
        head = network.heads["mood"]
        logits = head.out(head.dropout(torch.tanh(head.hidden(head.dropout(hidden)))))
    return float(disagreement(logits[:32], logits[32:]))


def test_without_it_there_is_one_pass(open_shop, tmp_path):
    """A weight of 0 is the run without the key, to the bit."""
    weights = []
    for number, keys in enumerate(({}, {"consistency": 0.0})):
        shop = open_shop(mode_config(**keys))
        train(shop, tmp_path / str(number), Quiet())
        weights.append(copied(shop.network))
    assert same(*weights)


def test_a_killed_run_ends_like_an_uninterrupted_one(open_shop, tmp_path):
    """Both masks are those of the step."""
    check_resume(open_shop, mode_config(consistency=1.0, label_smoothing=0.1), tmp_path)
