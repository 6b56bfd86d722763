"""The command `polyhead`, run in this process against a real service."""

import io
import json
import sys

import pytest

from polyhead import Health
from polyhead._cli._run import run
from polyhead.testing import serve

TEXT = "Apple's new store in Berlin opened to long queues, and the fans loved it."


class Pipe(io.TextIOWrapper):
    """A standard input that is a pipe."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.fixture
def polyhead(service, monkeypatch, capfd):
    """Runs the command; gives exit code, stdout and stderr."""
    monkeypatch.setenv("POLYHEAD_ADDRESS", service.address)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "POLYHEAD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", Pipe(stdin))
        code = run(list(arguments))
        return code, *capfd.readouterr()

    return call


def test_the_view(polyhead):
    """A text is shown with its spans marked, distributions, tags in columns and a footer."""
    code, out, err = polyhead("annotate", TEXT)
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].startswith("[Apple ORG]'s new store in [Berlin LOC] opened")
    assert "sentiment  positive  81.8%       topic  Business  75.0%" in lines
    assert "Berlin  LOC  87.5%  21-27" in lines
    words = next(number for number, line in enumerate(lines) if line.startswith("Apple  's"))
    for word, tag in (("Berlin", "PROPN"), ("opened", "VERB")):
        assert lines[words + 1][lines[words].index(word) :].startswith(tag)
    assert any(line.startswith("bundle testing-1 · 17 tokens · tokenize 0.1 ms") for line in lines)


def test_the_view_fits_the_terminal(polyhead, monkeypatch):
    """No line is wider than the terminal, whatever the text, and wide characters stay aligned."""
    from rich.cells import cell_len  # noqa: PLC0415 - of this test alone

    monkeypatch.setenv("COLUMNS", "40")
    text = "東京タワー is great 👨‍👩‍👧 مرحبا é " * 4 + "x" * 100
    code, out, _ = polyhead("annotate", text)
    assert code == 0
    for line in out.splitlines():
        assert cell_len(line.rstrip()) <= 40 or "xxxx" in line
    words = next(line for line in out.splitlines() if line.startswith("東京タワー  is"))
    assert cell_len(words[: words.index("is")]) == len("東京タワー") * 2 + 2


def test_colour_only_where_it_is_wanted(polyhead, monkeypatch):
    """No escape codes in a pipe or with NO_COLOR's plain text; some when forced."""
    assert "\x1b" not in polyhead("annotate", TEXT)[1]
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in polyhead("annotate", TEXT)[1]


def test_a_text_cannot_steer_the_terminal(polyhead):
    """Control characters of a text are shown as pictures."""
    code, out, _ = polyhead("annotate", "evil \x1b]0;title\x07 \x9b31m text", "--tasks", "pos")
    assert code == 0
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert "␛" in out


@pytest.mark.parametrize("unit", ["code_point", "utf8_byte", "utf16"])
def test_spans_are_marked_in_every_unit(polyhead, unit):
    """The running text is marked in the right place whatever the unit of offsets."""
    _, out, _ = polyhead("annotate", "é😀 loved Berlin, loved Apple", "--offset-unit", unit)
    assert "é😀 loved [Berlin LOC], loved [Apple ORG]" in out


def test_priority(polyhead, service, tmp_path):
    """What is said of the priority is sent; where nothing is, the server's defaults hold."""
    file = tmp_path / "texts.txt"
    file.write_text("I love it\n")
    for source in (["I love it"], ["--file", str(file)]):
        for said, sent in ([], 0), (["--priority", "interactive"], 1), (["--priority", "bulk"], 2):
            assert polyhead("annotate", *source, *said)[0] == 0
            assert service.calls[-1].request.priority == sent


def test_windows_are_mentioned_when_there_are_several(polyhead):
    """A text longer than the encoder's limit says so."""
    assert "read in 3 windows" in polyhead("annotate", "word " * 300, "--tasks", "topic")[1]


