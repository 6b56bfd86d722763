"""Augmentation changes letters and never what targets hang on."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polyhead_training.augment import augment, mistype
from polyhead_training.config import AugmentConfig

words = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=20).map(tuple)
chances = st.floats(0, 0.33)
configs = st.builds(
    AugmentConfig, lower=chances, upper=chances, title=chances, typo=st.floats(0, 1)
)


@given(words, configs, st.integers(0, 999))
def test_words_stay_as_many_as_they_were(source, config, seed):
    """Each word keeps its place, so that its tag stays its own, and none becomes empty."""
    changed = augment(source, config, random.Random(seed))
    assert isinstance(changed, tuple)
    assert len(changed) == len(source)
    assert all(changed)


@given(st.text(min_size=1, max_size=80), configs, st.integers(0, 999))
def test_text_keeps_its_blanks(text, config, seed):
    """What is typed between spaces stays there."""
    assert augment(text, config, random.Random(seed)).count(" ") == text.count(" ")


@given(words, st.integers(0, 999))
def test_without_chances_nothing_changes(source, seed):
    """The default leaves examples alone."""
    assert augment(source, AugmentConfig(), random.Random(seed)) == source


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (AugmentConfig(lower=1), ("ann", "met", "mckay")),
        (AugmentConfig(upper=1), ("ANN", "MET", "MCKAY")),
        (AugmentConfig(title=1), ("Ann", "Met", "McKay")),
    ],
)
def test_letter_case_changes_throughout(config, wanted):
    """All words of an example change together, as text and as words."""
    source = ("Ann", "met", "McKay")
    rng = random.Random(0)
    assert augment(source, config, rng) == wanted
    assert augment(" ".join(source), config, rng) == " ".join(wanted)


@given(st.from_regex(r"[a-z]{4,12}", fullmatch=True), st.integers(0, 999))
def test_a_typing_error_keeps_the_ends_of_a_word(word, seed):
    """One inner letter is swapped, dropped or doubled."""
    typed = mistype(word, random.Random(seed))
    assert abs(len(typed) - len(word)) <= 1
    assert (typed[0], typed[-1]) == (word[0], word[-1])
    assert set(typed) <= set(word)


@pytest.mark.parametrize("word", ["the", "a", "don't", "1999", "..."])
def test_short_words_and_marks_have_no_typing_errors(word):
    """They would too easily become other words."""
    assert all(mistype(word, random.Random(seed)) == word for seed in range(20))


@given(st.integers(0, 999))
def test_about_one_word_in_a_dozen_is_hit(seed):
    """A sure chance of errors changes a few words, not all."""
    source = tuple(f"word{letter}abcd" for letter in "abcdefghijklmnopqrstuvwx")
    changed = augment(source, AugmentConfig(typo=1), random.Random(seed))
    hits = sum(a != b for a, b in zip(source, changed, strict=True))
    assume(hits)  # a swap of equal letters changes nothing
    assert hits <= 3
