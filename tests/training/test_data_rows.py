"""JSONL and CSV rows become examples, or problems at their lines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from polyhead_training.config import HeadConfig, SourceConfig
from polyhead_training.data import Example, load_source
from polyhead_training.problems import Problems

MOOD = HeadConfig("mood", "classification", ("sad", "flat", "glad"))
TAGS = HeadConfig("pos", "tagging", ("N", "V"))
NAMES = HeadConfig("names", "spans", ("PER", "LOC"))


def read(
    folder: Path, name: str, content: str, source: SourceConfig, head: HeadConfig = MOOD
) -> tuple[tuple[Example, ...], list[tuple[int, str]]]:
    """Examples and problems of one file with this content."""
    (folder / name).write_text(content, encoding="utf-8", newline="")
    problems = Problems()
    data = load_source(replace(source, train=(name,)), head, folder, problems)
    return data.train, [(each.line, each.message) for each in problems._found]


def jsonl(folder, *rows, head=MOOD, **source):
    """Read rows, given as objects or as raw lines."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    config = SourceConfig("notes", head.name, "jsonl", **source)
    return read(folder, "notes.jsonl", "\n".join(lines), config, head)


def table(folder, content, name="notes.csv", **source):
    """Read a CSV file."""
    return read(folder, name, content, SourceConfig("notes", "mood", "csv", **source))


def test_a_row_is_a_text_with_its_label(tmp_path):
    """Fields are taken by the names in the config; others are ignored."""
    row = {"body": " Well…\n", "mood": "glad", "id": 7}
    examples, problems = jsonl(tmp_path, row, text="body", label="mood")

    name = str(tmp_path / "notes.jsonl")
    assert examples == (Example(f"{name}:1", " Well…\n", None, "glad", None, name),)
    assert problems == []


def test_map_renames_and_drops_labels(tmp_path):
    """A label mapped to nothing drops its row; numbers are labels by their digits."""
    rows = [{"text": "a", "label": label} for label in ("very sad", "unclear", 2, "glad")]
    mapping = {"very sad": "sad", "unclear": "", "2": "flat"}

    examples, problems = jsonl(tmp_path, *rows, map=mapping)

    assert [example.target for example in examples] == ["sad", "flat", "glad"]
    assert problems == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "is not valid JSON at column 2: Expecting property name"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "nesting too deep"),
        ({"label": "sad"}, 'field "text" is missing'),
        ({"txet": "a", "label": "sad"}, 'field "text" is missing (did you mean "txet"?)'),
        ({"text": None, "label": "sad"}, 'field "text" is null'),
        ({"text": 3, "label": "sad"}, 'field "text" must be a text, not a number'),
        ({"text": " \n", "label": "sad"}, 'field "text" is empty'),
        ({"text": "\ud800", "label": "sad"}, "half of a surrogate pair"),
        ({"text": "a"}, 'field "label" is missing'),
        ({"text": "a", "label": True}, 'field "label" must be a text, not true or false'),
        (
            {"text": "a", "label": "gald"},
            'unknown label "gald" for head "mood" (did you mean "glad"',
        ),
        ({"text": "a", "label": "flat"}, 'label "flat" is not in the among of this source'),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_read(tmp_path, row, message):
    """Each mistake has its message at its line and costs no other row."""
    good = {"text": "a", "label": "sad"}

    examples, problems = jsonl(tmp_path, good, row, good, among=("sad", "glad"))

    assert [line for line, _ in problems] == [2]
    assert message in problems[0][1]
    assert len(examples) == 2


def test_all_mistakes_of_a_row_are_reported(tmp_path):
    """A bad text does not hide a bad label."""
    _, problems = jsonl(tmp_path, {"text": "", "label": "zz"})

    assert [line for line, _ in problems] == [1, 1]


def test_words_can_stand_in_for_the_text(tmp_path):
    """A classification source may be split into words already."""
    examples, _ = jsonl(tmp_path, {"tokens": ["so", "so"], "label": "flat"}, words="tokens")

    assert (examples[0].text, examples[0].words) == (None, ("so", "so"))


def test_tagged_rows_have_a_tag_for_each_word(tmp_path):
    """The text is taken along only where the words spell it."""
    words, tags = ["Fish", "swim"], ["N", "V"]
    examples, problems = jsonl(
        tmp_path,
        {"words": words, "tags": tags, "text": "Fish  swim"},
        {"words": words, "tags": tags, "text": "other"},
        {"words": words, "tags": tags},
        head=TAGS,
    )

    assert problems == []
    assert [example.target for example in examples] == [("N", "V")] * 3
    assert [(example.text, example.spans) for example in examples] == [
        ("Fish  swim", ((0, 4), (6, 10))),
        (None, None),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"words": ["a"], "tags": ["N", "V"]}, "has 1 words but 2 tags"),
        ({"words": ["a", ""], "tags": ["N", "V"]}, 'item 1 of field "words"'),
        ({"words": [], "tags": []}, 'field "words" must be a list of texts'),
        ({"words": "a", "tags": ["N"]}, 'field "words" must be a list of texts'),
        ({"words": ["\udfff"], "tags": ["N"]}, "half of a surrogate pair"),
        ({"words": ["a"], "tags": ["M"]}, 'unknown label "M"'),
    ],
)
def test_bad_tagged_rows_are_named(tmp_path, row, message):
    """Words and tags are checked one by one."""
    examples, problems = jsonl(tmp_path, row, head=TAGS)

    assert examples == ()
    assert any(line == 1 and message in text for line, text in problems), problems


