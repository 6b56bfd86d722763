"""A word's letter-case shape says what an uncased vocabulary forgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_server import shapes
from polyhead_server.shapes import SHAPES, word_shape


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("berlin", shapes.SHAPE_LOWER),
        ("don't", shapes.SHAPE_LOWER),
        ("Berlin", shapes.SHAPE_TITLE),
        ("Émile", shapes.SHAPE_TITLE),
        ("NATO", shapes.SHAPE_UPPER),
        ("U.S.", shapes.SHAPE_UPPER),
        ("I", shapes.SHAPE_INITIAL),
        ("J.", shapes.SHAPE_INITIAL),
        ("iPhone", shapes.SHAPE_MIXED),
        ("McKay", shapes.SHAPE_MIXED),
        ("1999", shapes.SHAPE_DIGIT),
        ("3rd", shapes.SHAPE_DIGIT),
        ("$5.50", shapes.SHAPE_DIGIT),
        ("?!", shapes.SHAPE_OTHER),
        ("👍🏽", shapes.SHAPE_OTHER),
        ("\u200b", shapes.SHAPE_OTHER),
        ("日本", shapes.SHAPE_LOWER),
    ],
)
def test_each_kind_of_word_has_its_shape(word, shape):
    """Titles, initials, capitals, digits and marks are told apart."""
    assert word_shape(word) == shape


@given(st.text(min_size=1))
def test_every_word_has_a_row_of_the_embedding(word):
    """Whatever stands in a word, its shape is a row behind that of the marks."""
    assert shapes.SHAPE_NONE < word_shape(word) < SHAPES


def test_a_long_word_is_judged_by_its_beginning():
    """What comes after many letters changes nothing: the cost of a word is bounded."""
    assert word_shape("a" * 100_000 + "B") == shapes.SHAPE_LOWER
