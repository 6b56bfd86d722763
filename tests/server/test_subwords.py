"""Remembered sub-words are those of the tokenizer, and memory is bounded."""

import pytest
from tiny_bundle import tiny_tokenizer

from polyhead_server import subwords
from polyhead_server.subwords import WordTokenizer

WORDS = ["Fans", "fans", "don't", "the", "\u200d", "a" * 40, "!" * 9, "the"]


@pytest.fixture
def tokenize():
    return WordTokenizer(tiny_tokenizer(), unknown=1, most_pieces=20, shapes=True)


def test_a_remembered_word_has_the_sub_words_of_its_first_time(tokenize):
    """Whether all, some or none of the words are known makes no difference."""
    first = tokenize(WORDS)
    assert tokenize(WORDS) == first
    assert [tokenize([word])[0] for word in WORDS] == first
    assert tokenize([*WORDS, "new"])[:-1] == first


def test_every_word_has_sub_words_and_as_many_shapes(tokenize):
    """A word that vanishes, or falls into too many pieces, is the unknown one."""
    found = tokenize(WORDS)
    assert all(len(ids) == len(shapes) > 0 for ids, shapes in found)
    assert [found[index][0] for index in (4, 5)] == [(1,), (1,)]


def test_case_is_told_apart(tokenize):
    """Same sub-words, other shape."""
    (upper, upper_shapes), (lower, lower_shapes) = tokenize(["Fans", "fans"])
    assert upper == lower
    assert upper_shapes != lower_shapes


def test_memory_is_bounded(tokenize, monkeypatch):
    """Long words are not kept, and what is kept is let go when there is too much of it."""
    monkeypatch.setattr(subwords, "_MOST_WORDS", 10)
    before = tokenize(["fans"])
    for number in range(100):
        tokenize([f"w{number}", "x" * 33])
    assert len(tokenize._known) <= 10
    assert all(len(word) <= 32 for word in tokenize._known)
    assert tokenize(["fans"]) == before
