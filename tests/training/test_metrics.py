"""Figures agree with cases worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_training.metrics import (
    accuracy,
    entity_f1,
    macro_f1,
    macro_recall,
    score,
    tag_f1_from_raw,
    tag_spans,
    word_f1,
)

GOLD = ["a", "a", "a", "b", "b", "c"]
PREDICTED = ["a", "a", "b", "b", "c", "d"]


def test_accuracy_counts_equal_labels():
    """Three of six are right."""
    assert accuracy(GOLD, PREDICTED) == 0.5


def test_macro_recall_is_the_mean_over_gold_labels():
    """Recalls 2/3, 1/2 and 0; the label d, never gold, does not count."""
    assert macro_recall(GOLD, PREDICTED) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_macro_f1_is_the_mean_over_all_labels_seen():
    """F1 of a is 4/5, of b 1/2, of c 0, and of d, predicted only, 0."""
    assert macro_f1(GOLD, PREDICTED) == pytest.approx((4 / 5 + 1 / 2) / 4)


def test_labels_that_do_not_count_have_no_part_in_macro_f1():
    """Answers with them are misses of the others."""
    assert macro_f1(GOLD, PREDICTED, ("a", "b", "c")) == pytest.approx((4 / 5 + 1 / 2) / 3)
    assert score("macro_f1", [("a", "b")], [("a", "z")], ("a", "b", "never")) == 0.5


@pytest.mark.parametrize("metric", [accuracy, macro_recall, macro_f1])
def test_no_answers_score_nothing(metric):
    """An empty set gives 0 and no warning."""
    assert metric([], []) == 0.0


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O B-P I-P O", [(1, 3, "P")]),
        ("B-P B-P I-P", [(0, 1, "P"), (1, 3, "P")]),
        ("I-P I-P O I-L", [(0, 2, "P"), (3, 4, "L")]),
        ("B-P I-L I-L", [(0, 1, "P"), (1, 3, "L")]),
        ("B-creative-work I-creative-work", [(0, 2, "creative-work")]),
        ("O O", []),
    ],
)
def test_spans_are_read_from_bio_tags(tags, spans):
    """A span ends before O, B- and another label; a loose I- starts one."""
    assert tag_spans(tags.split()) == spans


def test_entity_f1_wants_bounds_and_label():
    """One hit of three gold and three predicted: a wrong label and a wrong end are misses."""
    gold = [["B-P", "I-P", "O", "B-L"], ["B-O", "I-O"]]
    predicted = [["B-P", "I-P", "O", "B-P"], ["B-O", "O"]]

    assert entity_f1(gold, predicted) == pytest.approx(1 / 3)


def test_entity_f1_does_not_match_across_sentences():
    """The same places in another sentence are no hit."""
    assert entity_f1([["B-P"], ["O"]], [["O"], ["B-P"]]) == 0.0


def test_entity_f1_without_entities_is_zero():
    """Nothing to find and nothing found is 0, as in conlleval."""
    assert entity_f1([["O"]], [["O"]]) == 0.0


def test_word_f1_compares_places():
    """Gold "can|not|go", predicted "cannot|go": one hit of three gold and two predicted."""
    gold = [[(0, 3), (3, 6), (7, 9)]]
    predicted = [[(0, 6), (7, 9)]]

    assert word_f1(gold, predicted) == pytest.approx(2 / 5)


def test_tag_f1_from_raw_needs_word_and_tag():
    """Of three gold and two predicted words one has the same place, and its tag must match."""
    gold = [[(0, 3), (3, 6), (7, 9)]], [["AUX", "PART", "VERB"]]
    predicted = [[(0, 6), (7, 9)]]

    assert tag_f1_from_raw(*gold, predicted, [["AUX", "VERB"]]) == pytest.approx(2 / 5)
    assert tag_f1_from_raw(*gold, predicted, [["AUX", "NOUN"]]) == 0.0


def test_tag_f1_with_the_gold_split_is_accuracy():
    """Where the words agree, precision and recall are both the accuracy of the tags."""
    spans = [[(0, 2), (3, 5)], [(0, 1), (1, 2)]]
    gold, predicted = [["A", "B"], ["C", "D"]], [["A", "B"], ["C", "A"]]

    assert tag_f1_from_raw(spans, gold, spans, predicted) == 0.75


def test_words_that_share_a_place_count_once_each():
    """Two gold words in one place are matched by two predicted words, not by one."""
    assert word_f1([[(0, 1), (0, 1)]], [[(0, 1)]]) == pytest.approx(2 / 3)


def test_score_takes_labels_and_tags_by_name():
    """Tags of sentences are put in one row, spans are compared sentence by sentence."""
    assert score("accuracy", ["a", "b"], ["a", "a"]) == 0.5
    assert score("accuracy", [("A", "B"), ("C", "D")], [("A", "B"), ("C", "A")]) == 0.75
    assert score("macro_recall", [("A",), ("B",)], [("A",), ("A",)]) == 0.5
    assert score("entity_f1", [("B-P", "O")], [("B-P", "O")]) == 1.0
    with pytest.raises(KeyError):
        score("bleu", [], [])


@pytest.mark.parametrize("metric", [accuracy, macro_recall, macro_f1, entity_f1, word_f1])
def test_unequal_numbers_of_answers_are_refused(metric):
    """A missing answer is an error of the caller, never a silent miss."""
    with pytest.raises(ValueError, match="1 gold answers but 0 predicted"):
        metric([["B-P"]] if metric in {entity_f1, word_f1} else ["a"], [])


def test_sentences_of_unequal_length_are_refused():
    """Each word needs a predicted tag."""
    with pytest.raises(ValueError, match="2 gold answers but 1 predicted"):
        entity_f1([["B-P", "O"]], [["B-P"]])


@given(st.lists(st.lists(st.sampled_from(["O", "B-P", "I-P", "B-L", "I-L"]), min_size=1)))
def test_perfect_answers_score_one(sentences):
    """Any sentences against themselves give 1 wherever there is something to find."""
    found = any(tag_spans(tags) for tags in sentences)

    assert entity_f1(sentences, sentences) == float(found)
    assert score("macro_f1", sentences, sentences) == float(bool(sentences))
