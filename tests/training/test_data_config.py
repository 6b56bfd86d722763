"""Keys of the config that say how data are read are checked before any file is."""

import pytest

from polyhead_training.config import load_config
from polyhead_training.problems import InputError

CONFIG = """\
name = "demo"
version = "1.0"
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "glad"]
[[sources]]
name = "notes"
head = "mood"
format = "csv"
train = "notes.csv"
"""


def test_keys_of_csv_reach_the_source(tmp_path):
    """And the defaults follow the name of the file."""
    file = tmp_path / "demo.toml"
    file.write_text(CONFIG)
    assert (load_config(file).sources[0].delimiter, load_config(file).sources[0].quotes) == (
        "",
        True,
    )
    file.write_text(CONFIG + 'delimiter = "|"\nquotes = false\n')
    assert (load_config(file).sources[0].delimiter, load_config(file).sources[0].quotes) == (
        "|",
        False,
    )


def test_the_data_and_augmentation_tables(tmp_path):
    """Files may stand alone or in a list; what is not written has its default."""
    file = tmp_path / "demo.toml"
    file.write_text(CONFIG)
    config = load_config(file)
    assert config.data.leakage == "warn"
    assert (config.augmentation.synonyms, config.augmentation.forms) == ((), ())
    file.write_text(
        '[data]\nleakage = "drop"\n[augmentation]\nsynonyms = "a.tsv"\nforms = ["b", "c"]\n'.join(
            CONFIG.partition("[[heads]]")[::2]
        ).replace('"c"]\n', '"c"]\n[[heads]]')
    )
    config = load_config(file)
    assert config.data.leakage == "drop"
    assert config.augmentation.synonyms == ("a.tsv",)
    assert config.augmentation.forms == ("b", "c")
    assert config.augmentation.lines == {"a.tsv": 6, "b": 7, "c": 7}


@pytest.mark.parametrize(
    ("new", "part"),
    [
        ('delimiter = ";;"', "delimiter must be one character other than a quote"),
        ("delimiter = 3", "delimiter must be one character other than a quote"),
        ("delimiter = '\"'", "delimiter must be one character other than a quote"),
        ('quotes = "no"', "quotes must be true or false"),
        ('hub_config = "en"', "hub_config is for sources with hub only"),
        ('hub = "a/b"', "format is for files, but hub names a data set"),
    ],
)
def test_values_that_cannot_be(tmp_path, new, part):
    """Each at its line."""
    file = tmp_path / "demo.toml"
    file.write_text(CONFIG + new + "\n")
    with pytest.raises(InputError) as caught:
        load_config(file)
    (problem,) = caught.value.problems
    assert part in problem.message
    assert problem.line == (10 if new.startswith("hub =") else 12)


@pytest.mark.parametrize("key", ['delimiter = ";"', "quotes = false"])
def test_keys_of_csv_are_for_csv(tmp_path, key):
    """Elsewhere they would do nothing, without a word."""
    file = tmp_path / "demo.toml"
    file.write_text(CONFIG.replace('"csv"', '"jsonl"') + key + "\n")
    with pytest.raises(InputError, match=r":12: (delimiter|quotes) is for csv, not jsonl"):
        load_config(file)
