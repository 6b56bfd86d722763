"""Training examples that are in measured data are found, counted, dropped or refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from polyhead_training.config import load_config
from polyhead_training.data import Example, SourceData, load_all, load_inputs
from polyhead_training.leakage import (
    count_leaks,
    find_leaks,
    leak_warnings,
    surface,
    without_leaks,
)
from polyhead_training.problems import InputError

SENTENCE = "The old train was slow but it came on time and nobody complained about the heating"
CONFIG = """\
name = "demo"
version = "1.0"
[data]
leakage = "{leakage}"
[[heads]]
name = "mood"
kind = "classification"
labels = ["sad", "glad"]
[[sources]]
name = "notes"
head = "mood"
format = "csv"
train = "train.csv"
test = "test.csv"
"""


def example(text: str | tuple[str, ...]) -> Example:
    if isinstance(text, str):
        return Example(f"file:{len(text)}", text, None, "glad", None, "file")
    return Example("file:1", None, text, ("X",) * len(text), None, "file")


def source(train=(), dev=(), test=()) -> SourceData:
    return SourceData(*(tuple(map(example, part)) for part in (train, dev, test)))


def kinds(train: str | tuple[str, ...], measured: str | tuple[str, ...]) -> list[str]:
    """Kinds of the leaks between one training and one measured text."""
    data = {"a": source(train=[train]), "b": source(test=[measured])}
    return [leak.kind for leak in find_leaks(data)]


@pytest.mark.parametrize(
    ("train", "measured", "wanted"),
    [
        (SENTENCE, SENTENCE, ["exact"]),
        ("I loved this film", "I loved this film", ["exact"]),
        ("I loved this film!", "i LOVED  this film", ["folded"]),
        ("It's a café, isn't it", "it 's a cafe\u0301 , is n't it", ["folded"]),
        (("I", "do", "n't", "care", "."), "I don't care.", ["folded"]),
        (SENTENCE, SENTENCE + " in the last of the three cars", ["overlap"]),
        (SENTENCE.replace("slow", "fast"), SENTENCE, ["overlap"]),
        (SENTENCE, "The old train was slow , and the new one is not much better these days", []),
        ("I loved this film", "I loved that film", []),
        ("Thank you!", "thank you", ["short"]),
        ("Congratulations!", "congratulations", ["folded"]),
        ("!!!", "!!!", ["short"]),
        ("!!!", "???", []),
    ],
)
def test_kinds_of_likeness(train, measured, wanted):
    """Case, blanks, marks and ways of writing a letter fold away; long texts may differ a bit."""
    assert kinds(train, measured) == wanted
    assert kinds(measured, train) == wanted


def test_sources_of_all_heads_are_compared():
    """The encoder is shared; a part counts once for a training example, by its strongest kind."""
    data = {
        "a": source(train=["Some text here", SENTENCE], dev=["some text here", "Some text here"]),
        "b": source(train=["no such text"], test=["Some Text Here"]),
    }
    found = [(leak.source, leak.index, leak.of, leak.part, leak.kind) for leak in find_leaks(data)]

    assert found == [("a", 0, "a", "dev", "exact"), ("a", 0, "b", "test", "folded")]


def test_the_first_like_text_is_named():
    """Also where several are like it in part."""
    other = SENTENCE + " of it"
    data = {"a": source(train=[SENTENCE], test=["unlike", other, other, other])}

    assert [leak.other for leak in find_leaks(data)] == [1]


def test_training_alike_with_itself_is_no_leak():
    """Only measured parts are compared."""
    assert find_leaks({"a": source(train=[SENTENCE] * 3)}) == []


def test_set_phrases_are_no_leak():
    """A run of words that very many measured texts have says nothing of any of them."""
    phrase = "to see more of this go to our page"
    data = {"a": source(train=[f"{phrase} red"], test=[f"{phrase} {n} blue" for n in range(60)])}

    assert find_leaks(data) == []


def test_counts_come_most_first_with_examples():
    """Short ones are counted, but neither shown nor warned about."""
    texts = [f"this is note number {n}" for n in range(6)]
    data = {
        "a": source(train=[*texts, "ok"], dev=["ok", texts[0]], test=texts),
        "b": source(train=["ok"], dev=["ok"]),
    }
    first, second, *rest = count_leaks(find_leaks(data), data, shown=2)

    assert (first.source, first.of, first.part, first.total) == ("a", "a", "test", 6)
    assert [surface(trained) for trained, _ in first.examples] == texts[:2]
    assert (second.part, second.counts) == (
        "dev",
        {"exact": 1, "folded": 0, "overlap": 0, "short": 1},
    )
    assert [count.total for count in rest] == [0, 0, 0]
    assert [count.examples for count in rest] == [(), (), ()]


def test_dropping_leaves_the_other_examples_in_order():
    """Short ones stay, and the number of those that go is noted."""
    data = {
        "a": source(train=["one two three", "ok", "four five six"], test=["One two three", "ok"])
    }
    kept = without_leaks(data, find_leaks(data))["a"]

    assert [surface(each) for each in kept.train] == ["ok", "four five six"]
    assert kept.dropped == 1
    assert kept.test == data["a"].test


def test_every_planted_copy_is_found_among_many():
    """Among thousands of random texts, exactly those that were planted."""
    rng = random.Random(0)
    words = [f"word{n}" for n in range(3000)]
    texts = [" ".join(rng.choices(words, k=rng.randint(5, 40))) for _ in range(4000)]
    planted = rng.sample(range(3000), 40)
    test = [*texts[3000:], *(texts[at].upper() + " !" for at in planted)]
    data = {"a": source(train=texts[:3000], test=test)}

    assert [leak.index for leak in find_leaks(data)] == sorted(planted)


def write(folder: Path, leakage: str, *, all_leak: bool = False) -> Path:
    rows = ["I loved this film,glad"] + ([] if all_leak else ["it was no good,sad"])
    (folder / "train.csv").write_text("\n".join(["text,label", *rows]))
    (folder / "test.csv").write_text("text,label\nI loved this film!,glad\n")
    path = folder / "demo.toml"
    path.write_text(CONFIG.format(leakage=leakage))
    return path


def test_warn_keeps_all_and_says_so(tmp_path):
    """The default."""
    config, data = load_inputs(write(tmp_path, "warn"), tmp_path)

    assert len(data["notes"].train) == 2
    assert leak_warnings(config, data) == [
        "1 training examples of notes are in the test part of notes too (1 folded)"
    ]


def test_many_warnings_are_cut(tmp_path):
    """A run is not preceded by pages of them."""
    config, _ = load_inputs(write(tmp_path, "warn"), tmp_path)
    part = ["one of the texts"]
    data = {f"s{n}": source(train=part, test=part) for n in range(4)}
    lines = leak_warnings(config, data)

    assert len(lines) == 9
    assert lines[-1] == "8 more such overlaps: polyhead-train check shows them all"


def test_drop_leaves_them_out_wherever_data_are_loaded(tmp_path):
    """The number is told."""
    path = write(tmp_path, "drop")
    config, data = load_inputs(path, tmp_path)

    assert [each.text for each in data["notes"].train] == ["it was no good"]
    assert load_all(config, tmp_path) == data
    assert leak_warnings(config, data) == [
        "1 training examples of notes are left out: measured data have them"
    ]
    assert load_all(replace(config, sources=(replace(config.sources[0], train=()),)), tmp_path)


def test_drop_of_everything_is_a_problem(tmp_path):
    """Nothing would be learned, without a word."""
    with pytest.raises(InputError, match=r"demo\.toml:13: .*every training example of notes"):
        load_inputs(write(tmp_path, "drop", all_leak=True), tmp_path)


def test_error_names_every_one_with_file_and_line(tmp_path):
    """Both places are told."""
    with pytest.raises(InputError) as caught:
        load_inputs(write(tmp_path, "error"), tmp_path)

    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(tmp_path / "train.csv"), 2)
    assert problem.message == (
        "this training example is in the test part of notes too (folded): "
        f"{tmp_path / 'test.csv'}:2"
    )


def test_an_unknown_choice_is_refused(tmp_path):
    """With the choices."""
    path = write(tmp_path, "dorp")
    with pytest.raises(InputError, match=r'demo\.toml:4: leakage must be .*did you mean "drop"'):
        load_config(path)
