"""The page of polyhead-train report: well-formed, right, and safe with any text."""

from __future__ import annotations

import json
import re
import shutil
from xml.etree import ElementTree as ET

import pytest
from test_prediction_counts import part_of
from toy_data import HEADS, SOURCES, toy_config

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_training.cli import main
from polyhead_training.report.charts import line_chart, nice_ticks
from polyhead_training.report.confusion import confusion
from polyhead_training.report.history import Curve, History
from polyhead_training.report.html import Html, element, join
from polyhead_training.report.judged import judge
from polyhead_training.report.mistakes import worst
from polyhead_training.report.scores import reliability
from polyhead_training.report.sections import curves

HOSTILE = "</td></script><script>alert('1')</script> & \"quoted\" <b \x00\x1b text"


def page_of(toy, out, *more, data=None):
    """The page as a tree: it must be well-formed."""
    arguments = ["report", toy.bundle, "--data", data or toy.data, "--out", out, *more]
    assert main([str(item) for item in arguments]) == 0
    text = out.read_text(encoding="utf-8")
    return text, parsed(text)


def parsed(text):
    return ET.fromstring(text.removeprefix("<!DOCTYPE html>"))  # noqa: S314 - our own page


def words_of(node):
    return " ".join("".join(node.itertext()).split())


def section(tree, name):
    return next(node for node in tree.iter("section") if node.get("id") == name)


def cells(node):
    return [[words_of(cell) for cell in row] for row in node.iter("tr")]


@pytest.fixture(scope="module")
def page(toy, tmp_path_factory):
    """The page about the toy bundle, with a single-task run and a bundle beside it."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    singles = ["--single", f"its-run={toy.run}", "--single", f"itself={toy.bundle}"]
    return page_of(toy, out, *singles)


def test_every_section_is_there(page):
    """With its heading, and a link to it."""
    _, tree = page
    names = [node.get("id") for node in tree.iter("section")]
    linked = [node.get("href") for node in tree.iter("a")]
    assert names[0] == "summary"
    assert [f"#{name}" for name in names[1:]] == linked
    assert {"figures", "curves", "labels", "confusion", "calibration", "errors"} <= set(names)
    assert {"singles", "precision", "data", "provenance"} <= set(names)
    assert len(list(tree.iter("h2"))) == len(linked)


def test_the_page_stands_alone(page):
    """It loads nothing, runs nothing, and follows the reader's light or dark setting."""
    text, tree = page
    assert not re.search(r"https?://|@import|url\(|<script|<link|\son\w+=", text)
    assert not [node for node in tree.iter() if node.get("src")]
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_figures_are_those_of_evaluate(page, toy, capsys):
    """With intervals around them."""
    _, tree = page
    capsys.readouterr()
    assert main(["evaluate", str(toy.bundle), "--data", str(toy.data), "--json"]) == 0
    served = json.loads(capsys.readouterr().out)["served"]
    rows = cells(section(tree, "figures"))[1:]
    assert len(rows) == len(served)
    for figure in served:
        keys = [figure["head"], figure["source"], figure["split"], figure["metric"]]
        row = next(row for row in rows if row[:4] == keys)
        assert row[4:6] == [str(figure["count"]), f"{100 * figure['value']:.2f}"]
        low, high = (float(end) for end in row[6].split("–"))
        assert low - 0.06 <= 100 * figure["value"] <= high + 0.06
    cards = [words_of(node) for node in section(tree, "summary").iter("div")][1:]
    assert len(cards) == 3
    assert any(card.startswith("mood") and "reviews test, 24 texts" in card for card in cards)