def test_json_is_one_object_per_text(polyhead):
    """--json prints text, id and everything that the annotation holds."""
    code, out, _ = polyhead("annotate", "--json", "I love it", "I hate it", "--tasks", "sentiment")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["text"] for record in records] == ["I love it", "I hate it"]
    labels = [record["results"]["sentiment"]["label"] for record in records]
    assert labels == ["positive", "negative"]
    assert list(records[0]["results"]) == ["sentiment"]
    assert records[0]["bundle_version"] == "testing-1"


def test_lines_of_files_and_of_standard_input(polyhead, tmp_path):
    """Each line that is not blank is a document, in order, with its place as its id."""
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n  \ntwo")
    code, out, _ = polyhead("annotate", "--json", "--file", str(path), "-", stdin=b"three\n")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(r["id"], r["text"]) for r in records] == [
        (f"{path}:1", "one"),
        (f"{path}:4", "two"),
        ("-:1", "three"),
    ]


def test_a_pipe_needs_no_argument(polyhead):
    """Without a text or file, what is piped in is read, in any length."""
    data = "".join(f"text {number}\n" for number in range(1500)).encode()
    code, out, err = polyhead("annotate", "--json", "--tasks", "topic", stdin=data)
    assert (code, err) == (0, "")
    texts = [json.loads(line)["text"] for line in out.splitlines()]
    assert texts == [f"text {number}" for number in range(1500)]


def test_a_whole_file(polyhead, tmp_path):
    """--whole takes a file as one document."""
    path = tmp_path / "texts.txt"
    path.write_text("one\n\ntwo\n")
    _, out, _ = polyhead("annotate", "--json", "--whole", "--file", str(path))
    assert json.loads(out)["text"] == "one\n\ntwo\n"


def test_json_lines(polyhead):
    """--jsonl takes strings, and objects with text or words and an id of their own."""
    data = b'"plain"\n{"text": "a text", "id": 7}\n{"words": ["New York", "wins"]}\n'
    code, out, _ = polyhead("annotate", "--jsonl", "--json", "--tasks", "pos", stdin=data)
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["id"] for record in records] == ["-:1", "7", "-:3"]
    assert records[2]["words"] == ["New York", "wins"]
    assert len(records[2]["results"]["pos"]["words"]) == 2


def test_bad_lines_are_reported_and_the_rest_is_done(polyhead, tmp_path):
    """Each failure names its line; the exit code is 1."""
    data = b'"fine"\nnot json\n{"body": 1}\n{"text": "\\ud800"}\n{"words": []}\n"\xff"\n"end"\n'
    missing = str(tmp_path / "missing")
    code, out, err = polyhead(
        "annotate", "--jsonl", "--json", "--file", missing, "-", "--tasks", "pos", stdin=data
    )
    assert code == 1
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["fine", "end"]
    complaints = sorted(err.splitlines())
    assert len(complaints) == 6
    expected = ("not JSON", "expected a string", "lone surrogate", "at least one word", "not UTF-8")
    for number, (complaint, part) in enumerate(zip(complaints, expected, strict=False), start=2):
        assert complaint.startswith(f"polyhead: -:{number}: ")
        assert part in complaint
    assert complaints[5] == f"polyhead: {missing}: No such file or directory"


def test_nothing_but_bad_input(polyhead):
    """When no text could be annotated because of what it is, the exit code is 2."""
    code, out, err = polyhead("annotate", " ")
    assert (code, out) == (2, "")
    assert err == "polyhead: must hold at least one word\n"