def test_span_rows_become_bio(tmp_path):
    """Tags of other schemes are converted."""
    row = {"words": ["New", "York", "Ann"], "tags": ["B-LOC", "E-LOC", "S-PER"]}

    assert jsonl(tmp_path, row, head=NAMES)[0][0].target == ("B-LOC", "I-LOC", "B-PER")


def test_csv_columns_are_named_by_the_header(tmp_path):
    """Quoted cells may hold commas and line ends; origins are the lines where rows start."""
    content = 'id,label,text\n1,sad,"a, b\nc"\n\n2,glad,"say ""hi"""\n'
    examples, problems = table(tmp_path, content)

    assert problems == []
    assert [(example.text, example.target) for example in examples] == [
        ("a, b\nc", "sad"),
        ('say "hi"', "glad"),
    ]
    assert [example.origin.rpartition(":")[2] for example in examples] == ["2", "5"]


def test_tsv_has_tabs(tmp_path):
    """The name of the file chooses the delimiter."""
    examples, _ = table(tmp_path, "text\tlabel\na, b\tsad\n", name="notes.tsv")

    assert examples[0].text == "a, b"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("txt,label\na,sad\n", [(1, 'has no column "text" (did you mean "txt"?)')]),
        ("a,b\nc,d\n", [(1, 'has no column "text"'), (1, 'has no column "label"')]),
        ("text,label\na\nb,sad\n", [(2, "has 1 columns, the header has 2")]),
        ("text,label\na,sad\n ,glad\n", [(3, 'field "text" is empty')]),
        ('text,label\n"a" b,sad\nc,zz\n', [(2, "is not valid CSV"), (3, 'unknown label "zz"')]),
        ('text,label\na,sad\n"b\nc\n', [(3, "is not valid CSV: unexpected end of data")]),
        ("", [(1, "has no examples")]),
    ],
)
def test_bad_csv_is_named_by_line(tmp_path, content, expected):
    """Every bad row is found, whatever came before it."""
    _, problems = table(tmp_path, content)

    assert [line for line, _ in problems] == [line for line, _ in expected]
    for (_, message), (_, part) in zip(problems, expected, strict=True):
        assert part in message


def test_lines_that_cannot_be_read_are_counted(tmp_path):
    """Problems behind them have their own lines."""
    (tmp_path / "notes.csv").write_bytes(b"text,label\naa,sad\n\xe9,sad\nbb,bad\n\0,sad\n,glad\n")
    problems = Problems()
    config = SourceConfig("notes", "mood", "csv", train=("notes.csv",))
    load_source(config, MOOD, tmp_path, problems)
    assert sorted(each.line for each in problems._found) == [3, 4, 5, 6]


def test_long_cells_and_cells_with_line_ends_are_texts(tmp_path):
    """Of any length that texts may have elsewhere; a CR within quotes is no end of a line."""
    text = "word " * 40_000
    examples, problems = table(tmp_path, f'text,label\n{text},glad\n"a\rb\nc",sad\n')
    assert problems == []
    assert [example.text for example in examples] == [text, "a\rb\nc"]


def test_csv_delimiter_and_quotes_can_be_chosen(tmp_path):
    """Other separators than the name of the file says, and cells that quotes say nothing about."""
    examples, problems = table(tmp_path, 'text;label\n"a; b";sad\n', delimiter=";")
    assert ([example.text for example in examples], problems) == (["a; b"], [])

    content = 'text\tlabel\n"Oh" she said\tsad\nthat "\tglad\n'
    examples, problems = table(tmp_path, content, name="notes.tsv", quotes=False)
    assert [example.text for example in examples] == ['"Oh" she said', 'that "']
    assert problems == []


@pytest.mark.parametrize(
    ("content", "line", "part"),
    [
        ("text,label,text\na,sad,b\n", 1, 'has more than one column "text"'),
        ("text,label\na\0b,sad\n", 2, "holds a NUL character"),
    ],
)
def test_doubtful_csv_is_refused(tmp_path, content, line, part):
    """Rather than read in one of two ways."""
    examples, problems = table(tmp_path, content)
    assert examples == ()
    assert (problems[0][0], part in problems[0][1]) == (line, True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(tmp_path, encoding):
    """Once, not for every line."""
    name = "notes.jsonl"
    (tmp_path / name).write_bytes('{"text": "a", "label": "sad"}\n'.encode(encoding))
    problems = Problems()
    source = SourceConfig("notes", "mood", "jsonl", train=(name,))
    load_source(source, MOOD, tmp_path, problems)
    assert len(problems) == (1 if encoding == "utf-16" else 2)
    assert "UTF-8" in problems._found[0].message