def test_torch_and_single_task_figures(page, toy):
    """Beside the served ones, with the gap."""
    _, tree = page
    precision = cells(section(tree, "precision"))[1:]
    assert len(precision) == 7
    assert all(row[-1] == "+0.00" for row in precision)
    singles = cells(section(tree, "singles"))[1:]
    measured = [row for row in singles if row[0] == "itself"]
    assert len(measured) == 7
    assert all(row[7:] == ["+0.00", "+0.00 to +0.00", "1.0000"] for row in measured)
    noted = [row for row in singles if row[0] == "its-run"]
    lines = (toy.run / "history.jsonl").read_text().splitlines()
    best = max(map(json.loads, lines), key=lambda entry: entry["score"])
    values = {f["source"]: f"{100 * f['value']:.2f}" for f in best["figures"]}
    assert {row[2]: row[6] for row in noted}.items() <= values.items()
    assert all(row[-1] == "noted" for row in noted)


def test_charts_say_what_they_show(page):
    """Each has a name that is read out."""
    _, tree = page
    charts = list(tree.iter("svg"))
    assert len(charts) >= 2 * 5 + 3
    for chart in charts:
        assert chart.get("role") == "img"
        assert chart.get("aria-label") == chart[0].text
    assert any("expected calibration error" in chart.get("aria-label") for chart in charts)


def test_tables_are_told_apart(page):
    """Each has a caption, and heads for its rows and columns."""
    _, tree = page
    for table in tree.iter("table"):
        assert words_of(table[0])
        assert table[0].tag == "caption"
        assert {head.get("scope") for head in table.iter("th")} >= {"col", "row"}


def test_data_and_provenance(page):
    """Licences, seed and the configuration."""
    _, tree = page
    data = cells(section(tree, "data"))
    assert ["reviews", "mood", "training", "CC0 1.0"] in data
    facts = dict(row for row in cells(section(tree, "provenance"))[1:])
    assert facts["seed"] == "3"
    assert facts["bundle"] == "toy 1.0"
    assert 'name = "reviews"' in words_of(next(section(tree, "provenance").iter("details")))


@pytest.fixture
def hostile(toy, tmp_path):
    """Data whose texts and labels would break a page, answered wrongly."""
    data = shutil.copytree(toy.data, tmp_path / "data")
    with (data / "mood/test.jsonl").open("a") as file:
        for label in ("bad", "plain", "good"):  # two of which are wrong
            file.write(json.dumps({"text": f"lovely {HOSTILE}", "label": label}) + "\n")
    with (data / "names/test.conll").open("a") as file:
        file.write("\n<b>Ann</b>\tO\n&amp;\tO\nBob\tO\n")
    return data


def test_hostile_texts(toy, hostile, tmp_path):
    """They are shown as they are; characters that no page can show become U+FFFD."""
    text, tree = page_of(toy, tmp_path / "r.html", data=hostile)
    assert "<script" not in text
    assert "<b" not in text.replace("<body", "").replace("<br", "")
    shown = words_of(section(tree, "errors"))
    clean = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    assert f"lovely {clean}" in shown
    assert "mood/test.jsonl:2" in shown
    assert "&amp;" not in shown or "&amp;amp;" in text


def test_hostile_names(toy, tmp_path, capsys):
    """Those of labels, of the bundle and of its makers, too."""
    copy = shutil.copytree(toy.bundle, tmp_path / "copy")
    manifest = open_bundle(toy.bundle).manifest
    manifest.provenance["note <i>"] = {"a": "</pre><script>"}
    manifest.provenance["data_sets"][0]["licence"] = "<script>x</script>"
    seal_bundle(copy, manifest)
    out = tmp_path / "r.html"
    arguments = [
        "report",
        copy,
        "--data",
        toy.data,
        "--out",
        out,
        "--single",
        f"</td><u>={toy.run}",
    ]
    assert main([str(item) for item in arguments]) == 0
    text = out.read_text(encoding="utf-8")
    tree = parsed(text)
    assert not re.search(r"<(script|i|u)\b", text)
    assert "<script>x</script>" in words_of(section(tree, "data"))
    assert "</td><u>" in words_of(section(tree, "singles"))


def test_a_page_without_a_folder(toy, tmp_path, capsys):
    """Told before anything is measured."""
    page = tmp_path / "nowhere" / "page.html"
    assert main(["report", str(toy.bundle), "--data", "nothing", "--out", str(page)]) == 2
    assert f"{page.parent}: No such file" in capsys.readouterr().err


