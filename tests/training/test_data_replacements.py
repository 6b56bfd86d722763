"""Lists of synonyms and forms of lemmas are read, checked and given to those that use them."""

from pathlib import Path

import pytest

from polyhead_training.config import load_config
from polyhead_training.data import load_all
from polyhead_training.data.replacements import Replacements, build_replacements
from polyhead_training.problems import InputError

CONFIG = """\
name = "demo"
version = "1.0"
[augmentation]
synonyms = "like.tsv"
[[heads]]
name = "pos"
kind = "tagging"
labels = ["NOUN", "VERB", "PRON"]
[[sources]]
name = "trees"
head = "pos"
format = "conllu"
train = "trees.conllu"
augment = { synonym = 0.1, lemma = 0.1 }
"""
TREES = [
    ("I", "I", "PRON", "_"),
    ("saw", "see", "VERB", "_"),
    ("Films", "film", "NOUN", "_"),
    ("sees", "see", "VERB", "_"),
    ("teh", "the", "NOUN", "Typo=Yes"),
    ("filmz", "film", "NOUN", "Number=Plur|Style=Expr"),
]


def prepare(folder: Path, config: str = CONFIG, synonyms: str = "film\tmovie, Picture\n") -> Path:
    rows = [
        f"{n}\t{form}\t{lemma}\t{tag}\t_\t{features}\t_\t_\t_\t_"
        for n, (form, lemma, tag, features) in enumerate(TREES, 1)
    ]
    (folder / "trees.conllu").write_text("\n".join(rows) + "\n\n")
    (folder / "like.tsv").write_text(synonyms)
    path = folder / "demo.toml"
    path.write_text(config)
    return path


def load(folder: Path, **parts: str):
    return load_all(load_config(prepare(folder, **parts)), folder)


def problems_of(folder: Path, **parts: str) -> list[tuple[str, int, str]]:
    with pytest.raises(InputError) as caught:
        load(folder, **parts)
    return [(Path(each.file).name, each.line, each.message) for each in caught.value.problems]


def test_synonyms_and_forms_reach_the_source(tmp_path):
    """All in lower case; the lemma itself is a form; misspelt words are none."""
    known = load(tmp_path)["trees"].replacements

    assert known.synonyms_of("film") == ("movie", "picture")
    assert set(known.forms_of("saw", "VERB")) == {"see", "sees"}
    assert known.forms_of("saw", None) == known.forms_of("saw", "VERB")
    assert known.forms_of("films", "NOUN") == ("film",)
    assert known.forms_of("film", "NOUN") == ("films",)
    assert known.forms_of("i", "PRON") == known.forms_of("teh", "NOUN") == ()
    assert known.forms_of("filmz", "NOUN") == ()


def test_nothing_is_read_where_nothing_is_replaced(tmp_path):
    """A list may then even be missing."""
    path = prepare(tmp_path, CONFIG.replace("synonym = 0.1, lemma = 0.1", "typo = 0.1"))
    (tmp_path / "like.tsv").unlink()

    assert load_all(load_config(path), tmp_path)["trees"].replacements == Replacements()


def test_bad_lines_are_named_with_those_of_the_data(tmp_path):
    """All at once; blank lines are passed over."""
    found = problems_of(
        tmp_path,
        synonyms="film movie\n\nfilm\tmovie,\n\tmovie\nfilm\ta\tb\ngood\tfine\n",
        config=CONFIG.replace('"PRON"', '"ADJ"'),
    )

    assert [(file, line) for file, line, _ in found] == [
        *(("like.tsv", line) for line in (1, 3, 4, 5)),
        ("trees.conllu", 1),
    ]
    assert "one TAB" in found[0][2]
    assert "empty word or synonym" in found[1][2]


def test_a_list_that_is_not_there_is_a_problem_of_the_config(tmp_path):
    """At the line that names it."""
    config = CONFIG.replace('"like.tsv"', '["like.tsv", "more.tsv"]\nforms = "gone.conllu"')
    found = problems_of(tmp_path, config=config)

    assert [(file, line) for file, line, _ in found] == [("demo.toml", 4), ("demo.toml", 5)]
    assert all("cannot be read: No such file" in message for _, _, message in found)


