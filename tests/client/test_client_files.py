"""Files into files: every format to every other, errors by row, and runs that are stopped."""

import csv
import datetime as dt
import decimal
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyhead import HeadKind
from polyhead._cli._run import run
from polyhead.testing import Head, serve

LIMIT = 2**31 - 1
ROWS = [
    {"n": 1, "body": 'I love "Berlin",\nreally 😀', "more": {"a": [1, None]}},
    {"n": 2, "body": "Apple hates it", "more": None},
    {"n": 3, "body": "one, two", "more": None},
]
LABELS = ["positive", "neutral", "neutral"]


@pytest.fixture
def polyhead(service, monkeypatch, capfd, tmp_path):
    """Runs the command in a folder of its own; gives exit code and stderr."""
    monkeypatch.setenv("POLYHEAD_ADDRESS", service.address)
    monkeypatch.delenv("POLYHEAD_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = run(["annotate", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert out == ""
        return code, err

    return call


def write(path, rows=ROWS):
    """Write rows in the format that the name says."""
    kind = path.suffix
    if kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == ".parquet":
        flat = [{**row, "more": json.dumps(row["more"]) if row["more"] else None} for row in rows]
        pq.write_table(pa.Table.from_pylist(flat), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if kind == ".tsv" else ",")
            writer.writerow(["n", "body", "more"])
            for row in rows:
                writer.writerow([row["n"], row["body"], json.dumps(row["more"] or "")])


def read(path):
    """Read rows back as dicts of columns."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    csv.field_size_limit(LIMIT)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("given", ["in.csv", "in.tsv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("wanted", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_every_format_to_every_other(polyhead, tmp_path, given, wanted):
    """Rows keep their order and their other columns, and gain those of the tasks."""
    write(tmp_path / given)
    code, err = polyhead(given, "--column", "body", "--output", wanted)
    assert (code, err) == (0, f"polyhead: 3 rows: {wanted}\n")
    rows = read(tmp_path / wanted)
    assert [row["body"] for row in rows] == [row["body"] for row in ROWS]
    assert [str(row["n"]) for row in rows] == ["1", "2", "3"]
    assert json.dumps(rows[0]["more"]).count("None") == 0
    if wanted == "out.jsonl":
        results = [row["results"] for row in rows]
        assert [result["sentiment"]["label"] for result in results] == LABELS
        assert results[0]["entities"]["spans"][0]["text"] == "Berlin"
        assert rows[0]["bundle_version"] == "testing-1"
        return
    assert [row["sentiment"] for row in rows] == LABELS
    assert float(rows[0]["sentiment_score"]) == pytest.approx(0.818182)
    entities, pos = rows[0]["entities"], rows[0]["pos"]
    if wanted == "out.parquet":
        assert [word["tag"] for word in pos[:2]] == ["PRON", "NOUN"]
    else:
        entities, pos = json.loads(entities), json.loads(pos)
        assert pos[:2] == [["I", "PRON"], ["love", "NOUN"]]
    assert [(span["text"], span["label"]) for span in entities] == [("Berlin", "LOC")]
    assert {path.name for path in tmp_path.iterdir()} == {given, wanted}


def test_json_keeps_what_python_would_write_otherwise(polyhead, tmp_path):
    """Numbers beyond a float's, keys that come twice, escapes: the line is as it was."""
    rows = [
        '{"text": "I love it", "v": 1e400, "d": 0.12345678901234567890123}',
        '{"text":"\\u0041pple", "a": 1, "a": -0.0 }  ',
        '{"none": 1E5}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(rows) + "\n")
    assert polyhead("in.jsonl", "--output", "out.jsonl")[0] == 1
    out = (tmp_path / "out.jsonl").read_text().splitlines()
    for line, row in zip(out, rows, strict=True):
        assert line.startswith(row.rstrip().removesuffix("}").rstrip() + ", ")
        assert {"results", "error"} & json.loads(line).keys()


def test_json_has_no_infinity(polyhead, tmp_path):
    """What other readers refuse is refused, and not passed on."""
    (tmp_path / "in.jsonl").write_text('{"text": "a", "v": Infinity}\n{"text": "b", "v": NaN}\n')
    code, err = polyhead("in.jsonl", "--output", "out.jsonl")
    assert code == 1
    assert "in.jsonl:1: not JSON: Infinity is no value" in err
    assert "Infinity is" not in (tmp_path / "out.jsonl").read_text().splitlines()[1]


def test_parquet_keeps_its_types(polyhead, tmp_path):
    """Columns that JSON does not know pass through Parquet untouched, over several files."""
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "text": pa.array(["I love it", None, "x"]).dictionary_encode(),
            "when": [when, when, None],
            "price": [decimal.Decimal("1.10")] * 3,
            "raw": [b"\xff", None, b""],
            "list": [[1, 2], [], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.slice(0, 1), tmp_path / "b.parquet")
    command = ("a.parquet", "b.parquet", "--tasks", "sentiment", "--output", "out.parquet")
    code, _ = polyhead(*command)
    assert code == 1
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(table.column_names).equals(pa.concat_tables([table, table.slice(0, 1)]))
    assert found["sentiment"].to_pylist() == ["positive", None, "neutral", "positive"]
    assert found["error"].to_pylist()[1] == "INVALID_ARGUMENT: there is no text"
    assert polyhead("a.parquet", "--output", "out.jsonl", "--skip-errors")[0] == 0
    row = read(tmp_path / "out.jsonl")[0]
    assert (row["when"], row["price"], row["raw"]) == ("2024-05-01T12:00:00+00:00", "1.10", "/w==")


def test_parquet_with_words(polyhead, tmp_path):
    """A column of lists holds words; what holds neither is an error of its row."""
    words = [["New York", "wins"], [], None]
    pq.write_table(pa.table({"text": words, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    assert polyhead("a.parquet", "--tasks", "pos", "--output", "out.parquet")[0] == 1
    rows = read(tmp_path / "out.parquet")
    assert [word["text"] for word in rows[0]["pos"]] == ["New York", "wins"]
    assert [row["pos"] is None for row in rows] == [False, True, True]
    assert polyhead("a.parquet", "--column", "n", "--output", "n.csv")[0] == 1
    assert "holds no text" in (tmp_path / "n.csv").read_text()


def test_texts(polyhead, tmp_path):
    """Lines and whole files become rows with id and text."""
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert polyhead("a.txt", "--output", "out.csv", "--tasks", "topic")[0] == 0
    rows = read(tmp_path / "out.csv")
    assert [(row["id"], row["text"]) for row in rows] == [("a.txt:1", "one"), ("a.txt:3", "two")]
    assert list(rows[0]) == ["id", "text", "topic", "topic_score", "bundle_version", "error"]
    assert polyhead("a.txt", "--whole", "--output", "out.jsonl")[0] == 0
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["one\n\ntwo\n"]


def test_errors_by_row(polyhead, tmp_path):
    """A row that fails has its place in the output and a line in the file of errors."""
    data = b'text,n\nfine,1\n" ",2\n\xff\xff,3\ntoo,many,4\nshort\n"a"b,5\nend,\xff\n'
    (tmp_path / "in.csv").write_bytes(data)
    code, err = polyhead("in.csv", "--output", "out.csv", "--errors", "bad.jsonl")
    assert (code, err) == (1, "polyhead: 7 rows, 5 with errors: out.csv\n")
    rows, errors = read(tmp_path / "out.csv"), read(tmp_path / "bad.jsonl")
    assert [row["text"] for row in rows] == [
        "fine",
        " ",
        r"\udcff\udcff",
        "too",
        "short",
        "",
        "end",
    ]
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, True, True, False]
    assert [(e["row"], e["place"], e["status"]) for e in errors] == [
        (number, f"in.csv:{number + 1}", "INVALID_ARGUMENT") for number in range(2, 7)
    ]
    parts = ("at least one word", "not UTF-8", "has 3 cells", "has 1 cells", "not CSV")
    assert all(part in e["message"] for part, e in zip(parts, errors, strict=True))


def test_errors_of_json_lines(polyhead, tmp_path):
    """Rows of JSON lines that hold no text fail on their own; lone surrogates do no harm."""
    lines = ['{"t": "fine", "x": "\\ud800"}', "[1", '{"u": 1}', '{"t": 5}', '{"t": null}', "7"]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, '{"t": ["two", "words"]}']))
    command = ("in.jsonl", "--field", "t", "--tasks", "pos", "--skip-errors", "--output")
    code, err = polyhead(*command, "out.jsonl")
    assert code == 0
    assert err.count("polyhead: in.jsonl:") == 5
    rows = read(tmp_path / "out.jsonl")
    assert ["results" in row for row in rows] == [True, *[False] * 5, True]
    assert rows[0]["x"] == "\ud800"
    assert rows[3]["t"] == 5
    assert rows[3]["error"]["status"] == "INVALID_ARGUMENT"
    assert polyhead(*command, "out.parquet")[0] == 0
    assert pq.read_table(tmp_path / "out.parquet")["x"][0].as_py() == r"\ud800"


def test_items_that_the_server_fails(polyhead, service, tmp_path):
    """A fault of the server on one row does not stop the others."""
    write(tmp_path / "in.jsonl")
    service.fail_items(1, "INTERNAL", "a fault")
    assert polyhead("in.jsonl", "--field", "body", "--output", "o.jsonl", "--errors", "e.jsonl")[0]
    assert read(tmp_path / "e.jsonl")[0] == {
        "row": 1,
        "place": "in.jsonl:1",
        "status": "INTERNAL",
        "message": "a fault",
    }
    assert [row.get("error", {}).get("status") for row in read(tmp_path / "o.jsonl")] == [
        "INTERNAL",
        None,
        None,
    ]


@pytest.fixture
def long_input(tmp_path):
    """A table of 1,500 rows, of which some fail."""
    path = tmp_path / "long.csv"
    texts = [f"text {n} in Berlin" if n % 100 else " " for n in range(1500)]
    path.write_text("text\n" + "".join(f'"{text}"\n' for text in texts))
    return path


def sent(service):
    """The texts of all items that the service was sent."""
    calls = [call.request for call in service.calls if call.method == "AnnotateStream"]
    return [item.document.text for request in calls for item in request.items]


def rows_done(err):
    """The number of rows that a run that broke off says it has done."""
    return int(re.search(r"(\d+) rows are done; go on with --resume\n", err)[1])


@pytest.mark.parametrize("wanted", ["out.csv", "out.jsonl", "out.parquet"])
def test_a_run_that_broke_off_is_gone_on_with(polyhead, service, tmp_path, long_input, wanted):
    """What was done is not asked for again, and the output is that of one run."""
    command = (long_input, "--tasks", "topic", "--errors", "bad.jsonl", "--output")
    whole = tmp_path / f"whole-{wanted}"
    assert polyhead(*command, whole)[0] == 1
    bad = (tmp_path / "bad.jsonl").read_bytes()
    service.fail(1, "ABORTED", "gone", after=10, method="AnnotateStream")
    code, err = polyhead(*command, wanted)
    assert code == 1
    done = rows_done(err)
    assert 0 < done < 1500
    assert err.splitlines()[-1].startswith("polyhead: gone (request ")
    assert not (tmp_path / wanted).exists()
    service.calls.clear()
    assert polyhead(*command, wanted, "--resume")[0] == 1
    assert sent(service) == [row["text"] for row in read(whole)][done:]
    assert (tmp_path / wanted).read_bytes() == whole.read_bytes()
    assert (tmp_path / "bad.jsonl").read_bytes() == bad
    service.calls.clear()
    assert polyhead(*command, wanted, "--resume")[0] == 0
    assert sent(service) == []


@pytest.mark.parametrize(
    "torn", [b'{"row": 641, "annot', b"\0\0\0\0", b'{"row": 642, "annotation": {}}\n', b"}\n"]
)
def test_a_journal_with_a_torn_end(polyhead, service, tmp_path, long_input, torn):
    """What was half written when the machine stopped counts for nothing."""
    command = (long_input, "--tasks", "topic", "--skip-errors", "--output")
    assert polyhead(*command, "whole.jsonl")[0] == 0
    service.fail(1, "ABORTED", "gone", after=10, method="AnnotateStream")
    assert polyhead(*command, "out.jsonl")[0] == 1
    with (tmp_path / "out.jsonl.partial").open("ab") as file:
        file.write(torn)
    assert polyhead(*command, "out.jsonl", "--resume")[0] == 0
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.fixture
def stopping():
    """A service that stops at the word STOP until it is told to go on."""
    reached, go_on = threading.Event(), threading.Event()

    def rule(words):
        if "STOP" in words:
            reached.set()
            go_on.wait(30)
        return {"A": 1.0}

    with serve(heads=[Head("slow", HeadKind.CLASSIFICATION, ("A", "B"), rule)]) as service:
        yield service, reached, go_on
        go_on.set()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_is_gone_on_with(stopping, tmp_path, kill):
    """Whenever it was killed, each row is in the output once and in its order."""
    service, reached, go_on = stopping
    texts = [f"text {number}" for number in range(1000)]
    texts[700] = "STOP here"
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    command = [sys.executable, "-m", "polyhead", "annotate", path.name, "--output", "out.jsonl"]
    environment = {**os.environ, "POLYHEAD_ADDRESS": service.address}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert reached.wait(30)
        process.send_signal(kill)
        _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if kill == signal.SIGINT else -9)
    assert err == "" or err.endswith("go on with --resume\npolyhead: interrupted\n")
    assert (tmp_path / "out.jsonl.partial").exists()
    assert not (tmp_path / "out.jsonl").exists()
    go_on.set()
    again = [*command, "--resume"]
    subprocess.run(again, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == texts
    assert {found.name for found in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


def test_one_run_at_a_time(stopping, tmp_path):
    """A run that goes on is not gone on with by another."""
    service, reached, go_on = stopping
    (tmp_path / "in.txt").write_text("STOP here\n")
    command = [sys.executable, "-m", "polyhead", "annotate", "in.txt", "--output", "out.csv"]
    environment = {**os.environ, "POLYHEAD_ADDRESS": service.address}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as first:
        assert reached.wait(30)
        second = subprocess.run(
            [*command, "--resume"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        go_on.set()
        assert first.wait(30) == 0
    assert second.returncode == 2
    assert "another process is writing" in second.stderr
    assert [row["text"] for row in read(tmp_path / "out.csv")] == ["STOP here"]


def test_a_server_out_of_reach(polyhead, tmp_path):
    """Exit code 3, and nothing is left behind but what can be gone on with."""
    write(tmp_path / "in.csv")
    address = ("--address", "127.0.0.1:1", "--timeout", "5")
    assert polyhead("in.csv", "--column", "body", "--output", "out.csv", *address)[0] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_standard_input(service, tmp_path):
    """A pipe is a file too, and can be gone on with where the same comes again."""
    command = [sys.executable, "-m", "polyhead", "annotate", "-", "--jsonl", "--output", "out.csv"]
    environment = {**os.environ, "POLYHEAD_ADDRESS": service.address}
    data = b"".join(b'{"text": "text %d"}\n' % number for number in range(900))

    def pipe(*more):
        return subprocess.run(
            [*command, "--tasks", "topic", *more],
            cwd=tmp_path,
            env=environment,
            input=data,
            capture_output=True,
            check=False,
        )

    service.fail(1, "ABORTED", "gone", after=10, method="AnnotateStream")
    done = rows_done(pipe().stderr.decode())
    service.calls.clear()
    assert pipe("--resume").returncode == 0
    assert len(sent(service)) == 900 - done
    assert [row["text"] for row in read(tmp_path / "out.csv")] == [f"text {n}" for n in range(900)]
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_going_on_with_something_else_is_refused(polyhead, service, tmp_path, long_input):
    """Another input, other tasks or another column are no continuation."""
    command = (long_input, "--output", "out.csv", "--tasks")
    service.fail(1, "ABORTED", "gone", after=5, method="AnnotateStream")
    assert polyhead(*command, "topic")[0] == 1
    journal = (tmp_path / "out.csv.partial").read_bytes()
    code, err = polyhead(*command, "topic")
    assert code == 2
    assert "out.csv.partial is an unfinished run: go on with --resume" in err
    code, err = polyhead(*command, "pos", "--resume")
    assert (code, err) == (2, "polyhead: the unfinished run has other tasks; see --overwrite\n")
    with long_input.open("r+b") as file:  # its content and size stay
        first = file.read(1)
        file.seek(0)
        file.write(first)
    refused = (2, "polyhead: the unfinished run has other inputs; see --overwrite\n")
    assert polyhead(*command, "topic", "--resume") == refused
    with long_input.open("a") as file:
        file.write("another\n")
    assert polyhead(*command, "topic", "--resume") == refused
    assert (tmp_path / "out.csv.partial").read_bytes() == journal
    assert polyhead(*command, "topic", "--overwrite")[0] == 1
    assert len(read(tmp_path / "out.csv")) == 1501


def test_another_bundle_is_mentioned(polyhead, service, tmp_path, long_input, monkeypatch):
    """Where the server has another bundle by now, the rows say by which they were made."""
    command = (long_input, "--tasks", "topic", "--skip-errors", "--output", "out.csv", "--resume")
    service.fail(1, "ABORTED", "gone", after=5, method="AnnotateStream")
    done = rows_done(polyhead(*command)[1])
    with serve(bundle_version="testing-2") as other:
        code, err = polyhead(*command, "--address", other.address)
    assert code == 0
    assert "the rows before are by bundle testing-1, those to come by testing-2" in err
    versions = [row["bundle_version"] for row in read(tmp_path / "out.csv")]
    assert set(versions[:done]) == {"testing-1", ""}
    assert set(versions[done:]) == {"testing-2", ""}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["in.csv", "--output", "out.csv"], "in.csv: say with --column which to annotate; there"),
        (["in.csv", "--column", "x", "--output", "out.csv"], "no column 'x'; there are: n, body"),
        (["in.csv", "--column", "x", "--json"], "no column 'x'; there are: n, body, more"),
        (["in.csv", "--column", "body", "--output", "o.xlsx"], "must end in one of .jsonl, "),
        (["in.csv", "--column", "body", "--output", "no/o.csv"], "no such folder: no"),
        (["in.csv", "--column", "body", "--output", "there.csv"], "replace it with --overwrite"),
        (["in.csv", "in.jsonl", "--output", "o.csv"], "one format at a time, not csv and jsonl"),
        (["in.cvs", "--output", "o.csv"], "--output is for files and standard input"),
        (["missing.csv", "--output", "o.csv"], "missing.csv: No such file"),
        (["--file", "missing.csv", "--output", "o.csv"], "missing.csv: No such file"),
        (["in.csv", "--output", "./in.csv", "--overwrite"], "are different files"),
        (["in.csv", "--output", "o.csv", "--errors", "o.csv"], "are different files"),
        (["in.csv", "--resume"], "go with --output"),
        (["doubled.csv", "--output", "o.csv"], "several columns are named 'text'"),
        (["in.csv", "--format", "parquet", "--output", "o.csv"], "in.csv: not Parquet"),
        (["broken.csv", "--output", "o.csv"], "broken.csv: line 1: the header is not CSV"),
        (["broken.csv"], "broken.csv: line 1: the header is not CSV"),
        (["gold.csv", "--output", "o.csv"], "'sentiment', 'error' already; name what is added"),
        (["gold.jsonl", "--output", "o.csv"], "the input has 'sentiment' already"),
        (["in.csv", "--column", "body", "--output", "there.partial.csv"], "is not the journal"),
        (["in.csv", "--column", "body", "--tasks", "nope", "--output", "o.csv"], "no such task"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(polyhead, service, tmp_path, arguments, complaint):
    """A wrong command is exit code 2, and destroys nothing."""
    write(tmp_path / "in.csv")
    write(tmp_path / "in.jsonl")
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "there.partial.csv.partial").write_text("mine\n")
    (tmp_path / "doubled.csv").write_text("text,text\na,b\n")
    (tmp_path / "broken.csv").write_text('"id" ,text\n1,a\n')
    (tmp_path / "gold.csv").write_text("text,sentiment,error\na,positive,\n")
    (tmp_path / "gold.jsonl").write_text('{"text": "a", "sentiment": 1}\n')
    if "there.partial.csv" in arguments:
        arguments = [*arguments, "--resume"]
    code, err = polyhead(*arguments)
    assert code == 2
    assert complaint in err
    assert "Traceback" not in err
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert (tmp_path / "there.partial.csv.partial").read_text() == "mine\n"


def test_a_prefix(polyhead, tmp_path):
    """What is added can be named so that it does not clash."""
    (tmp_path / "gold.csv").write_text("\ufefftext,sentiment\nI love it,gold\n", encoding="utf-8")
    assert polyhead("gold.csv", "--prefix", "p_", "--output", "out.csv")[0] == 0
    row = read(tmp_path / "out.csv")[0]
    assert (row["text"], row["sentiment"], row["p_sentiment"]) == ("I love it", "gold", "positive")
    assert polyhead("out.csv", "--output", "again.jsonl", "--prefix", "q_")[0] == 0
    assert read(tmp_path / "again.jsonl")[0]["q_results"]["sentiment"]["label"] == "positive"


@pytest.mark.parametrize("wanted", ["out.csv", "out.jsonl", "out.parquet"])
def test_no_rows(polyhead, tmp_path, wanted):
    """A table without rows, and a file without anything, give an output without rows."""
    (tmp_path / "head.csv").write_text("text,n\n")
    (tmp_path / "empty.csv").write_text("")
    for name in ("head.csv", "empty.csv"):
        assert polyhead(name, "--output", wanted, "--overwrite")[0] == 0
        assert read(tmp_path / wanted) == []


def test_without_pyarrow_there_is_a_hint(polyhead, tmp_path, monkeypatch):
    """Parquet without its extra says how to get it; the other formats need none."""
    write(tmp_path / "in.parquet")
    write(tmp_path / "in.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.delitem(sys.modules, "polyhead._cli._parquet", raising=False)
    for arguments in (["in.parquet"], ["in.parquet", "--output", "o.csv"]):
        code, err = polyhead(*arguments, "--column", "body")
        assert code == 2
        assert "polyhead[parquet]" in err
    assert polyhead("in.csv", "--column", "body", "--output", "o.parquet")[0] == 2
    assert polyhead("in.csv", "--column", "body", "--output", "o.csv")[0] == 0


def test_tables_can_be_printed_too(service, capfd, monkeypatch, tmp_path):
    """Without --output the rows of tables are shown like any others."""
    monkeypatch.setenv("POLYHEAD_ADDRESS", service.address)
    for name in ("in.csv", "in.parquet"):
        write(tmp_path / name)
    inputs = [str(tmp_path / name) for name in ("in.csv", "in.parquet")]
    errors = tmp_path / "bad.jsonl"
    code = run(["annotate", *inputs, "--column", "body", "--json", "--errors", str(errors)])
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (code, errors.read_text()) == (0, "")
    assert [row["results"]["sentiment"]["label"] for row in rows] == LABELS * 2
