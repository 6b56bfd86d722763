"""The loss compares only what a source can tell apart."""

import pytest
import torch
from torch.nn import functional

from polyhead_server.bundle import HeadSpec
from polyhead_training.batches import NO_TARGET, output_ids
from polyhead_training.config import SourceConfig
from polyhead_training.objective import cross_entropy, source_outputs

MOOD = HeadSpec("mood", "classification", ("bad", "plain", "good"), "heads/mood.safetensors")
NAMES = HeadSpec("names", "spans", ("PER", "LOC"), "heads/names.safetensors")
MARKS = HeadSpec("marks", "tagging", ("A", "O", "B-A"), "heads/marks.safetensors")


def source(*among: str) -> SourceConfig:
    """A source that tells apart the given labels."""
    return SourceConfig("s", "mood", "jsonl", among=among)


@pytest.mark.parametrize("among", [(), ("bad", "plain", "good")])
def test_a_source_of_all_labels_compares_all_outputs(among):
    """No choice of outputs is needed."""
    assert source_outputs(MOOD, source(*among)) is None


@pytest.mark.parametrize(
    ("spec", "among", "outputs"),
    [(MOOD, ("bad", "good"), [0, 2]), (NAMES, ("LOC",), [0, 3, 4]), (MARKS, ("A", "B-A"), [0, 2])],
)
def test_a_source_of_some_labels_compares_theirs(spec, among, outputs):
    """For spans the outputs of a label are its B and I, and O always counts."""
    found = source_outputs(spec, source(*among))
    assert found is not None
    assert found.tolist() == outputs


def test_outputs_of_spans_follow_the_labels():
    """O first, then B and I of each label, as the server reads them."""
    assert output_ids(NAMES) == {"O": 0, "B-PER": 1, "I-PER": 2, "B-LOC": 3, "I-LOC": 4}
    assert output_ids(MOOD) == {"bad": 0, "plain": 1, "good": 2}


def test_an_unknown_label_is_neither_right_nor_wrong():
    """The loss is that of the known labels alone, and the other's logit gets no gradient."""
    logits = torch.tensor([[1.0, 9.0, 2.0], [0.5, -3.0, 0.1]], requires_grad=True)
    targets = torch.tensor([2, 0])
    loss = cross_entropy(logits, targets, torch.tensor([0, 2]), 0.0)
    alone = functional.cross_entropy(logits[:, [0, 2]], torch.tensor([1, 0]))
    torch.testing.assert_close(loss, alone)
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert logits.grad[:, 1].abs().max() == 0
    assert logits.grad[:, [0, 2]].abs().min() > 0


@pytest.mark.parametrize("outputs", [None, torch.tensor([0, 2])])
def test_rows_without_target_count_for_nothing(outputs):
    """The mean is that of the other rows."""
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    some = cross_entropy(logits, torch.tensor([0, NO_TARGET, 2]), outputs, 0.1)
    rest = cross_entropy(logits[[0, 2]], torch.tensor([0, 2]), outputs, 0.1)
    torch.testing.assert_close(some, rest)


def test_smoothing_spreads_over_the_compared_outputs():
    """A label that the source does not know gets no share."""
    logits = torch.tensor([[3.0, 50.0, 1.0]])
    loss = cross_entropy(logits, torch.tensor([0]), torch.tensor([0, 2]), 0.2)
    logs = functional.log_softmax(torch.tensor([3.0, 1.0]), dim=0)
    torch.testing.assert_close(loss, -(0.9 * logs[0] + 0.1 * logs[1]))
