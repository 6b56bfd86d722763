"""Every word gets a vector, and windows own every word once, whatever the text."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import MAX_TOKENS, OVERLAP, tiny_tokenizer

from polyhead_server.bundle import TokenizerSpec
from polyhead_server.encoding import DocumentEncoder, _owned_words, window_words
from polyhead_server.errors import NoWordsError
from polyhead_server.words import WordSplitter, default_lexicon

ROOM = MAX_TOKENS - 2
PIECES = 20
UNKNOWN = 1
SPLITTER = WordSplitter(default_lexicon())


def encoder(overlap: int = OVERLAP, *, shapes: bool = True) -> DocumentEncoder:
    """An encoder of small windows."""
    spec = TokenizerSpec(
        file="tokenizer.json",
        words="words.json",
        prefix=(2,),
        suffix=(3,),
        unknown=UNKNOWN,
        max_tokens=MAX_TOKENS,
        overlap=overlap,
        max_word_pieces=PIECES,
        shapes=shapes,
    )
    return DocumentEncoder(tiny_tokenizer(), spec, SPLITTER)


ENCODER = encoder()


def check_windows(document, words: int) -> None:
    """Windows are within the limit and own every word, in order; their rows are in place."""
    assert len(document.words) == words
    assert sum(len(window.first) for window in document.windows) == words
    for window in document.windows:
        assert len(window.ids) == len(window.shapes) <= MAX_TOKENS
        assert (window.ids[0], window.ids[-1]) == (2, 3)
        start, end = window.pool
        assert 1 <= start == window.first[0] <= window.first[-1] < end <= len(window.ids) - 1
        assert all(a < b for a, b in pairwise(window.first.tolist()))
    owned = sum(window.pool[1] - window.pool[0] for window in document.windows)
    assert owned == document.tokens


def test_text_is_cut_into_words_and_sub_words():
    """Words keep their place in the text; each window has its marks; rows are the words' first."""
    document = ENCODER.encode("The fan's in.")
    assert [document.text[a:b] for a, b in document.words] == ["The", "fan", "'s", "in", "."]
    (window,) = document.windows
    vocabulary = tiny_tokenizer().get_vocab()
    pieces = ["[CLS]", "the", "f", "##a", "##n", "'", "s", "in", ".", "[SEP]"]
    assert window.ids.tolist() == [vocabulary[piece] for piece in pieces]
    assert window.first.tolist() == [1, 2, 5, 7, 8]
    assert window.pool == (1, 9)
    assert document.tokens == 8


def test_pre_split_words_are_joined_by_one_space():
    """The document's text is made of the caller's words, which are not split again."""
    document = ENCODER.encode(("New York", "in", "the"))
    assert document.text == "New York in the"
    assert document.words == [(0, 8), (9, 11), (12, 15)]


def test_each_sub_word_has_the_shape_of_its_word():
    """All of a word's pieces carry its letter case; marks carry none."""
    (window,) = ENCODER.encode(("NATO", "in", "Rome")).windows
    assert window.shapes.tolist() == [0, 3, 3, 3, 3, 1, 2, 2, 2, 2, 0]


def test_shapes_can_be_off():
    """An encoder trained without them is given none."""
    (window,) = encoder(shapes=False).encode(("NATO",)).windows
    assert not window.shapes.any()


@pytest.mark.parametrize("text", ["", "  \n\t", "\x00\x01", "\u2028"])
def test_text_without_a_word_is_refused(text):
    """Blanks and control characters alone cannot be annotated."""
    with pytest.raises(NoWordsError):
        ENCODER.encode(text)


@pytest.mark.parametrize(
    "word", ["\ufffd", "\u200b", "\u200d\u200d", "\ufeff", "\u0301", "\u00ad", "日本", "\ue000"]
)
def test_a_word_that_the_tokenizer_drops_is_the_unknown_one(word):
    """Words before and after it keep their own rows."""
    document = ENCODER.encode(("the", word, "in"))
    check_windows(document, 3)
    rows = document.windows[0].first
    assert document.windows[0].ids[rows].tolist()[1] == UNKNOWN
    check_windows(ENCODER.encode((word,)), 1)
    check_windows(ENCODER.encode((word, word, "the", word)), 4)


