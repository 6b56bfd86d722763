"""Texts without labels come with changed copies, of which a teacher says what they are."""

from collections import Counter

import pytest

from polyhead_training.config import load_config
from polyhead_training.config_types import VaryConfig
from polyhead_training.data import load_all
from polyhead_training.data.examples import Example
from polyhead_training.data.varied import with_copies
from polyhead_training.problems import InputError

USUAL = {
    "film": "NOUN",
    "plot": "NOUN",
    "cast": "NOUN",
    "good": "ADJ",
    "dull": "ADJ",
    "ran": "VERB",
}
TEXTS = (
    "A good film , and the Plot ran .",
    "dull; but the CAST was good",
    "the cast",
)
COPIES = 400


def example(text: str) -> Example:
    return Example("here:1", text, None, "", None, "here")


def copies(texts=TEXTS, seed="1", **changes):
    """What is there beside the texts."""
    config = VaryConfig(**{"copies": COPIES, "words": 0, "cut": 0, "join": 0, **changes})
    found = [each.text for each in with_copies([*map(example, texts)], config, USUAL, seed)]
    assert len(set(found)) == len(found)
    assert [text for text in found if text in texts] == list(texts)
    return [text for text in found if text not in texts]


def test_words_are_replaced_by_others_of_their_class():
    """In the letter case of what was there, with its marks; words of no known class stay."""
    found = copies(("A good film .", "dull; Plot", "the CAST"), words=0.5)

    assert {text.split()[1] for text in found if text.startswith("A ")} == {"good", "dull"}
    assert {text.split()[2] for text in found if text.startswith("A ")} == {"film", "plot", "cast"}
    assert {text for text in found if ";" in text} == {
        f"{first}; {second}" for first in ("dull", "good") for second in ("Plot", "Film", "Cast")
    } - {"dull; Plot"}
    assert {text for text in found if text.startswith("the")} == {"the FILM", "the PLOT"}


def test_the_share_of_replaced_words_is_that_of_the_config_on_average():
    """Some copies stay close, and some go far."""
    words = [f"w{number}" for number in range(200)]
    usual = dict.fromkeys(words, "NOUN")
    config = VaryConfig(copies=COPIES, words=0.3, cut=0, join=0)
    found = with_copies([example(" ".join(words))], config, usual, "1")[1:]
    changed = [
        sum(old != new for old, new in zip(words, each.text.split(), strict=True)) / 200
        for each in found
    ]

    assert 0.27 < sum(changed) / len(changed) < 0.33
    assert min(changed) < 0.1
    assert max(changed) > 0.5


def test_a_stretch_has_three_words_at_least():
    """And is in the text as it stands."""
    found = copies(cut=1)

    assert all(any(part in text for text in TEXTS) for part in found)
    assert Counter(len(part.split()) for part in found).keys() == {*range(3, 9)}


def test_parts_are_joined_where_texts_break():
    """The head of one text, the tail of another."""
    assert set(copies(join=1)) == {
        "A good film but the CAST was good",
        "dull; , and the Plot ran .",
    }


def test_chances_share_the_copies():
    """Some are stretches, some are joined, the others whole."""
    texts = tuple(f"a{n} b c , d e f{n}" for n in range(COPIES))
    found = copies(texts, copies=1, cut=0.25, join=0.25)
    joined = [text for text in found if text.startswith("a") and "f" in text]

    assert 60 < len(joined) < 140
    assert not set(joined) & set(texts)
    assert 60 < len(found) - len(joined) < 140
    assert copies(texts, copies=1, cut=0.25, join=0.25) == found
    assert copies(texts, "2", copies=1, cut=0.25, join=0.25) != found


def test_lists_of_words_have_as_many_empty_tags():
    """For heads that tag."""
    words = ("the", "film", ",", "the", "plot")
    first = Example("here:1", None, words, ("",) * 5, None, "here")
    found = with_copies([first], VaryConfig(copies=50, words=0.5, cut=0.5, join=0), USUAL, "1")

    assert found[0] == first
    assert len(found) > 2
    assert all(each.target == ("",) * len(each.words) and each.text is None for each in found)
    assert {word for each in found for word in each.words} == {"the", "film", ",", "plot"}


CONFIG = """\
name = "demo"
version = "1.0"
[augmentation]
forms = "trees.conllu"
[[heads]]
name = "mood"
kind = "classification"
labels = ["a", "b"]
[[sources]]
name = "more"
head = "mood"
format = "text"
train = "more.txt"
unlabelled = true
max_examples = 2
vary = { copies = 30, words = 0.4 }
"""
TREES = "1\tfilm\tfilm\tNOUN\t_\t_\t_\t_\t_\t_\n2\tplots\tplot\tNOUN\t_\t_\t_\t_\t_\t_\n\n"


def load(folder, config=CONFIG):
    (folder / "more.txt").write_text("this film\nthose plots\nthat film\n")
    (folder / "trees.conllu").write_text(TREES)
    (folder / "demo.toml").write_text(config)
    return load_all(load_config(folder / "demo.toml"), folder)["more"].train


def test_a_source_comes_with_copies_of_the_texts_that_are_taken(tmp_path):
    """Those that `max_examples` leaves out give nothing."""
    texts = {each.text for each in load(tmp_path)}
    first = {text.split()[0] for text in texts}

    assert len(first) == 2
    assert len(texts) == 4
    assert [each.text for each in load(tmp_path)] == [each.text for each in load(tmp_path)]


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("unlabelled = true", "", 16, "vary is for sources without labels"),
        ('forms = "trees.conllu"', "", 16, "vary needs CoNLL-U data"),
        ("copies = 30", "copies = 3000", 16, "copies must be a whole number from 0 to 1000"),
        ("words = 0.4", "words = 0.6", 16, "words must be a number from 0 to 0.5"),
        ("words = 0.4", "cut = 0.9", 16, "cut and join must be at most 1 together"),
        ("words = 0.4", "word = 0.4", 16, 'did you mean "words"?'),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path, old, new, line, part):
    """Before any file is read."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, CONFIG.replace(old, new))

    found = [(each.line, each.message) for each in caught.value.problems]
    assert any(abs(at - line) <= 1 and part in message for at, message in found), found


@pytest.mark.parametrize("tagged", [False, True])
def test_copies_of_words_have_targets_of_their_kind(tagged):
    """One for a text where the head gives it a label, one for each word where it tags words."""
    words = tuple(TEXTS[0].split())
    given = Example("here:1", None, words, ("",) * len(words) if tagged else "", None, "here")
    config = VaryConfig(copies=4, words=0.5, cut=0, join=0)
    copies = with_copies([given], config, USUAL, "1")[1:]
    assert copies
    for copy in copies:
        assert copy.target == (("",) * len(copy.words) if tagged else "")
