"""CoNLL columns and CoNLL-U become sentences of tagged words, or problems at their lines."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_training.config import HeadConfig, SourceConfig
from polyhead_training.data import Example, load_source
from polyhead_training.data.align import split_span, token_spans
from polyhead_training.data.bio import to_bio
from polyhead_training.metrics import tag_spans
from polyhead_training.problems import Problems

NAMES = HeadConfig("names", "spans", ("PER", "ORG", "LOC"))
POS = HeadConfig("pos", "tagging", ("NOUN", "VERB", "AUX", "PART", "PUNCT", "NN"))
CONLL = SourceConfig("news", "names", "conll", column=-1)
CONLLU = SourceConfig("trees", "pos", "conllu", column="upos")

Read = tuple[tuple[Example, ...], list[tuple[int, str]]]


def read(folder: Path, content: str, source: SourceConfig, head: HeadConfig) -> Read:
    """Examples and problems of one file with this content."""
    (folder / "data.txt").write_text(content, encoding="utf-8", newline="")
    problems = Problems()
    data = load_source(replace(source, train=("data.txt",)), head, folder, problems)
    return data.train, [(each.line, each.message) for each in problems._found]


def conll(folder: Path, content: str, **changes) -> Read:
    """Read CoNLL columns as a source of names."""
    return read(folder, content, replace(CONLL, **changes), NAMES)


def conllu(folder: Path, content: str, **changes) -> Read:
    """Read CoNLL-U written with spaces for TABs, two columns a word: id form upos."""
    lines = (row(line) if line and line[0].isdigit() else line for line in content.split("\n"))
    return read(folder, "\n".join(lines), replace(CONLLU, **changes), POS)


def row(line: str) -> str:
    """The ten columns of a word."""
    identifier, form, tag = line.split(" ")
    return f"{identifier}\t{form}\t_\t{tag}\tNN" + "\t_" * 5


def test_blank_lines_divide_sentences(tmp_path):
    """Comments are left out, a "#" with a tag is a word, and the last blank line may lack."""
    content = "# id = 1\n# a comment\nAnn\tB-PER\n#\tO\n\n\n#tag\tO\nBob\tB-PER"
    examples, problems = conll(tmp_path, content)

    assert problems == []
    assert [example.words for example in examples] == [("Ann", "#"), ("#tag", "Bob")]
    assert [example.target for example in examples] == [("B-PER", "O"), ("O", "B-PER")]
    assert [example.origin.rpartition(":")[2] for example in examples] == ["3", "7"]


def test_documents_end_sentences(tmp_path):
    """Where no blank line stands around the line between documents, too."""
    content = "EU B-PER\nsays O\n-DOCSTART- O\nYork B-LOC\n"
    examples, problems = conll(tmp_path, content)

    assert problems == []
    assert [example.words for example in examples] == [("EU", "says"), ("York",)]
    assert [example.group.rpartition("#")[2] for example in examples][1] == "1"
    assert len({example.group for example in examples}) == len(examples)


def test_other_space_belongs_to_words(tmp_path):
    """Columns are divided by spaces and TABs alone."""
    examples, problems = conll(tmp_path, "10\u00a0000  O\nAnn B-PER \n")

    assert problems == []
    assert examples[0].words == ("10\u00a0000", "Ann")


def test_line_ends_of_cr_alone_are_refused(tmp_path):
    """Not read as one long line, whose last column would be the tag of the first word."""
    examples, problems = conll(tmp_path, "a\tB-PER\rb\tO\r\rc\tB-LOC\r")

    assert examples == ()
    ((line, message),) = problems
    assert (line, "lines end with LF or CRLF" in message) == (1, True)


def test_columns_may_be_divided_by_spaces(tmp_path):
    """The layout of CoNLL-2003, where -DOCSTART- begins a document and is no sentence."""
    content = (
        "-DOCSTART- -X- O O\n\nAnn NNP I-NP I-PER\n# NN O O\n\n-DOCSTART- -X- O O\n\nBob X X O\n"
    )
    examples, problems = conll(tmp_path, content, column=3)

    assert problems == []
    assert [example.words for example in examples] == [("Ann", "#"), ("Bob",)]
    assert examples[0].target == ("B-PER", "O")
    assert examples[0].group != examples[1].group


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Ann\tB-PER\nBob\n\nEve\tO\tO\n", [(2, "has 1 columns"), (4, "has 3 columns")]),
        ("Ann\nBob\tB-PER\n", [(1, "has 1 columns, so none is tag column -1")]),
        ("Ann\tPER\n", [(1, '"PER" is no span tag: write O, B-LABEL or I-LABEL')]),
        ("Ann\tX-PER\nBob\tB-\n", [(1, '"X-PER" is no'), (2, '"B-" is no span tag')]),
        ("Ann\tB-PRE\n", [(1, 'unknown label "PRE" for head "names" (did you mean "PER"?)')]),
        ("Ann\tB-LOC\n", [(1, 'label "LOC" is not in the among of this source')]),
        (" \tB-PER\n", [(1, "the word is empty")]),
        ("# only = comments\n", [(1, "has no examples")]),
    ],
)
def test_bad_conll_lines_are_named(tmp_path, content, expected):
    """Every bad line is found, in every sentence."""
    _, problems = conll(tmp_path, content, among=("PER", "ORG"))

    assert [line for line, _ in problems] == [line for line, _ in expected]
    for (_, message), (_, part) in zip(problems, expected, strict=True):
        assert part in message


def test_a_lost_word_outside_spans_is_kept_in_place(tmp_path):
    """Published sets have such lines; the neighbours and the count of words stay right."""
    examples, problems = conll(tmp_path, "Ann\tB-PER\n\tO\n")

    assert problems == []
    assert examples[0].words == ("Ann", "\N{REPLACEMENT CHARACTER}")


def test_span_labels_are_renamed_after_their_bounds_are_known(tmp_path):
    """Neighbouring spans that take one name stay two; a dropped label becomes O."""
    content = "a\tI-corp\nb\tI-group\nc\tB-toy\nd\tI-toy\n"
    mapping = {"corp": "ORG", "group": "ORG", "toy": ""}

    assert conll(tmp_path, content, map=mapping)[0][0].target == ("B-ORG", "B-ORG", "O", "O")


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        ("O B-P I-P I-P O", "O B-P I-P I-P O"),
        ("I-P I-P O I-L", "B-P I-P O B-L"),
        ("I-P B-P I-P", "B-P B-P I-P"),
        ("B-P I-P E-P S-L O", "B-P I-P I-P B-L O"),
        ("B-P L-P U-P", "B-P I-P B-P"),
        ("S-P I-P", "B-P B-P"),
        ("I-P I-L", "B-P B-L"),
        ("B-new-town I-new-town", "B-new-town I-new-town"),
    ],
)
def test_usual_schemes_become_bio(tags, bio):
    """IOB1, IOB2, BIOES and BILOU are told apart tag by tag."""
    assert to_bio(tags.split()) == bio.split()


@given(st.lists(st.sampled_from(["O", "B-P", "I-P", "B-L", "I-L"])))
def test_bio_has_the_spans_that_a_scorer_sees(tags):
    """Conversion repairs loose tags and never moves a span."""
    converted = to_bio(tags)

    assert tag_spans(converted) == tag_spans(tags)
    assert to_bio(converted) == converted


def test_conllu_gives_words_in_their_text(tmp_path):
    """Words that share a surface token divide it, empty nodes are skipped, documents group."""
    content = (
        "# newdoc id = web-1\n# text = I don't  go.\n1 I NOUN\n2-3 don't _\n2 do AUX\n3 n't PART\n"
        "3.1 _ _\n4 go VERB\n5 . PUNCT\n\n# newdoc id = web-2\n1 Go VERB\n"
    )
    examples, problems = conllu(tmp_path, content)

    assert problems == []
    first, second = examples
    assert first.words == ("I", "do", "n't", "go", ".")
    assert first.spans == ((0, 1), (2, 4), (4, 7), (9, 11), (11, 12))
    assert first.target == ("NOUN", "AUX", "PART", "VERB", "PUNCT")
    assert (first.group, second.group) == ("web-1", "web-2")
    assert (second.text, second.spans) == (None, None)


def test_conllu_can_read_language_specific_tags(tmp_path):
    """The column is chosen by name."""
    assert conllu(tmp_path, "1 Go VERB\n", column="xpos")[0][0].target == ("NN",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1 a NOUN\n3 b NOUN\n", [(2, "word id 3 where 2 is next")]),
        ("1 a NOUN\n\n2 b NOUN\n", [(3, "word id 2 where 1 is next")]),
        ("1 a NUON\n", [(1, 'unknown label "NUON" for head "pos" (did you mean "NOUN"?)')]),
        ("1 a NOUN\nb\tNOUN\n", [(2, "has 2 columns, CoNLL-U has 10")]),
        ("1x a NOUN\n", [(1, '"1x" is no word id')]),
        ("2-3 ab _\n1 a NOUN\n", [(1, '"2-3" is no range of words that starts at 1')]),
        ("1-2 ab _\n1 a NOUN\n", [(1, "a range goes past")]),
        (
            "# text = a c\n1 a NOUN\n2 b NOUN\n",
            [(1, "the words do not spell the sentence's # text")],
        ),
        ("# text = a b\n1 a NOUN\n", [(1, "the words do not spell the sentence's # text")]),
        ("1  NOUN\n", [(1, "the word is empty")]),
        ("# text = a\n\n1 a NOUN\n", [(1, "the sentence has no words")]),
    ],
)
def test_bad_conllu_lines_are_named(tmp_path, content, expected):
    """Every bad line is found, and one mistake is not reported twice."""
    _, problems = conllu(tmp_path, content)

    assert [line for line, _ in problems] == [line for line, _ in expected]
    for (_, message), (_, part) in zip(problems, expected, strict=True):
        assert part in message


@pytest.mark.parametrize(
    ("words", "spans"),
    [
        (["do", "n't"], [(5, 7), (7, 10)]),
        (["de", "les"], [(5, 7), (7, 10)]),
        (["a", "going"], [(5, 6), (6, 10)]),
        (["verylong", "x"], [(5, 9), (9, 10)]),
    ],
)
def test_a_surface_token_is_divided_by_characters(words, spans):
    """Exact where the words spell the token, else in proportion with no word left empty."""
    assert split_span((5, 10), words) == spans


def test_words_share_a_surface_that_is_too_short():
    """There is nothing to divide between two words in one character."""
    assert split_span((3, 4), ["de", "le"]) == [(3, 4), (3, 4)]


@given(st.lists(st.text(min_size=1).filter(lambda word: word == word.strip()), min_size=1))
def test_words_are_found_in_the_text_they_spell(words):
    """Whatever the words, joining them by spaces and finding them again gives their places."""
    text = " ".join(words)
    spans = token_spans(text, words)

    assert spans is not None
    assert [text[start:end] for start, end in spans] == words
