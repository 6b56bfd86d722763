"""Learning the word splitter's lexicon from a treebank."""

import gzip
import json

import pytest

from polyhead_server.words import WordSplitter
from polyhead_training.lexicon import (
    GoldSentence,
    base_lexicon,
    learn_lexicon,
    read_gold,
    write_lexicon,
)

CONLLU = """\
# text = I cannot go, don't.
1\tI\t_
2-3\tcannot\t_
2\tcan\t_
3\tnot\t_
4\tgo\t_
4.1\tgone\t_
5\t,\t_
6-7\tdon't\t_
6\tdo\t_
7\tn't\t_
8\t.\t_

# text = au  lait
1-2\tau\t_
1\tà\t_
2\tle\t_
3\tlait\t_

"""


def gold(row):
    """A sentence from its text with "|" at every cut that is not a blank."""
    spans, start = [], 0
    for chunk in row.split(" "):
        for piece in chunk.split("|"):
            spans.append((start, start + len(piece)))
            start += len(piece)
        start += 1
    return GoldSentence(row.replace("|", ""), tuple(spans))


def split(lexicon, text):
    """Surface forms under a lexicon."""
    return [text[start:end] for start, end in WordSplitter(lexicon).split(text)]


def test_words_are_aligned_with_the_text(tmp_path):
    """Multiword tokens and empty nodes are resolved to spans of the text."""
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    first, second = read_gold(path)
    surfaces = [first.text[start:end] for start, end in first.words]
    assert surfaces == ["I", "can", "not", "go", ",", "do", "n't", "."]
    assert [second.text[start:end] for start, end in second.words] == ["lait"]


def test_gzipped_treebanks_are_read(tmp_path):
    """The same sentences come out of a gzipped file."""
    plain, packed = tmp_path / "a.conllu", tmp_path / "a.conllu.gz"
    plain.write_text(CONLLU, encoding="utf-8")
    packed.write_bytes(gzip.compress(CONLLU.encode()))
    assert list(read_gold(plain)) == list(read_gold(packed))


def test_a_word_that_is_not_in_the_text_is_an_error(tmp_path):
    """A treebank whose words and text disagree is refused with the place."""
    path = tmp_path / "a.conllu"
    path.write_text("# text = one two\n1\tone\t_\n2\ttoo\t_\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"'too' is not at offset 4"):
        list(read_gold(path))


@pytest.mark.parametrize(
    ("row", "times", "expected"),
    [
        ("you should|a gone", 3, ["should", "a"]),
        ("you should|a gone", 2, ["shoulda"]),
        ("a so-called thing", 3, ["so-called"]),
        ("the xyzt. thing", 3, ["xyzt."]),
    ],
)
def test_frequent_forms_are_learnt(row, times, expected):
    """Three occurrences teach a form, two do not."""
    learnt = learn_lexicon([gold(row)] * times)
    form = row.split(" ")[1].replace("|", "")
    assert split(learnt, f"{form} x")[:-1] == expected


def test_a_contradicted_split_is_dropped():
    """The treebank wins over the base."""
    assert "a|lot" in base_lexicon()["splits"]
    assert "a|lot" not in learn_lexicon([gold("alot of it")] * 3)["splits"]


def test_undecided_forms_stay_as_they_were():
    """Without a clear majority the base holds."""
    mixed = [gold("you should|a gone")] * 4 + [gold("you shoulda gone")] * 2
    assert learn_lexicon(mixed) == learn_lexicon([])


def test_the_order_of_sentences_does_not_matter(tmp_path):
    """Learning and writing are deterministic to the byte."""
    sentences = [gold("you should|a gone")] * 5 + [gold("a so-called xyzt. thing")] * 5
    shuffled = sentences[7:] + sentences[3:7] + sentences[:3]
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write_lexicon(learn_lexicon(sentences), one)
    write_lexicon(learn_lexicon(shuffled), other)
    assert one.read_bytes() == other.read_bytes()
    assert json.loads(one.read_text(encoding="utf-8")) == learn_lexicon(sentences)
