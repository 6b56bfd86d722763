"""Sources without labels, whatever labels their files have."""

import pytest

from polyhead_training.config import load_config
from polyhead_training.data import load_all
from polyhead_training.problems import InputError

CONFIG = """\
name = "demo"
version = "1.0"
[[heads]]
name = "{head}"
kind = "{kind}"
labels = ["PER", "LOC"]
[[sources]]
name = "more"
head = "{head}"
format = "{format}"
train = "{file}"
unlabelled = true
"""
FILES = {
    "some.conll": "She B-QUEEN\nsings\xa0so odd-tag\n\n# a comment = one\nLoud O\n",
    "some.conllu": (
        "# newdoc id = d1\n# text = Sings (she).\n"
        "1\tSings\t_\tNEW\t_\t_\t_\t_\t_\t_\n2-3\t(she)\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "2\t(\t_\tNEW\t_\t_\t_\t_\t_\t_\n3\tshe)\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "4\t.\t_\t_\t_\t_\t_\t_\t_\t_\n\n1\tLoud\t_\tX\t_\t_\t_\t_\t_\t_\n"
        "2\tit\t_\tX\t_\t_\t_\t_\t_\t_\n\n"
    ),
    "some.jsonl": '{"text": "She sings (loud)."}\n{"text": "Loud", "label": "odd"}\n',
    "some.txt": "She sings (loud).\n\nLoud\n",
}


def load(folder, head, file, content=None):
    """The training examples of one source."""
    (folder / file).write_text(content or FILES[file], encoding="utf-8")
    kind = {"names": "spans", "mood": "classification"}[head]
    layout = file.rpartition(".")[2].replace("txt", "text")
    config = CONFIG.format(head=head, kind=kind, format=layout, file=file)
    (folder / "demo.toml").write_text(config)
    return load_all(load_config(folder / "demo.toml"), folder)["more"].train


@pytest.mark.parametrize(
    ("file", "sentences"),
    [
        ("some.conll", [("She", "sings\xa0so"), ("Loud",)]),
        ("some.conllu", [("Sings", "(", "she)", "."), ("Loud", "it")]),
        ("some.jsonl", [("She", "sings", "(", "loud", ")", "."), ("Loud",)]),
        ("some.txt", [("She", "sings", "(", "loud", ")", "."), ("Loud",)]),
    ],
)
def test_heads_of_words_have_the_words_and_no_tags(tmp_path, file, sentences):
    """Files of words have their own; texts are split as they are served."""
    found = load(tmp_path, "names", file)

    assert [each.words for each in found] == sentences
    assert all(each.target == ("",) * len(each.words) for each in found)
    assert all(each.text is None and each.spans is None for each in found)


@pytest.mark.parametrize(
    ("file", "texts"),
    [
        ("some.conll", ["She sings\xa0so", "Loud"]),
        ("some.conllu", ["Sings (she).", "Loud it"]),
        ("some.jsonl", ["She sings (loud).", "Loud"]),
        ("some.txt", ["She sings (loud).", "Loud"]),
    ],
)
def test_heads_of_texts_have_the_text_and_no_label(tmp_path, file, texts):
    """The one that the file has, or else the words with spaces."""
    found = load(tmp_path, "mood", file)

    assert [each.text for each in found] == texts
    assert all(each.target == "" and each.words is None and each.spans is None for each in found)


ROWS = (
    '{"words": ["don\'t", "(", "go"], "tags": ["odd", "O", "O"]}\n'
    '{"text": "Loud it", "words": ["Loud it"]}\n'
    '{"text": "It\'s", "words": 2}\n'
)


def test_rows_of_words_keep_them(tmp_path):
    """As rows with labels do, though they have a text too; only other rows are split."""
    found = load(tmp_path, "names", "some.jsonl", ROWS)

    assert [each.words for each in found] == [("don't", "(", "go"), ("Loud it",), ("It", "'s")]
    assert all(each.target == ("",) * len(each.words) for each in found)


def test_heads_of_texts_have_the_words_where_the_config_says_so(tmp_path):
    """They have one answer together."""
    with pytest.raises(InputError, match='field "text" is missing'):
        load(tmp_path, "mood", "some.jsonl", ROWS)
    config = (tmp_path / "demo.toml").read_text() + 'words = "words"\n'
    (tmp_path / "demo.toml").write_text(config)
    found = load_all(load_config(tmp_path / "demo.toml"), tmp_path)["more"].train

    assert [each.words for each in found] == [("don't", "(", "go"), ("Loud it",), None]
    assert [each.text for each in found] == [None, None, "It's"]
    assert all(each.target == "" for each in found)


def test_words_that_are_none_are_problems(tmp_path):
    """At their line."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, "names", "some.jsonl", '{"words": ["so"]}\n{"words": ["a", ""]}\n')

    assert [(each.line, each.message) for each in caught.value.problems] == [
        (2, 'item 1 of field "words" must be a text, not empty')
    ]


def test_documents_and_lines_stay_known(tmp_path):
    """For checks of leakage and for errors."""
    first, second = load(tmp_path, "mood", "some.conllu")

    assert (first.group, second.group) == ("d1", "d1")
    assert first.origin.endswith("some.conllu:1")
    assert second.origin.endswith("some.conllu:9")


def test_broken_lines_are_problems_as_they_are_with_labels(tmp_path):
    """Only what the labels are is not looked at."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, "names", "some.conll", "She O\nsings\n")

    assert [(each.line, each.message) for each in caught.value.problems] == [
        (2, "has 1 columns between spaces, not 2 as the lines before")
    ]