def test_items_that_the_server_fails(polyhead, service):
    """A fault of the server on some items is exit code 1."""
    service.fail_items(1, "INTERNAL", "a fault")
    code, out, err = polyhead("annotate", "-", "--json", stdin=b"one\n")
    assert (code, out, err) == (1, "", "polyhead: -:1: a fault\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["annotate", "x", "--tasks", "nope,pos"], "no such task: nope; there are: sentiment"),
        (["annotate", "x", "--tasks", ","], "names with commas"),
        (["annotate", "x", "--timeout", "0"], "seconds above 0"),
        (["annotate", "x", "--address", "nowhere"], "not a HOST:PORT address: 'nowhere'"),
        (["annotate", "x", "--ca", "/no/such/file"], "No such file"),
        (["annotate", "x", "--offset-unit", "inch"], "invalid choice"),
        (["dance"], "invalid choice"),
    ],
)
def test_usage_errors(polyhead, arguments, complaint):
    """A wrong command says what is wrong with it, without a traceback, and is exit code 2."""
    code, out, err = polyhead(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


def test_a_token_does_not_travel_in_the_clear(polyhead, monkeypatch):
    """POLYHEAD_TOKEN without --tls is refused."""
    monkeypatch.setenv("POLYHEAD_TOKEN", "t0ken")
    code, _, err = polyhead("annotate", "x")
    assert code == 2
    assert "needs TLS" in err


def test_no_command(polyhead):
    """Without a command the help is shown."""
    code, out, _ = polyhead()
    assert code == 2
    assert "annotate" in out


def test_the_version(polyhead):
    """--version prints it."""
    code, out, _ = polyhead("--version")
    assert code == 0
    assert out.startswith("polyhead 0.")


@pytest.mark.parametrize("command", [["annotate", "x"], ["annotate", "-"], ["tasks"], ["health"]])
def test_a_server_out_of_reach(polyhead, command):
    """Nobody there is exit code 3, and one line that names the address."""
    code, out, err = polyhead(*command, "--address", "127.0.0.1:1", "--timeout", "5", stdin=b"x\n")
    assert (code, out) == (3, "")
    assert err.startswith("polyhead: no server can be reached at 127.0.0.1:1: ")
    assert err.count("\n") == 1


def test_a_server_that_does_not_answer(polyhead, service):
    """No answer in time is exit code 3."""
    with service.hold():
        code, _, err = polyhead("annotate", "x", "--timeout", "0.05")
    assert code == 3
    assert "Deadline Exceeded" in err


def test_a_server_that_refuses(polyhead, service):
    """Another refusal is exit code 1, with the request id to look for in the logs."""
    service.fail(1, "PERMISSION_DENIED", "not for you")
    code, _, err = polyhead("annotate", "x")
    assert code == 1
    assert err.startswith("polyhead: not for you (request ")


def test_tasks(polyhead):
    """The tasks are listed with kind, labels and figures; --json gives them as data."""
    code, out, _ = polyhead("tasks")
    assert code == 0
    assert out.startswith("bundle testing testing-1")
    assert "classification" in out
    assert "sst-2 dev accuracy 50.0%" in out
    record = json.loads(polyhead("tasks", "--json")[1])
    assert [task["name"] for task in record["tasks"]] == ["sentiment", "entities", "pos", "topic"]


def test_health(polyhead, service):
    """Health is printed, and not serving is exit code 3."""
    assert polyhead("health", "--wait", "5")[:2] == (0, f"{service.address} is serving\n")
    service.health = Health.NOT_SERVING
    assert polyhead("health")[:2] == (3, f"{service.address} is not serving\n")
    assert polyhead("health", "--wait", "0.1")[0] == 3


def test_other_heads_show_too(polyhead, many_heads):
    """Many labels, several heads of a kind and strange names are shown by kind."""
    code, out, _ = polyhead("annotate", "Apple and Berlin", "--address", many_heads)
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert "and 14 more labels" in out
    assert lines[0] == "[Apple X] and Berlin"
    assert "Apple and [Berlin Y]" in lines


@pytest.fixture
def many_heads():
    """A service with two heads for spans and one with twenty labels."""
    from polyhead import HeadKind  # noqa: PLC0415 - of this fixture alone
    from polyhead.testing import Head  # noqa: PLC0415 - as above

    labels = tuple(f"label {number}" for number in range(20))
    heads = [
        Head("first", HeadKind.SPANS, ("X",), lambda _: [(0, 1, "X")]),
        Head("second", HeadKind.SPANS, ("Y",), lambda words: [(2, len(words), "Y")]),
        Head("wide", HeadKind.CLASSIFICATION, labels, lambda _: dict.fromkeys(labels, 1.0)),
    ]
    with serve(heads=heads) as service:
        yield service.address
