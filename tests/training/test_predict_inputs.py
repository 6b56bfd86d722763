"""Reading texts for annotation: every format, and what cannot be read."""

from __future__ import annotations

import gzip
import json

import pytest

from polyhead_training import predict_inputs
from polyhead_training.predict_inputs import (
    Heading,
    Item,
    Refused,
    format_of,
    open_lines,
    read_items,
)
from polyhead_training.predict_rows import FieldNames
from polyhead_training.problems import InputError

TREE = """# sent_id = s1
# text = don't go
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\t_\tAUX\t_\t_\t_\t_\t_\t_
2\tn't\t_\tPART\t_\t_\t_\t_\t_\t_
3\tgo\t_\tVERB\t_\t_\t_\t_\t_\t_
"""


@pytest.fixture
def read(tmp_path):
    """Reads a file's content; the format by its name."""

    def records(name, content, **names):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        with open_lines(file) as lines:
            return list(read_items(lines, format_of(file), FieldNames(**names)))

    return records


def sources(records):
    return [record.row.source for record in records if isinstance(record, Item)]


def refusals(records):
    return [(r.line, r.message) for r in records if isinstance(r, Refused)]


def test_lines_of_text(read):
    """Blank lines are none, and a byte order mark is no text."""
    found = read("a.txt", b"\xef\xbb\xbfone\r\n\n  \ntwo")
    assert [(item.line, item.row.source) for item in found] == [(1, "one"), (4, "two")]
    assert found[0].row.fields == {"text": "one"}


def test_rows_keep_their_fields(read):
    """All of them, whatever they are."""
    row = {"id": 7, "text": "one", "more": {"a": [None]}}
    found = read("a.jsonl", json.dumps(row))
    assert found[0].row.fields == row
    assert found[0].row.source == "one"


def test_rows_of_words(read):
    """Words stand where there is no text; asked for, they go before a text that they spell."""
    row = {"text": "don't go", "words": ["do", "n't", "go"]}
    assert sources(read("a.jsonl", json.dumps(row))) == ["don't go"]
    found = read("a.jsonl", json.dumps(row), words="words")[0].row
    assert found.source == ("do", "n't", "go")
    assert (found.text, found.places) == ("don't go", [(0, 2), (2, 5), (6, 8)])
    bare = read("a.jsonl", json.dumps({"words": ["a", "b"]}))[0].row
    assert bare.fields == {"words": ["a", "b"], "text": "a b"}


def test_rows_that_cannot_be_read(read):
    """Each is told with its line; the others are read."""
    lines = [
        '{"text": "fine"}',
        '{"text": ',
        "[1]",
        '{"txt": "x"}',
        '{"text": 3}',
        '{"text": null}',
        '{"words": []}',
        '{"words": ["a", " "]}',
        '{"text": "\\ud800"}',
        '{"text": 1' + "0" * 5000 + "}",
        '{"text": "last"}',
    ]
    found = read("a.jsonl", "\n".join(lines))
    assert sources(found) == ["fine", "last"]
    told = refusals(found)
    assert [line for line, _ in told] == list(range(2, 11))
    assert told[0][1].startswith("is not valid JSON at column")
    assert told[2][1] == 'field "text" is missing (did you mean "txt"?)'
    assert told[4][1] == 'field "text" is null'
    assert "surrogate" in told[7][1]
    assert found[1].raw == b'{"text": \n'


def test_words_that_do_not_spell_the_text(read):
    """Offsets would have nothing to refer to."""
    found = read("a.jsonl", '{"text": "other", "words": ["a"]}', words="words")
    assert refusals(found) == [(1, 'the words do not spell the text of field "text"')]


def test_tables(read):
    """Records over several lines; bad ones are told, with their heading for another time."""
    content = b'id,body\n1,"two\nlines"\n2,x,y\n3,bad \xff\n4,fine\n5,"open\n'
    found = read("a.csv", content, text="body")
    assert isinstance(found[0], Heading)
    assert found[0].raw == b"id,body\n"
    assert sources(found) == ["two\nlines", "fine"]
    assert found[1].row.fields == {"id": "1", "body": "two\nlines"}
    told = refusals(found)
    assert [line for line, _ in told] == [4, 5, 7]
    assert told[0][1] == "has 3 columns, the header has 2"
    assert "UTF-8" in told[1][1]
    assert "CSV" in told[2][1]
    assert sources(read("a.tsv", "text\tn\na b\t1\n")) == ["a b"]