def test_no_text(toy, hostile, tmp_path):
    """Places and labels only."""
    _, tree = page_of(toy, tmp_path / "r.html", "--no-text", data=hostile)
    shown = words_of(section(tree, "errors"))
    assert "mood/test.jsonl:2" in shown
    assert "lovely" not in words_of(tree)
    assert "Ann" not in shown


def test_a_bundle_without_a_run(toy, tmp_path, capsys):
    """Then there are no curves; a run that is asked for must be there."""
    copy = shutil.copytree(toy.bundle, tmp_path / "copy")
    out = tmp_path / "r.html"
    arguments = ["report", str(copy), "--data", str(toy.data), "--out", str(out)]
    assert main(arguments) == 0
    tree = parsed(out.read_text(encoding="utf-8"))
    assert "curves" not in [node.get("id") for node in tree.iter("section")]
    capsys.readouterr()
    assert main([*arguments, "--run", str(tmp_path)]) == 2
    assert "is no run directory: it has no history.jsonl" in capsys.readouterr().err
    (tmp_path / "history.jsonl").write_text('{"step": 1}\n')
    assert main([*arguments, "--run", str(tmp_path)]) == 2
    assert "is not the history of a run" in capsys.readouterr().err
    assert main([*arguments, "--single", f"x={toy.data}"]) == 2
    assert "is no run directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--single", "nameless"])


def test_noted_figures_of_other_texts_are_left_out(toy, tmp_path, capsys):
    """A run was not measured on a text that came later, nor is its head another of that name."""
    data = shutil.copytree(toy.data, tmp_path / "data")
    with (data / "mood/dev.jsonl").open("a") as file:
        file.write(json.dumps({"text": "a new film", "label": "good"}) + "\n")
    single = f"run={toy.run}"
    _, tree = page_of(toy, tmp_path / "r.html", "--single", single, data=data)
    assert {row[2] for row in cells(section(tree, "singles"))[1:]} == {"visits", "trees"}
    lines = (toy.run / "history.jsonl").read_text().replace('"head": "', '"head": "other-')
    (tmp_path / "run").mkdir()
    (tmp_path / "run/history.jsonl").write_text(lines)
    page = ["report", str(toy.bundle), "--data", str(data), "--out", str(tmp_path / "s.html")]
    assert main([*page, "--single", f"run={tmp_path / 'run'}"]) == 2
    assert "(run) has no figure of a head of the bundle on the same data" in capsys.readouterr().err


def test_another_configuration(toy, tmp_path):
    """Its sources are measured."""
    config = tmp_path / "one.toml"
    source = "[[sources]]" + SOURCES.split("[[sources]]")[3]
    config.write_text(toy_config("[[heads]]" + HEADS.split("[[heads]]")[2], source))
    _, tree = page_of(toy, tmp_path / "r.html", "--config", config)
    assert {row[1] for row in cells(section(tree, "figures"))[1:]} == {"visits"}


def test_confusion_counts():
    """Gold labels by row; spans by their bounds, with those that one side lacks."""
    tags = part_of("tagging", "accuracy", [list("aab")], [list("abb")], labels=("a", "b"))
    assert confusion(tags).table.tolist() == [[1, 1], [0, 1]]
    assert confusion(tags).shares[0].tolist() == [0.5, 0.5]
    gold = [["B-a", "I-a", "O", "B-b", "O"]]
    given = [["B-b", "I-b", "O", "O", "B-a"]]
    found = confusion(part_of("spans", "entity_f1", gold, given, labels=("a", "b")))
    assert found.labels == ("a", "b", "(no span)")
    assert found.table.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_confusion_of_many_labels():
    """The rarest are taken together."""
    labels = tuple(f"l{n:02}" for n in range(40))
    gold = [label for n, label in enumerate(labels) for _ in range(n + 1)]
    found = confusion(part_of("classification", "accuracy", gold, gold, labels=labels))
    assert len(found.labels) == 30
    assert found.labels[-1] == "(others)"
    assert found.table.sum() == len(gold)
    assert found.table[-1, -1] == sum(range(1, 12))


