"""Hub data sets are read by name, or from a directory, as files are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from polyhead_training.data import load_inputs
from polyhead_training.problems import InputError

HEADS = """\
name = "demo"
version = "1.0"
[[heads]]
name = "topic"
kind = "classification"
labels = ["World", "Sports"]
"""
ENTITIES = """\
[[heads]]
name = "entities"
kind = "spans"
labels = ["PER"]
"""
NEWS = """\
[[sources]]
name = "news"
head = "topic"
hub = "sets/news"
train = "train"
test = "test"
"""
NAMES = """\
[[sources]]
name = "names"
head = "entities"
hub = "sets/names"
words = "tokens"
tags = "ner_tags"
train = "train"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write_parquet(folder: Path, features: datasets.Features, **splits: list[dict]) -> None:
    """Write a data set as the hub keeps it: a parquet file for each split, types included."""
    for name, rows in splits.items():
        columns = {key: [row[key] for row in rows] for key in features}
        part = datasets.Dataset.from_dict(columns, features=features)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        part.to_parquet(folder / f"data/{name}-00000-of-00001.parquet")


def write_news(root: Path) -> None:
    names = datasets.ClassLabel(names=["World", "Sports"])
    rows = [{"text": f"news number {n}", "label": n % 2, "id": n} for n in range(6)]
    features = datasets.Features(
        text=datasets.Value("string"), label=names, id=datasets.Value("int64")
    )
    write_parquet(root / "sets/news", features, train=rows, test=rows[:2])


def write_names(root: Path) -> None:
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER"]))
    features = datasets.Features(tokens=datasets.List(datasets.Value("string")), ner_tags=tags)
    row = {"tokens": ["Ann", "Lee", "left"], "ner_tags": [1, 2, 0]}
    write_parquet(root / "sets/names", features, train=[row])


def load(root: Path, sources: str):
    config = root / "demo.toml"
    entities = ENTITIES if "entities" in sources else ""
    config.write_text(HEADS + entities + sources)
    return load_inputs(config, root)


def problems_of(root: Path, sources: str) -> list[tuple[str, int, str]]:
    """File, line and message of each problem."""
    with pytest.raises(InputError) as caught:
        load(root, sources)
    return [(Path(each.file).name, each.line, each.message) for each in caught.value.problems]


def test_class_numbers_become_their_names(tmp_path):
    """Splits are named where files would be; rows are counted from 1."""
    write_news(tmp_path)
    config, data = load(tmp_path, NEWS)

    assert config.sources[0].format == "hub"
    assert [example.target for example in data["news"].train] == ["World", "Sports"] * 3
    assert data["news"].train[1].origin == "sets/news[train]:2"
    assert [example.text for example in data["news"].test] == ["news number 0", "news number 1"]
    assert data["news"].dev == ()


def test_lists_of_class_numbers_become_tags(tmp_path):
    """Tokens and tags come from the fields that the config names."""
    write_news(tmp_path)
    write_names(tmp_path)
    _, data = load(tmp_path, NEWS + NAMES)

    assert data["names"].train[0].words == ("Ann", "Lee", "left")
    assert data["names"].train[0].target == ("B-PER", "I-PER", "O")


def test_plain_files_of_a_directory(tmp_path):
    """JSONL needs no types: labels are the words or whole numbers that stand there."""
    folder = tmp_path / "sets/news"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"text": "goal", "label": 1}) + "\n")
    _, data = load(tmp_path, NEWS + 'map = { "1" = "Sports" }\n')

    assert [example.target for example in data["news"].train] == ["Sports"]


def test_what_is_wrong_with_a_set_is_told_at_its_line_of_the_config(tmp_path):
    """A split, a field and a configuration that are not there, all in one error."""
    write_news(tmp_path)
    write_names(tmp_path)
    sources = (
        NEWS.replace('train = "train"', 'train = "trian"')
        + NAMES.replace('"tokens"', '"toks"')
        + NEWS.replace('"news"', '"more"', 1).replace("\ntrain", '\nhub_config = "en"\ntrain')
    )
    found = problems_of(tmp_path, sources)

    assert [line for _, line, _ in found] == [15, 23, 27]
    assert 'no split "trian" (did you mean "train"?)' in found[0][2]
    assert 'has no field "toks" (did you mean "tokens"?)' in found[1][2]
    assert "cannot be loaded (ValueError): BuilderConfig 'en' not found" in found[2][2]


def test_bad_rows_are_told_by_their_number(tmp_path):
    """Each row of each split is checked like a line of a file; -1 is the hub's missing label."""
    names = datasets.ClassLabel(names=["World", "Arts"])
    features = datasets.Features(text=datasets.Value("string"), label=names)
    rows = [
        {"text": "fine", "label": 0},
        {"text": "odd", "label": 1},
        {"text": " ", "label": 0},
        {"text": None, "label": 0},
        {"text": "none", "label": -1},
    ]
    write_parquet(tmp_path / "sets/news", features, train=rows, test=rows[:1])
    found = problems_of(tmp_path, NEWS)

    assert [(file, line) for file, line, _ in found] == [("news[train]", n) for n in (2, 3, 4, 5)]
    messages = [message for _, _, message in found]
    assert 'unknown label "Arts"' in messages[0]
    assert 'field "text" is empty' in messages[1]
    assert 'field "text" is null' in messages[2]
    assert 'unknown label "-1"' in messages[3]


def test_a_directory_without_data(tmp_path):
    """Told at the line that names it."""
    (tmp_path / "sets/news").mkdir(parents=True)
    ((file, line, message),) = problems_of(tmp_path, NEWS)

    assert (file, line) == ("demo.toml", 10)
    assert "cannot be loaded (EmptyDatasetError)" in message


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    ((_, line, message),) = problems_of(tmp_path, NEWS)

    assert line == 10
    assert 'pip install "polyhead-training[hub]"' in message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "is not on this machine, and HF_HUB_OFFLINE is set"),
        ({"HF_HUB_OFFLINE": "0"}, "cannot be reached (ConnectionError): to use a copy"),
    ],
)
def test_a_hub_that_cannot_be_reached(tmp_path, setting, message):
    """One line with the source's line in the config, and no long wait."""
    config = tmp_path / "demo.toml"
    config.write_text(HEADS + NEWS)
    result = subprocess.run(
        [sys.executable, "-m", "polyhead_training.cli", "check", config, "--data", tmp_path],
        env={
            **os.environ,
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HOME": str(tmp_path / "hf"),
            **setting,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f'{config}:10: hub data set "sets/news" '), result.stderr
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("hub =", 'format = "csv"\nhub =', 10, "format is for files, but hub names a data set"),
        ('hub = "sets/news"', 'format = "hub"', 10, "hub is missing"),
        ("hub =", "hub_confg = 3\nhub =", 10, 'did you mean "hub_config"?'),
        ('hub = "sets/news"', 'hub = ""', 10, "hub must be a text that is not empty"),
        (
            'hub = "sets/news"',
            'format = "jsonl"\nhub_revision = "main"',
            11,
            "hub_revision is for sources with hub only",
        ),
    ],
)
def test_keys_that_do_not_fit(tmp_path, old, new, line, part):
    """Told with the others of the config, before anything is fetched."""
    found = problems_of(tmp_path, NEWS.replace(old, new))

    assert any(at == line and part in message for _, at, message in found), found