def test_tables_without_the_column(read):
    """Nothing can be read: an error, with what there is."""
    with pytest.raises(InputError, match=r'a\.csv:1: has no column "text" \(did you mean "texts"'):
        read("a.csv", "id,texts\n1,x\n")


def test_trees(read):
    """Words, with their places in the sentence's text; words that do not spell it are joined."""
    first, second = read("a.conllu", TREE + "\n" + TREE.replace("# text = don't", "# text = Don't"))
    assert first.row.source == ("do", "n't", "go")
    assert (first.row.text, first.row.places) == ("don't go", [(0, 2), (2, 5), (6, 8)])
    assert first.row.fields["upos"] == ["AUX", "PART", "VERB"]
    assert first.row.fields["sent_id"] == "s1"
    assert second.row.fields["text"] == "do n't go"
    assert second.row.places is None


def test_columns(read):
    """Tags are kept; comments and document marks are none; a lost word is U+FFFD."""
    content = "-DOCSTART-\tO\n\n# id = 4\nAnn\tB-PER\n\tO\n\nleft\tO\nout\n\nBob\n"
    found = read("a.conll", content)
    assert sources(found) == [("Ann", "\ufffd"), ("Bob",)]
    assert found[0].row.fields["tags"] == ["B-PER", "O"]
    assert "tags" not in found[-1].row.fields
    assert refusals(found) == [(8, "has 1 columns, not 2 as the lines before")]


@pytest.mark.parametrize("name", ["in.txt", "in.conll", "in.conllu", "in.jsonl"])
def test_line_ends_of_cr_alone_are_refused(read, name):
    """Not read as one text."""
    (found,) = read(name, "a\rb\r")
    assert isinstance(found, Refused)
    assert "lines end with LF or CRLF" in found.message


def test_documents_end_sentences(read):
    """Where no blank line stands around the line between documents, too."""
    found = read("in.conll", "EU B-PER\nsays O\n-DOCSTART- O\nYork B-LOC\n")
    assert [(item.line, item.row.source) for item in found] == [(1, ("EU", "says")), (4, ("York",))]


def test_other_space_belongs_to_words(read):
    """Columns are divided by spaces and TABs alone, and cells may be long."""
    (found,) = read("in.conll", "10\u00a0000 O\nAnn B-PER\n")
    assert found.row.source == ("10\u00a0000", "Ann")
    _, found = read("in.csv", "text\n" + "word " * 40_000 + "\n")
    assert len(found.row.source) == len("word " * 40_000)


def test_sentences_with_an_unreadable_line(read):
    """They are refused as a whole, and kept as a whole."""
    found = read("a.conll", b"a\tO\nb\xff\tO\n\nc\tO\n")
    assert sources(found) == [("c",)]
    assert refusals(found)[0][0] == 2
    assert found[0].raw == b"a\tO\nb\xff\tO\n\n"


def test_gzip_and_damaged_gzip(read):
    """What can be read is read; then the damage is told."""
    whole = gzip.compress(b"one\ntwo\n" * 2000, mtime=0)
    assert len(sources(read("a.txt.gz", whole))) == 4000
    assert "not a whole gzip file" in refusals(read("a.txt.gz", whole[:-10]))[-1][1]
    assert "not a whole gzip file" in refusals(read("a.txt.gz", b"plain"))[-1][1]


def test_lines_and_texts_that_are_too_long(read, monkeypatch):
    """They are refused, so that memory stays bounded; reading goes on behind them."""
    monkeypatch.setattr(predict_inputs, "LONGEST_LINE", 16)
    found = read("a.txt", "short\n" + "x" * 50 + "\nlast\n")
    assert sources(found) == ["short", "last"]
    assert refusals(found) == [(2, "is longer than 16 bytes")]
    monkeypatch.undo()
    monkeypatch.setattr("polyhead_training.predict_rows.MOST_CHARS", 10)
    told = refusals(read("a.txt", "x" * 11))
    assert told == [(1, "has a text of 11 characters; at most 10 are read")]


def test_the_word_that_looks_like_a_comment(read):
    """Where columns have blanks between, a line with as many of them as the others is a word."""
    (found,) = read("a.conll", "# a comment\nEU NNP B-ORG\n# NN O\n1 CD O\n")
    assert found.row.source == ("EU", "#", "1")


def test_a_header_that_has_a_name_twice(read):
    """One of the two would be lost."""
    _, found = read("a.csv", "text,text\na,b\n")
    assert isinstance(found, Refused)
