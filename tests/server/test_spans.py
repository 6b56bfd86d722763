"""Spans are always read from the best output sequence that is well-formed."""

from itertools import accumulate, pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polyhead_server.spans import SpanOutput, best_path, find_spans, read_spans

O, B0, I0, B1, I1 = range(5)  # noqa: E741 - the tags' names


def probabilities(most_words: int = 8):
    """Rows of probabilities for two labels, of every sharpness."""
    shapes = st.tuples(st.integers(1, most_words), st.just(5))
    logits = shapes.flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.floats(-40, 40, width=32))
    )
    return logits.map(lambda rows: np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True))


def is_well_formed(path) -> bool:
    """I-x follows B-x or I-x only."""
    return all(
        tag not in {I0, I1} or before in {tag, tag - 1}
        for before, tag in zip([O, *path], path, strict=False)
    )


def rows(*tags: int, sure: float = 0.9):
    """Probabilities that give each of the tags."""
    scores = np.full((len(tags), 5), (1 - sure) / 4, np.float32)
    scores[np.arange(len(tags)), tags] = sure
    return scores


@given(probabilities())
def test_every_path_is_well_formed(scores):
    """No scores whatever bring forth an inside without its beginning."""
    assert is_well_formed(best_path(scores))


@given(probabilities(most_words=4))
def test_the_path_is_the_most_probable_of_all_well_formed_ones(scores):
    """Trying every sequence finds none better."""
    logs = np.log(np.maximum(scores, 1e-30))

    def total(path):
        return logs[np.arange(len(path)), list(path)].sum()

    best = max(total(p) for p in product(range(5), repeat=len(scores)) if is_well_formed(p))
    np.testing.assert_allclose(total(best_path(scores)), best, rtol=1e-4, atol=1e-4)


@given(probabilities())
def test_spans_are_in_order_and_never_overlap(scores):
    """Each span begins where the last has ended or later, and has a score from 0 to 1."""
    spans = read_spans(best_path(scores), scores)
    edges = [edge for span in spans for edge in (span.first, span.end)]
    assert edges == sorted(edges)
    assert all(span.first < span.end <= len(scores) and 0 <= span.score <= 1 for span in spans)


@given(st.lists(probabilities(), min_size=1, max_size=4), st.floats(0, 8))
def test_documents_side_by_side_are_read_as_each_alone(documents, adjacent):
    """No span or path reaches into the next document."""
    bounds = [0, *accumulate(map(len, documents))]
    together = find_spans(np.concatenate(documents), bounds, adjacent)
    assert together == [read_spans(best_path(one, adjacent), one) for one in documents]


def test_an_orphaned_inside_is_mended_by_the_cheapest_change():
    """A sure inside after an unsure outside pulls its beginning into place."""
    scores = rows(O, I0, sure=0.9)
    scores[0] = [0.5, 0.45, 0.02, 0.02, 0.01]
    assert best_path(scores).tolist() == [B0, I0]


def test_adjacent_spans_stay_apart():
    """A beginning ends the span before it, of the same label or another."""
    scores = rows(B0, I0, B0, B1, I1, O)
    spans = read_spans(best_path(scores), scores)
    assert [(s.first, s.end, s.label) for s in spans] == [(0, 2, 0), (2, 3, 0), (3, 5, 1)]


def test_the_score_is_the_mean_probability_of_the_label():
    """B and I of the label count together, averaged over the span's words."""
    scores = np.array([[0.1, 0.7, 0.1, 0.1, 0], [0.1, 0.3, 0.5, 0.1, 0]], np.float32)
    (span,) = read_spans(best_path(scores), scores)
    assert span == SpanOutput(0, 2, 0, span.score)
    np.testing.assert_allclose(span.score, 0.8, rtol=1e-6)


def test_nothing_found_is_no_span():
    """Words outside all spans give an empty tuple."""
    assert read_spans(best_path(rows(O, O)), rows(O, O)) == ()


def test_adjacent_spans_of_one_label_cost():
    """A weak beginning right behind its own label goes on with the span; a strong one stays."""
    weak, strong = rows(B0, B0, O), rows(B0, B0, O)
    weak[1] = [0.02, 0.55, 0.41, 0.01, 0.01]
    strong[1] = [0.001, 0.996, 0.001, 0.001, 0.001]
    assert best_path(weak).tolist() == [B0, B0, O]
    assert best_path(weak, adjacent=3.0).tolist() == [B0, I0, O]
    assert best_path(strong, adjacent=3.0).tolist() == [B0, B0, O]


def test_adjacent_spans_of_different_labels_are_free():
    """The cost is for one label only."""
    assert best_path(rows(B0, B1, I1), adjacent=9.0).tolist() == [B0, B1, I1]


@given(probabilities(most_words=4), st.floats(0, 8))
def test_with_a_cost_the_path_is_still_the_best_of_all(scores, adjacent):
    """Trying every sequence finds none better."""
    logs = np.log(np.maximum(scores, 1e-30))

    def total(path):
        pairs = pairwise(path)
        spans = sum(tag % 2 == 1 and before in {tag, tag + 1} for before, tag in pairs)
        return logs[np.arange(len(path)), list(path)].sum() - adjacent * spans

    best = max(total(p) for p in product(range(5), repeat=len(scores)) if is_well_formed(p))
    found = best_path(scores, adjacent).tolist()
    np.testing.assert_allclose(total(found), best, rtol=1e-4, atol=1e-4)
