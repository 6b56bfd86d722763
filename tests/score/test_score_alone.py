"""Scoring in one process: every row once, bad rows aside, input kept, stopped and gone on with."""

from __future__ import annotations

import gzip
import json
import shutil
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scoring_data import (
    ALL_ERRORS,
    ALL_IDS,
    BAD,
    content,
    errors,
    files_of,
    ids,
    order_for,
    rows,
    table,
    text,
)

from polyhead_server.cli import main
from polyhead_server.model import Model
from polyhead_server.score.alone import score_alone
from polyhead_server.score.errors import ScoreError
from polyhead_server.score.journal import Journal
from polyhead_server.score.run import run

score = partial(score_alone, threads=1)


def score_all(bundle, inputs, output, fragment_rows=10, watch=lambda _: None, **fields):
    order = order_for(bundle, output, **fields)
    return run(order, files_of(inputs, output), fragment_rows, score, watch)


@pytest.fixture(scope="module")
def scored(tiny_bundle, inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("scored")
    score_all(tiny_bundle, inputs, output)
    return output


def test_each_row_once_in_its_place(scored):
    """Rows are in the output or among the errors, each once, in the order of their file."""
    assert ids(scored) == ALL_IDS
    assert errors(scored) == ALL_ERRORS


def test_nothing_else_is_left(scored):
    """Unfinished files are gone, and the manifest tells where rows went."""
    assert not (scored / "_unfinished").exists()
    manifest = json.loads((scored / "_manifest.json").read_bytes())
    assert manifest["rows"] == sum(map(len, ALL_IDS.values()))
    assert manifest["errors"] == ALL_ERRORS.total()
    named = [part["name"] for file in manifest["files"] for part in file["parts"]]
    assert sorted(named) == sorted(path.name for path in scored.glob("part-*"))


def test_results_are_those_of_the_bundle(scored, tiny_bundle):
    """A row has what the model says about its text alone, and keeps what it had."""
    first = rows(scored / "part-00000-000000.jsonl")[2]
    assert (first["id"], first["text"], first["kept"]) == (2, text(2), [2, None])
    model = Model.load(tiny_bundle, threads=1)
    document = model.tokenize(text(2))
    tasks = [head.name for head in model.bundle.heads]
    run_alone = model.run(model.jobs(document, tasks)).outputs
    outputs = model.finish(document, run_alone, tasks)
    model.close()
    found = first["predictions"]
    assert list(found) == tasks
    sentiment = outputs["sentiment"]
    assert found["sentiment"]["score"] == pytest.approx(float(max(sentiment.scores)), abs=1e-5)
    words = [text(2)[start:end] for start, end in document.words]
    assert [word["text"] for word in found["pos"]["words"]] == words
    assert len(found["entities"]["spans"]) == len(outputs["entities"].spans)


def test_lines_keep_what_python_would_write_otherwise(tiny_bundle, tmp_path):
    """Numbers beyond a float's stay; what is no JSON is refused."""
    (tmp_path / "in").mkdir()
    given = '{"text": "the fans", "v": 1e400, "d": 0.12345678901234567890123'
    bad = '{"text": "the fans", "v": NaN}'
    (tmp_path / "in/a.jsonl").write_text(f"{given}}}\n{bad}\n")
    score_all(tiny_bundle, tmp_path / "in", tmp_path / "out")
    part = (tmp_path / "out/part-00000-000000.jsonl").read_text()
    assert part.startswith(given + ', "predictions": {')
    assert part.count("\n") == 1
    assert json.loads(part)["predictions"]["pos"]
    assert '"not JSON"' in (tmp_path / "out/_errors.jsonl").read_text()


def test_formats_agree(scored):
    """A text gets the same results from lines, packed lines and Parquet."""
    by_file = [
        {row["id"]: row["predictions"] for part in found for row in rows(part)}
        for found in (sorted(scored.glob(f"part-0000{n}-*")) for n in range(3))
    ]
    for index in set(ALL_IDS[0]) & set(ALL_IDS[2]):
        assert by_file[0][index] == by_file[1][index]
        mine, other = by_file[0][index]["pos"], by_file[2][index]["pos"]
        assert [word["tag"] for word in mine["words"]] == [word["tag"] for word in other["words"]]


def test_parquet_types_do_not_depend_on_data(tiny_bundle, tmp_path):
    """A file without a row, or without a good one, has the types of any other; columns are kept."""
    folder = tmp_path / "in"
    folder.mkdir()
    nothing = pa.table({"id": pa.array([1], pa.int16()), "text": pa.array([None], pa.string())})
    pq.write_table(nothing, folder / "a.parquet")
    pq.write_table(table(), folder / "b.parquet")
    output = tmp_path / "out"
    score_all(tiny_bundle, folder, output, fragment_rows=1000)
    schemas = [pq.read_schema(part) for part in sorted(output.glob("part-*"))]
    assert schemas[0] == schemas[1]
    assert schemas[0].field("id").type == pa.int16()
    spans = schemas[0].field("predictions").type.field("entities").type.field("spans").type
    assert spans.value_type.field("start").type == pa.int64()


@pytest.mark.parametrize("stop_after", [0, 3, 17])
def test_a_stopped_run_goes_on(tiny_bundle, inputs, scored, tmp_path, stop_after):
    """What a stopped run finished is not done again, and in the end all is as if in one go."""

    class StoppedError(Exception):
        pass

    def stop(done):
        finished.append(done.name)
        if len(finished) > stop_after:
            raise StoppedError

    finished: list[str] = []
    with pytest.raises(StoppedError):
        score_all(tiny_bundle, inputs, tmp_path, watch=stop)
    assert not (tmp_path / "_unfinished").exists()
    again: list[str] = []
    score_all(tiny_bundle, inputs, tmp_path, watch=lambda done: again.append(done.name))
    assert len(finished) == stop_after + 1
    assert not set(finished) & set(again)
    assert content(tmp_path) == content(scored)


def test_a_part_that_is_lost_is_made_again(tiny_bundle, inputs, scored, tmp_path):
    """A fragment whose part is not what the journal says is scored again, and only that."""
    output = tmp_path / "out"
    shutil.copytree(scored, output)
    (output / "part-00000-000001.jsonl").unlink()
    (output / "part-00001-000002.jsonl.gz").write_bytes(b"torn")
    again: list[str] = []
    score_all(tiny_bundle, inputs, output, watch=lambda done: again.append(done.name))
    assert again == ["part-00000-000001", "part-00001-000002"]
    assert content(output) == content(scored)


def test_another_input_is_refused(tiny_bundle, inputs, scored, tmp_path):
    """A run is gone on with by the same input, bundle and options, or not at all."""
    output, changed = tmp_path / "out", tmp_path / "in"
    shutil.copytree(scored, output)
    with pytest.raises(ScoreError, match="--column"):
        score_all(tiny_bundle, inputs, output, column="other")
    shutil.copytree(inputs, changed)
    with pytest.raises(ScoreError, match="other input"):
        score_all(tiny_bundle, changed, output)
    assert content(output) == content(scored)


def test_two_runs_at_once_are_refused(tiny_bundle, inputs, tmp_path):
    """The folder belongs to one run at a time."""
    with Journal(tmp_path).alone(), pytest.raises(ScoreError, match="another run"):
        score_all(tiny_bundle, inputs, tmp_path)


def test_another_bundle_is_refused_by_the_process_that_scores(tiny_bundle, inputs, tmp_path):
    """What a process loads must have the digest that the run began with."""
    other = order_for(tiny_bundle, tmp_path)
    swapped = type(other)(tiny_bundle, "0" * 64, other.tasks, tmp_path, other.fields)
    with pytest.raises(ScoreError, match="another bundle"):
        run(swapped, files_of(inputs, tmp_path), 10, score)


def test_damaged_files_end_at_the_damage(tiny_bundle, tmp_path):
    """What is before the damage is scored; where it begins is told; other files go on."""
    folder = tmp_path / "in"
    folder.mkdir()
    whole = gzip.compress(
        "".join(f'{{"id": {n}, "text": "w{n * n}"}}\n' for n in range(999)).encode()
    )
    (folder / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "b.parquet").write_bytes(b"PAR1 no such thing")
    (folder / "c.jsonl").write_text('{"id": 1, "text": "fine"}\n', encoding="utf-8")
    output = tmp_path / "out"
    totals = score_all(tiny_bundle, folder, output, fragment_rows=100)
    found = ids(output)
    assert found[0] == list(range(len(found[0])))
    assert 0 < len(found[0]) < 999
    assert found[2] == [1]
    assert errors(output) == {("a.jsonl.gz", len(found[0]) + 1): 1, ("b.parquet", 1): 1}
    assert totals.errors == 2


def test_odd_lines(tiny_bundle, tmp_path):
    """Each odd line is told with its number; a mark at the start and Windows ends are no matter."""
    folder = tmp_path / "in"
    folder.mkdir()
    odd = [
        b'\xef\xbb\xbf{"id": 1, "text": "one"}\r',
        b"",
        b'{"id": 3, "text": "\xff"}',
        b"[" * 100_000,
        b'["text"]',
        b'{"id": 6, "text": "\\ud800"}',
        b'{"id": 7, "predictions": 1, "text": "x"}',
        b'{"id": 8}',
        b'{"id": 9, "text": "nine", "other": "\\ud800"}',
    ]
    (folder / "a.jsonl").write_bytes(b"\n".join(odd))
    output = tmp_path / "out"
    score_all(tiny_bundle, folder, output)
    assert ids(output) == {0: [1, 9]}
    assert errors(output) == {("a.jsonl", row): 1 for row in range(3, 9)}


def test_words_in_place_of_text(tiny_bundle, tmp_path):
    """Lists of words are taken as they are, in both formats."""
    folder = tmp_path / "in"
    folder.mkdir()
    words = [["the", "New York", "fans"], [], None, ["x", " "]]
    pq.write_table(pa.table({"id": [0, 1, 2, 3], "w": words}), folder / "a.parquet")
    (folder / "b.jsonl").write_text(
        "\n".join(json.dumps({"id": n, "w": w}) for n, w in enumerate(words)), encoding="utf-8"
    )
    output = tmp_path / "out"
    score_all(tiny_bundle, folder, output, words="w")
    for part in output.glob("part-*"):
        (only,) = rows(part)
        assert [word["text"] for word in only["predictions"]["pos"]["words"]] == words[0]
    assert errors(output).total() == 6


def test_command(tiny_bundle, inputs, tmp_path, capsys):
    """The command says what it did and exits with 0; what it is told wrongly, with 2."""
    given = [
        "score",
        str(tiny_bundle),
        "--input",
        str(inputs),
        "--output",
        str(tmp_path),
        "--local",
    ]
    assert main([*given, "--tasks", "pos", "--fragment-rows", "25"]) == 0
    shown = capsys.readouterr()
    assert f"{sum(map(len, ALL_IDS.values()))} rows of 3 files scored" in shown.out
    assert f"{2 * len(BAD) + 1} bad rows" in shown.out
    assert "rows/s" in shown.err
    assert "tokens/s" in shown.err
    for more, told in (
        (["--tasks", "nothing"], "no nothing"),
        (["--address", "x:1"], "--local"),
        (["--input", str(tmp_path / "nowhere")], "is not there"),
    ):
        assert main([*given, *more]) == 2
        assert told in capsys.readouterr().err


def test_a_packed_file_whose_name_is_in_capitals(tiny_bundle, tmp_path):
    """It is unpacked like any other."""
    folder = tmp_path / "given"
    folder.mkdir()
    lines = "".join(f'{{"text": "the fans {number}"}}\n' for number in range(3))
    (folder / "A.JSONL.GZ").write_bytes(gzip.compress(lines.encode()))
    score_all(tiny_bundle, folder, tmp_path / "out")
    assert not errors(tmp_path / "out")
    assert json.loads((tmp_path / "out/_manifest.json").read_bytes())["rows"] == 3
