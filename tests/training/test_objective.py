"""The loss compares only what a source can tell apart."""

import pytest
import torch
from torch.nn import functional

from polyhead_server.bundle import HeadSpec
from polyhead_training.batches import NO_TARGET, output_ids
from polyhead_training.config import SourceConfig
from polyhead_training.objective import cross_entropy, source_outcomes

MOOD = HeadSpec("mood", "classification", ("bad", "plain", "good"), "heads/mood.safetensors")
NAMES = HeadSpec("names", "spans", ("PER", "LOC"), "heads/names.safetensors")
MARKS = HeadSpec("marks", "tagging", ("A", "O", "B-A"), "heads/marks.safetensors")


def source(*among: str) -> SourceConfig:
    """A source that tells apart the given labels."""
    return SourceConfig("s", "mood", "jsonl", among=among)


@pytest.mark.parametrize("among", [(), ("bad", "plain", "good")])
def test_a_source_of_all_labels_compares_all_outputs(among):
    """Each output is an outcome of its own."""
    assert source_outcomes(MOOD, source(*among)) is None


@pytest.mark.parametrize(
    ("spec", "among", "outcomes"),
    [
        (MOOD, ("bad", "good"), [0, NO_TARGET, 1]),
        (NAMES, ("LOC",), [0, 0, 0, 1, 2]),
        (MARKS, ("A", "B-A"), [0, NO_TARGET, 1]),
        (MARKS, ("A", "O"), [0, 1, 1]),
    ],
)
def test_a_source_of_some_labels_knows_their_outcomes(spec, among, outcomes):
    """Labels it lacks are left out; where it can say O, they may hide behind it."""
    found = source_outcomes(spec, source(*among))
    assert found is not None
    assert found.tolist() == outcomes


def test_outputs_of_spans_follow_the_labels():
    """O first, then B and I of each label, as the server reads them."""
    assert output_ids(NAMES) == {"O": 0, "B-PER": 1, "I-PER": 2, "B-LOC": 3, "I-LOC": 4}
    assert output_ids(MOOD) == {"bad": 0, "plain": 1, "good": 2}


def test_an_unknown_label_is_neither_right_nor_wrong():
    """The loss is that of the known labels alone, and the other's logit gets no gradient."""
    logits = torch.tensor([[1.0, 9.0, 2.0], [0.5, -3.0, 0.1]], requires_grad=True)
    targets = torch.tensor([2, 0])
    loss = cross_entropy(logits, targets, torch.tensor([0, NO_TARGET, 1]), 0.0)
    alone = functional.cross_entropy(logits[:, [0, 2]], torch.tensor([1, 0]))
    torch.testing.assert_close(loss, alone)
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert logits.grad[:, 1].abs().max() == 0
    assert logits.grad[:, [0, 2]].abs().min() > 0


@pytest.mark.parametrize("outcomes", [None, torch.tensor([0, NO_TARGET, 1])])
def test_rows_without_target_count_for_nothing(outcomes):
    """The mean is that of the other rows."""
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    some = cross_entropy(logits, torch.tensor([0, NO_TARGET, 2]), outcomes, 0.1)
    rest = cross_entropy(logits[[0, 2]], torch.tensor([0, 2]), outcomes, 0.1)
    torch.testing.assert_close(some, rest)


def test_smoothing_spreads_over_the_compared_outputs():
    """A label that the source does not know gets no share."""
    logits = torch.tensor([[3.0, 50.0, 1.0]])
    loss = cross_entropy(logits, torch.tensor([0]), torch.tensor([0, NO_TARGET, 1]), 0.2)
    logs = functional.log_softmax(torch.tensor([3.0, 1.0]), dim=0)
    torch.testing.assert_close(loss, -(0.9 * logs[0] + 0.1 * logs[1]))


def gradient(spec: HeadSpec, tag: str, *among: str, smoothing: float = 0.0) -> dict[str, float]:
    """Gradient of the loss of one word by output, all outputs being equally likely before."""
    ids = output_ids(spec)
    logits = torch.zeros(1, len(ids), requires_grad=True)
    outcomes = source_outcomes(spec, source(*among))
    loss = cross_entropy(logits, torch.tensor([ids[tag]]), outcomes, smoothing)
    torch.autograd.backward(loss)
    assert logits.grad is not None
    return dict(zip(ids, logits.grad[0].tolist(), strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_word_outside_may_be_of_a_kind_that_the_source_does_not_mark(smoothing):
    """O does not push those tags down, and wins nothing over them; marked kinds are pushed down."""
    pushed = gradient(NAMES, "O", "LOC", smoothing=smoothing)
    assert pushed["B-PER"] < 0
    assert pushed["B-PER"] == pushed["I-PER"] == pushed["O"]
    assert pushed["B-LOC"] > 0
    assert pushed["I-LOC"] > 0


def test_a_marked_word_is_of_no_other_kind():
    """Inside a span all other tags are pushed down, those of unmarked kinds too."""
    pushed = gradient(NAMES, "B-LOC", "LOC")
    assert pushed["B-LOC"] < 0
    assert all(value > 0 for tag, value in pushed.items() if tag != "B-LOC")


def test_a_source_of_all_kinds_pushes_all_of_them_down_outside():
    """With nothing unmarked, O is against every kind."""
    pushed = gradient(NAMES, "O")
    assert all(value > 0 for tag, value in pushed.items() if tag != "O")


def test_the_probability_of_outside_is_the_sum_of_what_it_may_be():
    """The loss is the negative logarithm of that sum."""
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    outcomes = source_outcomes(NAMES, source("LOC"))
    loss = cross_entropy(logits, torch.tensor([0, 0, NO_TARGET, 0]), outcomes, 0.0)
    chances = logits.softmax(1)[[0, 1, 3]][:, [0, 1, 2]].sum(1)
    torch.testing.assert_close(loss, -chances.log().mean())
