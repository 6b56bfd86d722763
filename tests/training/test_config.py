"""A config is read whole or refused with every problem at its line."""

from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import pytest

from polyhead_training.config import Config, EncoderConfig, TrainingConfig, load_config
from polyhead_training.problems import InputError

MINIMAL = """\
name = "demo"
version = "1.0"
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "glad"]
[[sources]]
name = "notes"
head = "mood"
format = "jsonl"
train = "notes.jsonl"
"""

FULL = """\
name = "polyhead-en"
version = "2026.11.0"
language = "en-GB"
seed = 7
[encoder]
model = "some/model"
max_tokens = 128
overlap = 32
shape_embedding = false
dropout = 0.2
[training]
batch_tokens = 512
learning_rate = 1e-4
schedule = "cosine"
patience = 0
[export]
precision = "fp32"
[[heads]]
name = "entities"
kind = "spans"
labels = ["PER", "LOC", "ORG"]
hidden = 64
export = false
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "flat", "glad"]
pooling = "max"
[[sources]]
name = "news"
head = "entities"
format = "conll"
train = ["a.conll", "b.conll.gz"]
test = "c.conll"
column = 3
map = { person = "PER", thing = "" }
among = ["ORG", "PER"]
augment = { lower = 0.1, join = 0.3 }
select = false
[[sources]]
name = "notes"
head = "mood"
format = "csv"
train = "notes.csv"
metric = "macro_recall"
licence = "CC0-1.0"
"""


def write(folder: Path, text: str) -> Path:
    """Write a config file."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(folder: Path, text: str) -> list[tuple[int, str]]:
    """Line and message of each problem of a config."""
    with pytest.raises(InputError) as caught:
        load_config(write(folder, text))
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_a_minimal_config_takes_the_documented_defaults(tmp_path):
    """What is not written has the default of its dataclass."""
    config = load_config(write(tmp_path, MINIMAL))

    assert (config.encoder, config.training) == (EncoderConfig(), TrainingConfig())
    assert (config.language, config.seed) == ("en", 0)
    source = config.sources[0]
    assert source.train == ("notes.jsonl",)
    assert source.among == ("sad", "glad")
    assert (source.metric, source.column, source.words) == ("accuracy", "", "")


def test_every_key_reaches_its_field(tmp_path):
    """Values are taken as written, and among is put in the head's order."""
    config = load_config(write(tmp_path, FULL))

    assert config.encoder == EncoderConfig(
        "some/model", 128, 32, shape_embedding=False, dropout=0.2
    )
    assert config.training == replace(
        TrainingConfig(), batch_tokens=512, learning_rate=1e-4, schedule="cosine", patience=0
    )
    assert config.export.precision == "fp32"
    assert config.head("entities").hidden == 64
    assert not config.head("entities").export
    assert config.head("mood").pooling == "max"
    news, notes = config.sources
    assert news.train == ("a.conll", "b.conll.gz")
    assert news.test == ("c.conll",)
    assert (news.column, news.metric, news.select) == (3, "entity_f1", False)
    assert news.map == {"person": "PER", "thing": ""}
    assert news.among == ("PER", "ORG")
    assert (news.augment.lower, news.augment.join) == (0.1, 0.3)
    assert (notes.metric, notes.licence) == ("macro_recall", "CC0-1.0")


def test_a_config_can_be_written_down_again(tmp_path):
    """The dataclasses turn into plain values, as the bundle's provenance needs them."""
    plain = asdict(load_config(write(tmp_path, FULL)))

    assert plain["sources"][0]["map"] == {"person": "PER", "thing": ""}


