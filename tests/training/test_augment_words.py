"""Words are replaced, masked or left out, and what targets hang on stays."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_training.augment import augment
from polyhead_training.augment_words import MASK
from polyhead_training.config import AugmentConfig
from polyhead_training.data.replacements import Replacements

KNOWN = Replacements(
    synonyms={"film": ("movie",), "great": ("superb", "first rate"), "ann": ("beth",)},
    forms={
        ("saw", "VERB"): ("see", "seen"),
        ("saw", "NOUN"): ("saws",),
        ("film", "NOUN"): ("films",),
    },
    usual={"saw": "VERB", "film": "NOUN"},
    mentions={
        ("PER", 1): (("Ann",), ("Zoe",)),
        ("PER", 2): (("Bob", "Ray"),),
        ("LOC", 1): (("Rome",),),
    },
)
words = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20).map(tuple)
seeds = st.integers(0, 999)
chances = st.floats(0, 1)
old = st.builds(AugmentConfig, lower=st.floats(0, 0.5), upper=st.floats(0, 0.5), typo=chances)


def changed(source, tags=None, seed=0, **options):
    return augment(source, AugmentConfig(**options), random.Random(seed), tags, KNOWN)


@given(words, old, seeds)
def test_chances_of_nought_draw_nothing(source, config, seed):
    """A recipe without the new keys gives the same examples, with or without replacements."""
    one, other = random.Random(seed), random.Random(seed)

    assert augment(source, config, one) == augment(source, config, other, None, KNOWN)
    assert one.getstate() == other.getstate()


def test_the_draws_of_recipes_from_before_stay_as_they_were():
    """A fixed seed gives what it always gave."""
    config = AugmentConfig(lower=0.1, upper=0.1, title=0.2, typo=0.5)
    rng = random.Random(12)
    found = [augment("some plain words stand here", config, rng) for _ in range(6)]

    assert found == [
        "some plain words stand here",
        "sme plain words stand here",
        "Some Plain Words Stand Here",
        "some plain words stand here",
        "some plain words stand here",
        "SOME PLIAN WORDS STAND HERE",
    ]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a film", "a movie"),
        ("A FILM", "A MOVIE"),
        ('the "Film".', 'the "Movie".'),
        (("a", "Film"), ("a", "Movie")),
        ("nothing known", "nothing known"),
    ],
)
def test_a_synonym_takes_the_letter_case_and_the_marks(source, wanted):
    """In text as in words."""
    assert changed(source, synonym=1) == wanted


def test_phrases_stand_in_for_words_of_texts_only():
    """A pre-split word has one tag, so one word takes its place."""
    texts = {changed("great", seed=seed, synonym=1) for seed in range(20)}
    split = {changed(("great",), seed=seed, synonym=1) for seed in range(20)}

    assert texts == {"superb", "first rate"}
    assert split == {("superb",)}


def test_about_one_word_in_six_is_replaced():
    """At least one, never all of a long text."""
    source = ("film",) * 18
    assert [changed(source, seed=n, synonym=1).count("movie") for n in range(5)] == [4] * 5
    assert changed(("film", "film"), synonym=1).count("movie") == 1


def test_names_and_spans_stay():
    """Their words are what the tags are about."""
    source = ("Ann", "film")
    assert changed(source, ("B-PER", "O"), synonym=1) == ("Ann", "movie")
    assert changed(source, ("PROPN", "NOUN"), synonym=1) == ("Ann", "movie")
    assert changed(("Ann", "Ann"), ("NNP", "NNPS"), synonym=1) == ("Ann", "Ann")
    assert changed(source, ("O", "I-MISC"), synonym=1) == ("Beth", "film")


SENTENCE = ("Jo", "met", "Al", "Lee", "Cox", "and", "Di", "Day", "in", "Lima", "Ohio")
NAMED = ("B-PER", "O", "B-PER", "I-PER", "I-PER", "O", "B-PER", "I-PER", "O", "B-LOC", "B-LOC")


def test_a_span_is_replaced_by_one_of_its_label_and_length():
    """One that nothing is like stays, as do all words outside; spans side by side are two."""
    found = {changed(SENTENCE, NAMED, seed, mention=1) for seed in range(30)}

    rest = ("met", "Al", "Lee", "Cox", "and", "Bob", "Ray", "in", "Rome", "Rome")
    assert found == {("Ann", *rest), ("Zoe", *rest)}


def test_each_span_has_its_own_chance():
    """And a text, or words without tags, have no spans."""
    found = changed(("Lima",) * 2000, ("B-LOC",) * 2000, mention=0.2)

    assert 320 < found.count("Rome") < 480
    assert changed("Jo met Di", None, mention=1) == "Jo met Di"
    assert changed(("Jo", "met"), None, mention=1) == ("Jo", "met")


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        (None, {"see", "seen"}),
        (("O",), {"see", "seen"}),
        (("",), {"see", "seen"}),
        (("VERB",), {"see", "seen"}),
        (("NOUN",), {"saws"}),
        (("ADJ",), {"saw"}),
    ],
)
def test_another_form_has_the_same_tag(tags, wanted):
    """Where words have no universal tag, the form's usual one decides."""
    found = {changed(("saw",), tags, seed, lemma=1)[0] for seed in range(30)}

    assert found == wanted


@given(words, seeds, chances, chances)
def test_masked_words_keep_their_place(source, seed, mask, other):
    """So each tag stays with its word; replacing likewise."""
    found = changed(source, None, seed, mask=mask, synonym=other, lemma=other)

    assert len(found) == len(source)
    assert all(new in {MASK, word} for word, new in zip(source, found, strict=True)) or other


def test_the_share_of_masked_words_is_the_chance():
    """Each word has its own draw."""
    found = changed(("word",) * 2000, mask=0.2)

    assert 320 < found.count(MASK) < 480
    assert set(found) == {"word", MASK}


@given(words, seeds, st.floats(0, 0.9))
def test_words_that_are_left_out_leave_the_others_in_order(source, seed, drop):
    """A text that had a word has one after."""
    found = changed(source, None, seed, drop=drop)
    rest = iter(source)

    assert found
    assert all(word in rest for word in found)
    has_word = any(letter.isalnum() for word in source for letter in word)
    assert not has_word or any(letter.isalnum() for word in found for letter in word)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("It was fine.", "It was fine"),
        ("Was it?! ...", "Was it"),
        ("no marks", "no marks"),
        ("!!!", "!!!"),
        (("It", "was", "fine", ".", "!"), ("It", "was", "fine")),
        (("...",), ("...",)),
    ],
)
def test_final_marks_are_left_out(source, wanted):
    """But never all of a text."""
    assert changed(source, punctuation=1) == wanted
