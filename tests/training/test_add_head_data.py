"""Data of an added head: what is wrong is told by file and line, what is set aside is fair."""

import json
from collections import Counter
from pathlib import Path

import pytest

from polyhead_training.add_head_data import read_head_data, set_aside
from polyhead_training.add_head_order import DataOptions, HeadOrder
from polyhead_training.cli import main
from polyhead_training.data import Example
from polyhead_training.errors import TrainingError
from polyhead_training.problems import InputError

LONG = "a rather long text that is about nothing at all"


def order(data: Path, kind="classification", **more) -> HeadOrder:
    """An order for a head of some data."""
    return HeadOrder(Path("bundle"), "spam", kind, data, **more)


def jsonl(path: Path, *rows: object) -> Path:
    """A file of rows; texts are taken as they are."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines) + "\n")
    return path


def texts(count: int, *labels: str) -> list[dict[str, str]]:
    """Rows of different texts, the labels in turn."""
    return [{"text": f"text {n}", "label": labels[n % len(labels)]} for n in range(count)]


def example(text: str, target) -> Example:
    """An example of any origin."""
    return Example("f:1", text, None, target, None, "f")


def wrong(order_: HeadOrder) -> list[str]:
    """The problems that are told."""
    with pytest.raises(InputError) as caught:
        read_head_data(order_)
    return str(caught.value).splitlines()


def test_labels_come_from_the_data(tmp_path):
    """In alphabetical order, of all training texts; some of each label are set aside."""
    data = read_head_data(order(jsonl(tmp_path / "a.jsonl", *texts(200, "no", "yes"))))
    assert data.labels == ("no", "yes")
    assert data.measured == "held-out"
    for part, share in ((data.test, 0.15), (data.dev, 0.085)):
        counts = Counter(str(item.target) for item in part)
        assert counts["no"] == counts["yes"] == pytest.approx(100 * share, abs=1)
    everything = [item.text for part in (data.train, data.dev, data.test) for item in part]
    assert sorted(everything) == sorted(f"text {n}" for n in range(200))


def test_the_same_seed_sets_the_same_aside(tmp_path):
    """Another one others."""
    file = jsonl(tmp_path / "a.jsonl", *texts(100, "no", "yes"))
    first, again, other = (read_head_data(order(file, seed=n)).test for n in (1, 1, 2))
    assert first == again != other


def test_the_same_text_is_never_on_both_sides():
    """Letter case and blanks apart."""
    pairs = [(f"Text {n}", f"text  {n} ") for n in range(40)]
    examples = [example(text, "x") for pair in pairs for text in pair]
    stay, aside = set_aside(examples, 0.2, "classification", "0")
    folded = [{" ".join((e.text or "").lower().split()) for e in part} for part in (stay, aside)]
    assert folded[1]
    assert not folded[0] & folded[1]


def test_rare_labels_stay(tmp_path):
    """Three texts cannot be shared; of four one is."""
    examples = [
        example(f"{label}{n}", label) for label, count in (("a", 3), ("b", 4)) for n in range(count)
    ]
    _, aside = set_aside(examples, 0.1, "classification", "0")
    assert [item.target for item in aside] == ["b"]


def test_sentences_are_shared_by_their_rarest_label():
    """So that a rare kind of span is measured, too."""
    rare = [example(f"r{n}", ("B-PER", "B-LOC")) for n in range(10)]
    rest = [example(f"s{n}", ("B-PER", "O")) for n in range(100)]
    _, aside = set_aside([*rest, *rare], 0.1, "spans", "0")
    assert sum("B-LOC" in item.target for item in aside) == 1


def test_files_of_parts_are_taken_whole(tmp_path):
    """Nothing is set aside then."""
    train = jsonl(tmp_path / "a.jsonl", *texts(20, "no", "yes"))
    dev, test = (jsonl(tmp_path / f"{n}.jsonl", *texts(8, "no", "yes")) for n in "bc")
    data = read_head_data(order(train, dev=dev, test=test))
    assert (len(data.train), len(data.dev), len(data.test)) == (20, 8, 8)
    assert data.measured == "test"


def test_training_texts_that_are_measured_are_counted(tmp_path):
    """Those that are the same but for letter case, too."""
    train = jsonl(tmp_path / "a.jsonl", *texts(20, "no", "yes"), {"text": LONG, "label": "no"})
    test = jsonl(tmp_path / "b.jsonl", {"text": LONG.upper(), "label": "no"})
    assert read_head_data(order(train, test=test)).leaked() == 1


def test_every_error_is_told_with_its_line(tmp_path):
    """Of all files at once."""
    train = jsonl(
        tmp_path / "a.jsonl",
        {"text": "a", "label": "no"},
        {"text": "", "label": "no"},
        "{",
        {"text": "b", "label": " "},
        {"text": "c"},
    )
    dev = jsonl(tmp_path / "b.jsonl", {"label": "no"})
    problems = wrong(order(train, dev=dev, test=tmp_path / "none.jsonl"))
    assert [line.split(": ")[0].rpartition("/")[2] for line in problems] == [
        "a.jsonl:2",
        "a.jsonl:3",
        "a.jsonl:4",
        "a.jsonl:5",
        "b.jsonl:1",
        "none.jsonl:1",
    ]
    assert "cannot be read" in problems[-1]


def test_labels_that_were_not_given_are_errors(tmp_path):
    """With a guess at what was meant; so are labels of dev and test data that training lacks."""
    file = jsonl(tmp_path / "a.jsonl", *texts(20, "spam", "hm"))
    assert (
        'unknown label "hm" for head "spam" (did you mean "ham"?)'
        in wrong(order(file, labels=("spam", "ham")))[0]
    )
    test = jsonl(tmp_path / "b.jsonl", {"text": "x", "label": "eggs"})
    assert wrong(order(file, test=test)) == [f'{test}:1: unknown label "eggs" for head "spam"']


def test_a_label_without_training_texts_is_known(tmp_path):
    """It may be declared, and the command warns."""
    file = jsonl(tmp_path / "a.jsonl", *texts(20, "a", "b"))
    assert read_head_data(order(file, labels=("a", "b", "c"))).untrained == ["c"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (texts(20, "a"), "a head needs two labels, there is: a"),
        (texts(4, "a", "b"), "too few texts for a"),
        ([{"text": str(n), "label": str(n)} for n in range(1200)], "1,200 different labels"),
    ],
)
def test_data_that_make_no_head(tmp_path, rows, message):
    """Told in a sentence."""
    with pytest.raises(TrainingError, match=message):
        read_head_data(order(jsonl(tmp_path / "a.jsonl", *rows)))


def test_spans_of_no_kind(tmp_path):
    """A file without a span trains no spans head."""
    file = tmp_path / "a.conll"
    file.write_text("word\tO\n\n" * 20)
    with pytest.raises(TrainingError, match="the data have no span"):
        read_head_data(order(file, "spans"))


def test_columns_and_fields_have_other_names(tmp_path):
    """CSV with a delimiter of its own; CoNLL with its tag in the middle."""
    table = tmp_path / "a.csv"
    table.write_text("body;kind\n" + "".join(f"t{n};{'ab'[n % 2]}\n" for n in range(20)))
    reading = DataOptions(text="body", label="kind", delimiter=";")
    assert read_head_data(order(table, reading=reading)).labels == ("a", "b")
    tagged = tmp_path / "b.conll"
    tagged.write_text("".join(f"w{n}\tB-X\tNN\n\n" for n in range(20)))
    assert read_head_data(order(tagged, "spans", reading=DataOptions(column=1))).labels == ("X",)


@pytest.mark.parametrize(
    ("name", "kind", "more", "message"),
    [
        ("a.txt", "tagging", {}, "tells no format: give --format"),
        ("a.csv", "tagging", {}, "data of a tagging head are jsonl or conllu or conll, not csv"),
        ("a.conllu", "spans", {}, "not conllu"),
        ("a.conllu", "tagging", {"reading": DataOptions(column=3)}, "is upos or xpos"),
        ("a.conll", "spans", {"reading": DataOptions(column="upos")}, "is an index"),
        ("a.csv", "classification", {"reading": DataOptions(delimiter=";;")}, "one character"),
        ("a.conll", "spans", {"labels": ("O", "X")}, "without O"),
        ("a.jsonl", "classification", {"labels": ("X",)}, "needs two labels"),
        ("a.jsonl", "classification", {"labels": ("X", "X")}, "different from each other"),
        ("a.conll", "spans", {"pooling": "max"}, "pooling is for classification heads only"),
    ],
)
def test_orders_that_cannot_be_met(name, kind, more, message):
    """Refused before any file is opened."""
    with pytest.raises(TrainingError, match=message):
        order(Path(name), kind, **more).check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "Spam!"], "must be 1 to 64 of a-z"),
        (["--name", "spam", "--data", "none.jsonl"], "none.jsonl:1: cannot be read"),
    ],
)
def test_orders_as_a_person_gives_them(capsys, toy, arguments, message):
    """One line, and exit code 2."""
    basics = ["add-head", str(toy.bundle), "--kind", "classification", "--data", "a.jsonl"]
    assert main([*basics, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--column", "first"], ["--hidden", "-1"], ["--labels", "a,,b"], ["--kind", "nothing"]],
)
def test_options_that_are_none(capsys, arguments):
    """The parser refuses them."""
    basics = ["add-head", "b", "--name", "x", "--kind", "tagging", "--data", "d"]
    with pytest.raises(SystemExit):
        main([*basics, *arguments])
    assert "usage: polyhead-train add-head" in capsys.readouterr().err
