"""Heads turn vectors into labels, tags and spans, and refuse matrices that do not fit."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from polyhead_server.bundle import HeadSpec
from polyhead_server.errors import BundleError
from polyhead_server.features import Features, merge_features, side_by_side
from polyhead_server.heads import (
    ClassificationOutput,
    Head,
    SpansOutput,
    TaggingOutput,
    load_head,
)

WIDTH = 4


def spec(kind: str = "classification", labels=("a", "b", "c"), pooling: str = "mean") -> HeadSpec:
    """A head's description."""
    return HeadSpec("task", kind, labels, "heads/task.safetensors", pooling)


def tensors(outputs: int = 3, width: int = WIDTH, hidden: int = 0, seed: int = 0):
    """Random matrices."""
    rng = np.random.default_rng(seed)
    sizes = {"out": (outputs, hidden or width)} | ({"hidden": (hidden, width)} if hidden else {})
    found = {f"{name}.weight": rng.normal(size=size) for name, size in sizes.items()}
    found |= {f"{name}.bias": rng.normal(size=size[0]) for name, size in sizes.items()}
    return {name: value.astype(np.float32) for name, value in found.items()}


def features(words: int = 3, seed: int = 0) -> Features:
    """Vectors of a document of so many words, two sub-words each."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2 * words, WIDTH)).astype(np.float32)
    mark = rng.normal(size=WIDTH).astype(np.float32)
    return Features(rows[::2], rows.sum(axis=0), len(rows), rows.max(axis=0), mark, rows[-1])


def softmax(logits):
    """The plain definition."""
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("pooling", ["mean", "first", "max", "last"])
def test_classification_reads_the_pooled_document(pooling):
    """The mean of all sub-words, their largest values, the first mark, or the last sub-word."""
    document, weights = features(), tensors()
    pooled = {
        "mean": document.total / document.count,
        "first": document.mark,
        "last": document.last,
        "max": document.largest,
    }[pooling]
    (output,) = Head(spec(pooling=pooling), weights, WIDTH)([document])
    assert isinstance(output, ClassificationOutput)
    wanted = softmax(weights["out.weight"] @ pooled + weights["out.bias"])
    np.testing.assert_allclose(output.scores, wanted, rtol=1e-5)
    assert output.index == wanted.argmax()


def test_a_hidden_layer_comes_first_with_tanh():
    """Output layer of tanh of hidden layer."""
    document, weights = features(), tensors(hidden=6)
    (output,) = Head(spec(), weights, WIDTH)([document])
    inner = weights["hidden.weight"] @ (document.total / document.count) + weights["hidden.bias"]
    wanted = softmax(weights["out.weight"] @ np.tanh(inner) + weights["out.bias"])
    np.testing.assert_allclose(output.scores, wanted, rtol=1e-5)


def test_temperature_flattens_the_scores():
    """Logits are divided by it, whatever layers there are."""
    document, weights = features(), tensors()
    (plain,) = Head(spec(), weights, WIDTH)([document])
    heat = {**weights, "temperature": np.array([2], np.float32)}
    (warm,) = Head(spec(), heat, WIDTH)([document])
    np.testing.assert_allclose(warm.scores, softmax(np.log(plain.scores) / 2), rtol=1e-5)


@pytest.mark.parametrize("kind", ["classification", "tagging", "spans"])
def test_documents_together_are_answered_as_alone(kind):
    """Each of several documents gets its own answer, in order, whatever its length."""
    labels = ("a", "b")
    head = Head(spec(kind, labels), tensors(5 if kind == "spans" else 2), WIDTH)
    documents = [features(words, seed=words) for words in (1, 5, 2)]
    for together, document in zip(head(documents), documents, strict=True):
        (alone,) = head([document])
        np.testing.assert_equal(answer(together), answer(alone))


def answer(output):
    """An output as plain numbers, rounded to what batching may change."""
    if isinstance(output, ClassificationOutput):
        return output.index, output.scores.round(5).tolist()
    if isinstance(output, TaggingOutput):
        return output.tags.tolist(), output.scores.round(5).tolist()
    assert isinstance(output, SpansOutput)
    return [(s.first, s.end, s.label, round(s.score, 5)) for s in output.spans]


def test_tagging_gives_one_tag_and_its_probability_a_word():
    """The best tag of each word's own vector."""
    document, weights = features(4), tensors()
    (output,) = Head(spec("tagging"), weights, WIDTH)([document])
    wanted = softmax(document.words @ weights["out.weight"].T + weights["out.bias"])
    assert output.tags.tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(output.scores, wanted.max(axis=1), rtol=1e-5)