@pytest.mark.parametrize(
    "word", ["x" * 100_000, "!" * 5_000, "a." * 2_000, "0123456789abcdefghijk"]
)
def test_a_word_of_absurdly_many_pieces_is_the_unknown_one(word):
    """It takes one row of the window, and its neighbours stay as they are."""
    document = ENCODER.encode(("the", word, "in"))
    check_windows(document, 3)
    vocabulary = tiny_tokenizer().get_vocab()
    (window,) = document.windows
    assert window.ids.tolist() == [2, vocabulary["the"], UNKNOWN, vocabulary["in"], 3]


def test_one_word_of_100_000_letters_as_text():
    """It is read in one window like any other text."""
    document = ENCODER.encode("b" * 100_000)
    check_windows(document, 1)
    assert len(document.windows) == 1


def test_5_000_marks_as_text():
    """They are words of their own, shared out over windows."""
    document = ENCODER.encode("?! " * 2_500)
    check_windows(document, len(document.words))
    assert len(document.windows) > 1


def test_long_text_is_read_in_overlapping_windows():
    """Each window shows context on both sides of the words it owns."""
    document = ENCODER.encode(("the",) * 80)
    check_windows(document, 80)
    sizes = [len(window.ids) - 2 for window in document.windows]
    assert sizes[:-1] == [ROOM] * (len(sizes) - 1)
    shared = sum(sizes) - 80
    assert shared == OVERLAP * (len(sizes) - 1)
    assert [len(window.first) for window in document.windows[:2]] == [26, 22]


def test_text_of_exactly_one_window_stays_whole():
    """One sub-word more takes a second window."""
    assert len(ENCODER.encode(("the",) * ROOM).windows) == 1
    assert len(ENCODER.encode(("the",) * (ROOM + 1)).windows) == 2


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=60))
def test_any_words_get_their_rows(words):
    """Whatever the words hold, as many come out as went in, and windows hold all of them."""
    check_windows(ENCODER.encode(tuple(words)), len(words))


@given(st.text(max_size=400))
def test_any_text_gets_a_row_a_word_or_is_refused(text):
    """Words lie in the text, in order, and each has its row."""
    try:
        document = ENCODER.encode(text)
    except NoWordsError:
        return
    check_windows(document, len(document.words))
    edges = [edge for span in document.words for edge in span]
    assert edges == sorted(edges)
    assert edges[-1] <= len(text)


@st.composite
def cuttings(draw):
    """Bounds of words, a window's room and an overlap that is less."""
    room = draw(st.integers(4, 40))
    overlap = draw(st.integers(0, room - 1))
    sizes = draw(st.lists(st.integers(1, room), min_size=1, max_size=60))
    return np.cumsum([0, *sizes]).tolist(), room, overlap


@given(cuttings())
def test_windows_keep_their_limits(cutting):
    """Windows hold at most the room, overlap at most by the overlap, and each reaches further."""
    bounds, room, overlap = cutting
    cuts = window_words(bounds, room, overlap)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == len(bounds) - 1
    assert all(bounds[end] - bounds[first] <= room for first, end in cuts)
    for (first, end), (next_first, next_end) in pairwise(cuts):
        assert first < next_first <= end < next_end
        assert bounds[end] - bounds[next_first] <= overlap


@given(cuttings())
def test_every_word_is_owned_once_by_a_window_that_shows_it(cutting):
    """The owned ranges follow each other without gap, each inside its window."""
    bounds, room, overlap = cutting
    cuts = window_words(bounds, room, overlap)
    owned = _owned_words(bounds, cuts)
    assert [word for first, end in owned for word in range(first, end)] == list(
        range(len(bounds) - 1)
    )
    for (first, end), (own_first, own_end) in zip(cuts, owned, strict=True):
        assert own_first == own_end or first <= own_first < own_end <= end


def test_a_window_that_would_own_nothing_is_left_out():
    """Between two windows that own its words, a short one is not worth an encoder run."""
    sizes = (20, 2, 3, 5, 3, 20, 4)
    document = ENCODER.encode(tuple("a" * size for size in sizes))
    check_windows(document, len(sizes))
    bounds = np.cumsum([0, *sizes]).tolist()
    assert len(document.windows) < len(window_words(bounds, ROOM, OVERLAP))
