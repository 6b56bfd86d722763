"""Sources load whole, and all problems of config and data come in one error."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from polyhead_training.config import HeadConfig, SourceConfig, load_config
from polyhead_training.data import SourceData, load_all, load_inputs, load_source
from polyhead_training.problems import SHOWN_PER_FILE, InputError, Problem, Problems, did_you_mean

CONFIG = """\
name = "demo"
version = "1.0"
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "glad"]
[[heads]]
name = "entities"
kind = "spans"
labels = ["PER"]
[[sources]]
name = "notes"
head = "mood"
format = "jsonl"
train = "notes.jsonl"
[[sources]]
name = "news"
head = "entities"
format = "conll"
train = ["news.conll",
  "more.conll"]
"""
MOOD = HeadConfig("mood", "classification", ("sad", "glad"))
NOTES = SourceConfig("notes", "mood", "jsonl", train=("notes.jsonl",))


def prepare(folder: Path, config: str = CONFIG) -> Path:
    """Write the config and its data files, all of them sound."""
    (folder / "notes.jsonl").write_text('{"text": "fine", "label": "glad"}\n')
    (folder / "news.conll").write_text("Ann\tB-PER\n\n")
    (folder / "more.conll").write_text("Bob\tB-PER\n")
    path = folder / "demo.toml"
    path.write_text(config)
    return path


def load_notes(folder: Path, source: SourceConfig = NOTES, *, seed: int = 0) -> SourceData:
    """Load the notes, or raise their problems."""
    problems = Problems()
    data = load_source(source, MOOD, folder, problems, seed=seed)
    problems.raise_if_any()
    return data


def write_numbers(folder: Path, count: int) -> None:
    """Write notes that differ by their number."""
    rows = (f'{{"text": "note {number}", "label": "sad"}}\n' for number in range(count))
    (folder / "notes.jsonl").write_text("".join(rows))


def test_every_source_is_loaded_by_name(tmp_path):
    """Files of a part follow each other; a part without files is empty."""
    data = load_all(load_config(prepare(tmp_path)), tmp_path)

    assert list(data) == ["notes", "news"]
    assert [example.words for example in data["news"].train] == [("Ann",), ("Bob",)]
    assert data["notes"].dev == data["notes"].test == ()
    assert data["notes"].train[0].origin == f"{tmp_path / 'notes.jsonl'}:1"


def test_problems_of_config_and_data_come_together(tmp_path):
    """One error carries a bad value, a missing file and a bad row, each at its place."""
    path = prepare(tmp_path, CONFIG + "passes = 0\n")
    (tmp_path / "notes.jsonl").write_text('{"text": "x", "label": "gald"}\n{\n')
    (tmp_path / "more.conll").unlink()

    with pytest.raises(InputError) as caught:
        load_inputs(path, tmp_path)

    found = [(Path(each.file).name, each.line) for each in caught.value.problems]
    assert found == [("demo.toml", 21), ("demo.toml", 22), ("notes.jsonl", 1), ("notes.jsonl", 2)]
    assert 'did you mean "glad"?' in str(caught.value)


def test_a_broken_source_hides_no_other(tmp_path):
    """A source that cannot be read is left out, and the rest is still checked."""
    path = prepare(tmp_path, CONFIG.replace('format = "jsonl"', 'format = "parquet"'))
    (tmp_path / "news.conll").write_text("Ann\tPER\n")

    with pytest.raises(InputError) as caught:
        load_inputs(path, tmp_path)

    found = [(Path(each.file).name, each.line) for each in caught.value.problems]
    assert found == [("demo.toml", 14), ("news.conll", 1)]


def test_load_inputs_gives_config_and_data(tmp_path):
    """Without problems both are returned."""
    path = prepare(tmp_path)
    config, data = load_inputs(path, tmp_path)

    assert config == load_config(path)
    assert data == load_all(config, tmp_path)


def test_gzip_is_read_like_plain_text(tmp_path):
    """A .gz name is unpacked while reading."""
    text = '{"text": "fine", "label": "glad"}\n'
    (tmp_path / "notes.jsonl.gz").write_bytes(gzip.compress(text.encode()))

    data = load_notes(tmp_path, replace(NOTES, train=("notes.jsonl.gz",)))

    assert data.train[0].text == "fine"


@pytest.mark.parametrize("damage", [lambda raw: raw[:-12], lambda _: b"plain text"])
def test_damaged_gzip_is_a_problem_of_the_file(tmp_path, damage):
    """A file cut short, or not gzip at all, is reported and not half used."""
    raw = gzip.compress(b'{"text": "fine", "label": "glad"}\n' * 50)
    (tmp_path / "notes.jsonl.gz").write_bytes(damage(raw))

    with pytest.raises(InputError, match="is not a whole gzip file"):
        load_notes(tmp_path, replace(NOTES, train=("notes.jsonl.gz",)))


def test_bad_utf8_is_reported_by_line(tmp_path):
    """Each line that is no UTF-8 is named, and reading goes on."""
    row = b'{"text": "fine", "label": "glad"}\n'
    (tmp_path / "notes.jsonl").write_bytes(row + b'{"text": "\xff"}\n' + row + b"\xfe\n")

    with pytest.raises(InputError) as caught:
        load_notes(tmp_path)

    assert [(each.line, each.message) for each in caught.value.problems] == [
        (2, "is not valid UTF-8 at byte 11 of the line"),
        (4, "is not valid UTF-8 at byte 1 of the line"),
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path):
    """Files saved on Windows read the same."""
    raw = '\ufeff{"text": "fine", "label": "glad"}\r\n\r\n'.encode()
    (tmp_path / "notes.jsonl").write_bytes(raw)

    assert [example.text for example in load_notes(tmp_path).train] == ["fine"]


def test_a_file_without_examples_is_a_problem(tmp_path):
    """An empty file would train nothing without a word."""
    (tmp_path / "notes.jsonl").write_text("\n")

    with pytest.raises(InputError, match=r"notes\.jsonl:1: has no examples"):
        load_notes(tmp_path)


def test_a_directory_is_no_data_file(tmp_path):
    """What cannot be opened is a problem of the config that names it."""
    (tmp_path / "notes.jsonl").mkdir()

    with pytest.raises(InputError, match=r"here\.toml:9: .*cannot be read: Is a directory"):
        load_notes(tmp_path, replace(NOTES, config="here.toml", lines={"notes.jsonl": 9}))


def test_max_examples_is_a_seeded_choice_in_file_order(tmp_path):
    """The seed alone decides which examples stay, and they stay in order."""
    write_numbers(tmp_path, 200)
    source = replace(NOTES, max_examples=20)

    first, again = (load_notes(tmp_path, source, seed=1).train for _ in range(2))
    other = load_notes(tmp_path, source, seed=2).train

    assert first == again
    assert first != other
    lines = [int(example.origin.rpartition(":")[2]) for example in first]
    assert lines == sorted(lines)
    assert len(lines) == 20
    assert lines != list(range(1, 21))


def test_held_out_examples_leave_the_training_set(tmp_path):
    """The parts share no example, and together are the file."""
    write_numbers(tmp_path, 30)

    data = load_notes(tmp_path, replace(NOTES, hold_out=10))

    assert (len(data.train), len(data.dev)) == (20, 10)
    assert {*data.train}.isdisjoint(data.dev)


def test_an_error_prints_its_problems_sorted_and_capped():
    """Each file shows a limited number of lines and counts the rest; none is lost."""
    found = [Problem("b.conll", line, "bad") for line in range(SHOWN_PER_FILE + 7, 0, -1)]
    error = InputError([*found, Problem("a.toml", 3, "worse"), Problem("a.toml", 3, "worse")])

    lines = str(error).splitlines()
    assert lines[:3] == ["a.toml:3: worse", "b.conll:1: bad", "b.conll:2: bad"]
    assert lines[-1] == "b.conll: ... and 7 more"
    assert len(lines) == SHOWN_PER_FILE + 2
    assert len(error.problems) == SHOWN_PER_FILE + 8


def test_no_problems_raise_nothing():
    """An empty collection lets work start."""
    Problems().raise_if_any()


def test_suggestions_are_near_words_only():
    """A far word gets no suggestion."""
    assert did_you_mean("postive", ["negative", "positive"]) == ' (did you mean "positive"?)'
    assert not did_you_mean("zebra", ["negative", "positive"])