def test_reliability():
    """Mean distance of score and correctness, weighted by answers."""
    scores = [[0.95], [0.97], [0.91], [1.0]]
    part = part_of("classification", "accuracy", list("aaaa"), list("aabb"), scores=scores)
    found = reliability(part)
    assert found.count == 4
    low, high = found.bins[-2:]
    assert (low.count, low.right, low.score) == (1, 0, 0.91)
    assert (high.count, high.right) == (3, pytest.approx(2 / 3))
    assert found.error == pytest.approx((0.91 + 0.95 + 0.97 + 1.0 - 2) / 4)
    nothing = part_of("spans", "entity_f1", [["O"]], [["O"]], scores=[[]])
    assert reliability(nothing) is None


def test_worst_mistakes_come_first():
    """The most certain ones; with the words around, and the spans that were right."""
    gold, given = [["B-a", "I-a", "O"]], [["B-a", "O", "B-b"]]
    part = part_of("spans", "entity_f1", gold, given)
    words = ("Ann", "Lee", "left")
    example = type(part.examples[0])("f:3", None, words, tuple(gold[0]), None, "f")
    part = type(part)(part.source, "test", "spans", part.labels, [example], given, [[0.6, 0.9]])
    first, second = worst(part)
    assert (first.given, first.gold, first.wrong, first.before) == (
        "b",
        "(no span)",
        "left",
        "Ann Lee",
    )
    assert (second.gold, second.gold_shown) == ("a", "a: Ann Lee")
    assert worst(part, 1) == [first]


def test_a_label_that_is_never_given(recwarn):
    """Its precision is not defined: a dash on the page, no warning."""
    part = part_of("classification", "macro_f1", list("ab"), list("aa"), labels=("a", "b"))
    row = judge(part, 20).labels[1]
    assert row.precision.value != row.precision.value
    assert row.recall.value == 0
    assert not recwarn.list


def test_markup():
    """Everything is escaped but markup."""
    assert element("td", "<", None, ["&", Html("<b>")], class_='a"b') == (
        '<td class="a&quot;b">&lt;&amp;<b></td>'
    )
    assert element("br", hidden=True, dir=None) == '<br hidden="hidden" />'
    assert join(["a\ud800\x07b", ("c",)]) == "a\ufffd\ufffdbc"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 3), (0.871, 0.8895), (0, 10_777), (-2, 900)])
def test_ticks_cover_the_range(low, high):
    """With few round steps."""
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8


def test_a_curve_of_one_point():
    """Is a point."""
    tree = ET.fromstring(line_chart("loss", "steps", [0.0], [0.5], 0))  # noqa: S314
    assert len(list(tree.iter("circle"))) == 1
    assert "nan" not in ET.tostring(tree, "unicode")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_run_that_diverged_is_drawn_as_far_as_it_goes(odd):
    """The rest is left out, and told; a curve without any value is not there."""
    values = (2.0, 1.5, odd)
    history = History(
        (10.0, 20.0, 30.0),
        (1.0, 2.0, 3.0),
        (Curve("loss", values, fraction=False), Curve("other", (odd,) * 3, fraction=False)),
        best=1,
        figures=(),
    )
    tree = ET.fromstring(curves(history))  # noqa: S314
    captions = [words_of(caption) for caption in tree.iter("figcaption")]
    assert captions == ["loss; 1 of 3 values are not finite and left out"] * 2
    for chart in tree.iter("svg"):
        dots = list(chart.iter("circle"))
        assert [dot.get("class") for dot in dots] == ["dot", "dot best"]
        numbers = " ".join(str(value) for node in chart.iter() for value in node.attrib.values())
        assert not re.search(r"\b(nan|inf)\b", numbers)