def test_all_problems_are_reported_at_once(tmp_path):
    """Errors in different tables are found in one reading, each at its own line."""
    text = MINIMAL.replace('"1.0"', "1.0").replace('"glad"', '"sad"')
    text += 'passes = 0\nlabels = ["x"]\n[encoder]\ndropout = 2\n'

    assert [line for line, _ in problems_of(tmp_path, text)] == [2, 6, 12, 13, 15]


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ('name = "demo"', 'name = "De mo"', 1, "name must be 1 to 64 of"),
        ('version = "1.0"', 'versoin = "1.0"', 2, 'did you mean "version"?'),
        ('version = "1.0"', 'version = ""', 2, "version must be"),
        ('version = "1.0"', 'version = "1"\nseed = true', 3, "seed must be a whole number"),
        ('version = "1.0"', 'version = "1"\nlanguage = "English!"', 3, "language must be"),
        ('kind = "classification"', 'kind = "classifier"', 5, "kind must be"),
        ('kind = "classification"', 'kind = "spans"\npooling = "max"', 6, "pooling is for"),
        ('["sad", "glad"]', '["sad"]', 6, "labels must be at least two"),
        ('["sad", "glad"]', '["sad", "gl\\nad"]', 6, "a label holds characters that cannot"),
        ('["sad", "glad"]', '["sad", ""]', 6, "labels must hold texts only"),
        ('["sad", "glad"]', '["sad",\n"sad"]', 7, 'labels names "sad" twice'),
        ('["sad", "glad"]', '"sad"', 6, "labels must be a list"),
        ('["sad", "glad"]', '["sad", "glad"]\nhidden = -1', 7, "hidden must be"),
        ('["sad", "glad"]', '["sad", "glad"]\nweight = nan', 7, "weight must be a number"),
        ('["sad", "glad"]', '["sad", "glad"]\nexport = 1', 7, "export must be true or false"),
        ('head = "mood"', 'head = "mod"', 9, 'did you mean "mood"?'),
        ('format = "jsonl"', 'format = "json"', 10, 'did you mean "jsonl"?'),
        ('format = "jsonl"', 'format = "conllu"', 10, "format of a source for a classification"),
        ('"notes.jsonl"', '["notes.jsonl", 3]', 11, "train must hold texts only, not 3"),
        ('"notes.jsonl"', '"n"\nmetric = "entity_f1"', 12, "metric of a classification head"),
        ('"notes.jsonl"', '"n"\ncolumn = 2', 12, "column is for conllu and conll"),
        ('"notes.jsonl"', '"n"\naugment = { join = 0.1 }', 12, "join is for sources of words"),
        ('"notes.jsonl"', '"n"\naugment = { lower = 0.6, upper = 0.6 }', 12, "at most 1 together"),
        ('"notes.jsonl"', '"n"\nmap = { a = "gald" }', 12, 'did you mean "glad"?'),
        ('"notes.jsonl"', '"n"\nmap = { a = 3 }', 12, "map.a must be a text"),
        ('"notes.jsonl"', '"n"\nmap = 3', 12, "map must be a table of texts"),
        ('"notes.jsonl"', '"n"\namong = ["sad",\n"gald"]', 13, 'did you mean "glad"?'),
        ('"notes.jsonl"', '"n"\nmap = { a = "sad" }\namong = ["glad"]', 12, "not in among"),
        ('"notes.jsonl"', '"n"\n[training]\nbatch_tokens = 100', 13, "one window of max_tokens"),
        ('"notes.jsonl"', '"n"\n[training]\nschedule = 3', 13, "schedule must be"),
        ('"notes.jsonl"', '"n"\n[encoder]\noverlap = 200', 13, "at most half of max_tokens"),
        ('"notes.jsonl"', '"n"\n[encoder]\nmax_tokens = 32', 13, "at most half of max_tokens"),
        ('"notes.jsonl"', '"n"\n[export]\nprecision = "int4"', 13, 'did you mean "int8"?'),
    ],
)
def test_each_mistake_is_named_at_its_line(tmp_path, old, new, line, part):
    """One mistake gives its message, with the nearest right value where there is one."""
    found = problems_of(tmp_path, MINIMAL.replace(old, new, 1))

    assert any(at == line and part in message for at, message in found), found


def test_a_head_needs_a_source_with_training_files(tmp_path):
    """A head that nothing trains is refused at the head, a source without files at the source."""
    found = problems_of(tmp_path, MINIMAL.replace('train = "notes.jsonl"', ""))

    assert found == [
        (4, 'head "mood" has no source with training files'),
        (7, "train is missing in [sources]: the source has no files"),
    ]


@pytest.mark.parametrize(("table", "line"), [("heads", 13), ("sources", 13)])
def test_names_are_unique(tmp_path, table, line):
    """A second head or source of one name is refused at its name."""
    start = MINIMAL.index(f"[[{table}]]")
    end = MINIMAL.find("\n[[", start)
    entry = MINIMAL[start:] if end < 0 else MINIMAL[start : end + 1]
    found = problems_of(tmp_path, MINIMAL + entry)

    assert [at for at, message in found if "exists already" in message] == [line]


def test_missing_parts_are_named(tmp_path):
    """An empty config names everything it must have."""
    found = problems_of(tmp_path, "")

    missing = {message.split()[0] for _, message in found}
    assert missing == {"name", "version", "heads", "sources"}


def test_words_of_a_tagging_head_cannot_be_dropped(tmp_path):
    """A map to nothing is for texts and spans: a word needs some tag."""
    text = MINIMAL.replace("classification", "tagging") + 'map = { a = "" }\n'

    assert problems_of(tmp_path, text) == [(12, 'map drops "a", but every word needs a tag')]


def test_o_is_no_span_label(tmp_path):
    """The label outside all spans is implied."""
    text = MINIMAL.replace("classification", "spans").replace('"glad"', '"O"')

    assert problems_of(tmp_path, text)[0][0] == 6


@pytest.mark.parametrize(
    ("text", "line"),
    [('name = "a"\nversion = \n', 2), ('a = 1\n\nb = "open\n', 3), ("a = 1\na = 2\n", 2)],
)
def test_a_syntax_error_gives_its_line(tmp_path, text, line):
    """What is not TOML is refused where TOML breaks."""
    found = problems_of(tmp_path, text)

    assert [at for at, _ in found] == [line]
    assert "is not valid TOML" in found[0][1]


def test_bytes_that_are_no_text_give_their_line(tmp_path):
    """Bad UTF-8 is found by line."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'name = "a"\nversion = "\xff"\n')

    with pytest.raises(InputError, match=r"config\.toml:2: is not valid UTF-8"):
        load_config(path)


def test_a_missing_config_is_an_input_error(tmp_path):
    """The path that cannot be read is named."""
    with pytest.raises(InputError, match=r"none\.toml:1: cannot be read: No such file"):
        load_config(tmp_path / "none.toml")


def test_head_raises_for_an_unknown_name(tmp_path):
    """Asking a config for a head that it lacks is a KeyError."""
    config: Config = load_config(write(tmp_path, MINIMAL))

    with pytest.raises(KeyError):
        config.head("taste")


def test_the_recipes_are_sound():
    """Every recipe that comes with the package is read without a problem."""
    recipes = sorted(resources.files("polyhead_training").joinpath("recipes").glob("*.toml"))
    assert len(recipes) == 10
    for recipe in recipes:
        assert load_config(recipe).heads