def test_large_logits_overflow_nothing():
    """Scores stay finite and sum to 1."""
    weights = {name: value * 1e4 for name, value in tensors().items()}
    (output,) = Head(spec(), weights, WIDTH)([features()])
    assert np.isfinite(output.scores).all()
    np.testing.assert_allclose(output.scores.sum(), 1, rtol=1e-5)


def test_features_come_back_from_a_batch_as_they_went_in():
    """Each document's own vectors, whatever its neighbours' lengths."""
    documents = [features(words, seed=words) for words in (1, 5, 2)]
    batch = side_by_side(documents)
    assert len(batch) == 3
    for found, given in zip(batch, documents, strict=True):
        for name in Features.__slots__:
            np.testing.assert_array_equal(getattr(found, name), getattr(given, name))


def test_parts_of_a_document_merge_to_the_whole():
    """Words are joined, sums added, the largest kept; the mark is the first part's.

    The last vector is the last part's.
    """
    whole = merge_features([features(2, seed=1), features(3, seed=2)])
    first, second = features(2, seed=1), features(3, seed=2)
    assert len(whole.words) == 5
    np.testing.assert_allclose(whole.total, first.total + second.total, rtol=1e-6)
    assert whole.count == first.count + second.count
    np.testing.assert_array_equal(whole.largest, np.maximum(first.largest, second.largest))
    np.testing.assert_array_equal(whole.mark, first.mark)
    np.testing.assert_array_equal(whole.last, second.last)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out.weight": np.zeros((3, 5), np.float32)}, "does not take 4 values"),
        ({"out.bias": np.zeros(2, np.float32)}, "does not take 4 values"),
        ({"out.weight": np.zeros(3, np.float32)}, "does not take 4 values"),
        ({"hidden.weight": np.zeros((6, 4), np.float32)}, "hidden does not take"),
        ({"out.weight": np.full((3, 4), np.nan, np.float32)}, "not finite"),
        ({"out.bias": np.full(3, np.inf, np.float32)}, "not finite"),
        ({"temperature": np.zeros(1, np.float32)}, "temperature"),
        ({"temperature": np.array([np.nan], np.float32)}, "temperature"),
        ({"temperature": np.ones(2, np.float32)}, "temperature"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(change, message):
    """The error names the head and what is wrong with it."""
    with pytest.raises(BundleError, match=f"head task.*{message}"):
        Head(spec(), {**tensors(), **change}, WIDTH)


@pytest.mark.parametrize(("kind", "outputs"), [("classification", 4), ("tagging", 2), ("spans", 3)])
def test_outputs_must_fit_the_labels(kind, outputs):
    """Three labels take three outputs, as spans seven."""
    with pytest.raises(BundleError, match="do not fit 3 labels"):
        Head(spec(kind), tensors(outputs), WIDTH)


def test_a_head_without_its_output_layer_is_refused():
    """An empty file has no head in it."""
    with pytest.raises(BundleError, match="out does not take"):
        Head(spec(), {}, WIDTH)


def test_a_head_is_loaded_from_its_file(tmp_path):
    """The file's matrices are the head's; a file that is none is named."""
    (tmp_path / "heads").mkdir()
    file = tmp_path / spec().file
    with pytest.raises(BundleError, match=r"heads/task\.safetensors"):
        load_head(tmp_path, spec(), WIDTH)
    file.write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"heads/task\.safetensors"):
        load_head(tmp_path, spec(), WIDTH)
    save_file(tensors(), file)
    np.testing.assert_equal(
        load_head(tmp_path, spec(), WIDTH)([features()])[0].index,
        Head(spec(), tensors(), WIDTH)([features()])[0].index,
    )