def test_forms_may_come_from_a_file_of_their_own(tmp_path):
    """For configs without a treebank; its columns are checked."""
    (tmp_path / "notes.csv").write_text("text,label\nfine,a\n")
    config = CONFIG.partition("[[heads]]")[0] + (
        'forms = "trees.conllu"\n[[heads]]\nname = "mood"\nkind = "classification"\n'
        'labels = ["a", "b"]\n[[sources]]\nname = "notes"\nhead = "mood"\nformat = "csv"\n'
        'train = "notes.csv"\naugment = { lemma = 0.5 }\n'
    )

    assert load(tmp_path, config=config)["notes"].replacements.usual["saw"] == "VERB"
    with (tmp_path / "trees.conllu").open("a") as file:
        file.write("1\tword\n")
    with pytest.raises(InputError, match=r"trees\.conllu:8: has 2 columns, CoNLL-U has 10"):
        load_all(load_config(tmp_path / "demo.toml"), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ('synonyms = "like.tsv"', "", 14, "synonym needs a list of synonyms"),
        ('format = "conllu"', 'format = "conll"', 14, "lemma needs CoNLL-U data"),
        ('"PRON"]', '"WORD"]', 14, "lemma is for tagging heads with universal tags"),
        ("lemma = 0.1", "drop = 0.1", 14, "drop is for classification"),
        ("lemma = 0.1", "punctuation = 0.1", 14, "punctuation is for classification"),
        ("lemma = 0.1", "mention = 0.1", 14, "mention is for spans"),
        ("lemma = 0.1", "mask = 1", 14, "mask must be a number from 0 to 0.9"),
        ("lemma = 0.1", "lema = 1", 14, 'did you mean "lemma"?'),
        ("synonyms =", "synonym =", 4, 'did you mean "synonyms"?'),
        ('"like.tsv"', "3", 4, "synonyms must be a list of texts"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path, old, new, line, part):
    """Before any file is read."""
    found = problems_of(tmp_path, config=CONFIG.replace(old, new))

    assert any(at == line and part in message for _, at, message in found), found


def test_entries_that_come_twice_add_up():
    """A word is no synonym or form of itself, and its commonest tag is its usual one."""
    forms = [("set", "set", "VERB")] * 2 + [("set", "set", "NOUN"), ("sets", "set", "NOUN")]
    known = build_replacements([("a", ("b",)), ("a", ("a", "c", "b")), ("d", ("d",))], forms)

    assert known.synonyms == {"a": ("b", "c")}
    assert known.forms == {("set", "NOUN"): ("sets",), ("sets", "NOUN"): ("set",)}
    assert known.usual == {"set": "VERB", "sets": "NOUN"}
    assert known.forms_of("set", None) == ()


NAMES = """\
name = "demo"
version = "1.0"
[[heads]]
name = "names"
kind = "spans"
labels = ["PER", "LOC"]
[[sources]]
name = "one"
head = "names"
format = "conll"
train = "one.conll"
augment = { mention = 0.5 }
[[sources]]
name = "two"
head = "names"
format = "conll"
train = "two.conll"
dev = "dev.conll"
"""


def test_spans_of_all_training_data_of_a_head_reach_the_source(tmp_path):
    """Each once; those of dev and test data never."""
    (tmp_path / "one.conll").write_text("Al B-PER\nCox I-PER\nin O\nRome B-LOC\n\nRome B-LOC\n\n")
    (tmp_path / "two.conll").write_text("Lima B-LOC\nPeru B-LOC\n\nI I-PER\n\n")
    (tmp_path / "dev.conll").write_text("Bern B-LOC\n\n")
    (tmp_path / "demo.toml").write_text(NAMES)
    data = load_all(load_config(tmp_path / "demo.toml"), tmp_path)

    assert data["one"].replacements.mentions == {
        ("PER", 2): (("Al", "Cox"),),
        ("LOC", 1): (("Rome",), ("Lima",), ("Peru",)),
        ("PER", 1): (("I",),),
    }
    assert data["two"].replacements == Replacements()


def test_texts_without_labels_have_no_spans_to_replace(tmp_path):
    """It would do nothing."""
    text = NAMES.replace('format = "conll"', 'format = "text"\nunlabelled = true', 1)
    (tmp_path / "demo.toml").write_text(text)
    with pytest.raises(InputError, match=r"demo\.toml:13: mention is for sources with labels"):
        load_config(tmp_path / "demo.toml")


@pytest.mark.parametrize("key", ["synonym", "lemma"])
def test_words_without_labels_are_not_replaced(tmp_path, key):
    """Nothing says which of them are names; texts of a classification head have no tags anyway."""
    synonyms = '[augmentation]\nsynonyms = "like.tsv"\nforms = "trees.conllu"\n[[heads]]'
    text = NAMES.replace("[[heads]]", synonyms, 1).replace("mention", key)
    text = text.replace('format = "conll"', 'format = "text"\nunlabelled = true', 1)
    (tmp_path / "demo.toml").write_text(text)
    with pytest.raises(InputError, match=rf"demo\.toml:16: {key} is for sources with labels"):
        load_config(tmp_path / "demo.toml")
    moods = text.replace('"spans"', '"classification"').partition('[[sources]]\nname = "two"')[0]
    (tmp_path / "demo.toml").write_text(moods)
    assert getattr(load_config(tmp_path / "demo.toml").sources[0].augment, key) == 0.5
