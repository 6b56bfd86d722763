"""What polyhead-train check prints, and that fit warns of the same."""

import json
import subprocess
import sys

import pytest
from toy_data import toy_config

from polyhead_training.cli import main

CONFIG = """\
name = "demo"
version = "1.0"
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "[b]", "glad"]
[[heads]]
name = "names"
kind = "spans"
labels = ["PER"]
[[sources]]
name = "notes"
head = "mood"
format = "csv"
train = "train.csv"
dev = "dev.csv"
[[sources]]
name = "people"
head = "names"
format = "conll"
train = "people.conll"
"""


@pytest.fixture
def demo(tmp_path):
    """A config and its data: a label that never comes, and a text that is trained and measured."""
    (tmp_path / "train.csv").write_text("text,label\nI loved [it] so,glad\nIt was bad,sad\n")
    (tmp_path / "dev.csv").write_text("text,label\nno good,sad\nI loved [it] so,glad\n")
    (tmp_path / "people.conll").write_text("Ann\tB-PER\nleft\tO\n\n")
    config = tmp_path / "demo.toml"
    config.write_text(CONFIG)
    return config


def told(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([str(item) for item in arguments]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def cells(printed: str, first: str) -> list[str]:
    """The cells of the first row that begins so."""
    row = next(line for line in printed.splitlines() if line.startswith(f"│ {first}"))
    return [cell.strip() for cell in row.strip("│").split("│")]


def test_tables_of_sources_labels_and_overlaps(capsys, demo):
    """Counts and shares by part, warnings, places of the texts, and no text."""
    printed = told(capsys, "check", demo, "--data", demo.parent)

    assert cells(printed, "notes")[:4] == ["notes", "mood", "2", "2"]
    assert cells(printed, "people")[:4] == ["people", "names", "1", ""]
    labels = printed.partition("Labels")[2]
    assert cells(labels, "notes")[:7] == ["notes", "sad", "texts", "1", "50.0", "1", "50.0"]
    assert "[b]" in labels
    assert cells(labels, "people")[:5] == ["people", "PER", "spans", "1", "100.0"]
    overlaps = printed.partition("measured data too")[2]
    assert cells(overlaps, "notes")[:4] == ["notes", "notes", "dev", "1"]
    folder = demo.parent
    assert f"{folder}/train.csv:2 is like {folder}/dev.csv:3\n" in printed
    assert 'warning: head "mood": label "[b]" is in no training example\n' in printed
    assert printed.endswith("no errors, 1 warnings, 1 overlaps of training with measured data\n")
    assert "loved" not in printed


def test_texts_are_printed_when_asked_for(capsys, demo):
    """Below their places."""
    printed = told(capsys, "check", demo, "--data", demo.parent, "--show-text")

    assert printed.count("    'I loved [it] so'\n") == 2


def test_json_has_all_of_it(capsys, demo):
    """One object."""
    content = json.loads(told(capsys, "check", demo, "--data", demo.parent, "--json"))
    notes, people = content["sources"]

    assert content["config"] == "demo"
    assert notes["parts"]["train"]["labels"] == {"sad": 1, "[b]": 0, "glad": 1}
    assert notes["unseen"] == ["[b]"]
    assert people["parts"]["train"]["outside"] == 1
    assert content["leakage"] == [
        {
            "source": "notes",
            "of": "notes",
            "part": "dev",
            "exact": 1,
            "folded": 0,
            "overlap": 0,
            "short": 0,
            "examples": [
                {
                    "train": f"{demo.parent}/train.csv:2",
                    "measured": f"{demo.parent}/dev.csv:3",
                }
            ],
        }
    ]
    assert content["warnings"] == ['head "mood": label "[b]" is in no training example']


def test_json_has_texts_when_asked_for(capsys, demo):
    """Both of them."""
    printed = told(capsys, "check", demo, "--data", demo.parent, "--json", "--show-text")

    (leak,) = json.loads(printed)["leakage"]
    assert leak["examples"][0]["texts"] == ["I loved [it] so"] * 2


def test_clean_data_say_so(capsys, demo):
    """No empty table."""
    (demo.parent / "dev.csv").write_text("text,label\nno good,sad\n")
    printed = told(capsys, "check", demo, "--data", demo.parent)

    assert "no training example is in dev or test data too\n" in printed
    assert "measured data too" not in printed.partition("Labels")[2]


def test_dropped_examples_are_counted(capsys, demo):
    """And no longer trained on."""
    demo.write_text(CONFIG.replace("[[heads]]", '[data]\nleakage = "drop"\n[[heads]]', 1))
    printed = told(capsys, "check", demo, "--data", demo.parent)

    assert cells(printed, "notes")[:6] == ["notes", "mood", "1", "2", "", "1"]


def test_many_labels_are_cut_in_the_table_only(capsys, demo):
    """The JSON has them all."""
    labels = [f"label-{n}" for n in range(60)]
    text = CONFIG.replace('["sad", "[b]", "glad"]', json.dumps(["sad", "glad", *labels]))
    demo.write_text(text)
    printed = told(capsys, "check", demo, "--data", demo.parent)
    content = json.loads(told(capsys, "check", demo, "--data", demo.parent, "--json"))

    assert "... and 22 more" in printed
    assert len(content["sources"][0]["parts"]["train"]["labels"]) == 62


def test_check_needs_no_torch(demo):
    """It is quick."""
    code = (
        "import sys; from polyhead_training.cli import main;"
        f"main(['check', {str(demo)!r}, '--data', {str(demo.parent)!r}]);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_fit_warns_and_augments(capsys, toy_data, tiny_encoder, tmp_path):
    """All new changes run through a real training, which says what training and dev share."""
    heads = toy_config().partition("[[heads]]")[2].split("[[heads]]")
    config = tmp_path / "config.toml"
    (tmp_path / "like.tsv").write_text("room\tsalon\nfilm\tmovie\n")
    sources = f"""
[augmentation]
synonyms = "{tmp_path}/like.tsv"
[[sources]]
name = "poles"
head = "mood"
format = "jsonl"
train = "poles/train.jsonl"
dev = "poles/train.jsonl"
among = ["bad", "good"]
augment = {{ synonym = 0.5, drop = 0.2, mask = 0.2, punctuation = 0.5 }}
[[sources]]
name = "visits"
head = "names"
format = "conll"
train = "names/train.conll"
map = {{ LOC = "" }}
among = ["PER"]
augment = {{ synonym = 0.5, mask = 0.2, join = 0.3 }}
[[sources]]
name = "trees"
head = "tags"
format = "conllu"
train = "tags/train.conllu"
dev = "tags/dev.conllu"
augment = {{ lemma = 1, mask = 0.1 }}
max_examples = 20
"""
    config.write_text(toy_config("[[heads]]" + "[[heads]]".join(heads[:3]), sources, validations=1))
    out = tmp_path / "bundle"
    arguments = ["fit", config, "--data", toy_data, "--out", out, "--encoder", tiny_encoder]
    printed = told(capsys, *arguments)

    assert "warning: 40 training examples of poles are in the dev part of poles too" in printed
    assert f"serve it: polyhead-server serve --bundle {out}" in printed
