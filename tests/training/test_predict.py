"""The command polyhead-train predict: annotation, and training data for a student."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from toy_data import HEADS, toy_config

from polyhead_training import predict as module
from polyhead_training.batches import output_ids
from polyhead_training.cli import main
from polyhead_training.evaluation import annotate, labels_of
from polyhead_training.predict_engine import Predictor, load_model

TEXTS = ["The film was great.", "Ann Bob met Eve in Paris.", "The room felt dire"]


@pytest.fixture
def run(toy, tmp_path, capsys):
    """Runs the command on a file's content: exit code, what was written, what was told."""

    def ran(content, *more, name="in.txt", code=0):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        arguments = ["predict", toy.bundle, "--input", file, "--threads", "1", *more]
        capsys.readouterr()
        assert main([str(item) for item in arguments]) == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured

    return ran


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_annotations_are_those_of_the_served_bundle(run, toy):
    """Every task; the fields of the input stay."""
    given = [{"n": n, "text": text} for n, text in enumerate(TEXTS)]
    found = rows(run("\n".join(map(json.dumps, given)), name="in.jsonl").out)
    assert [{k: row[k] for k in ("n", "text")} for row in found] == given
    model = load_model(toy.bundle, 1)
    for task in ("mood", "names", "tags"):
        spec = next(head for head in model.bundle.heads if head.name == task)
        for row, (doc, output) in zip(found, annotate(model, TEXTS, task), strict=True):
            expected = labels_of(output, spec, len(doc.words), ())
            assert _answer(row["predictions"][task], row["text"], doc) == expected
    model.close()


def _answer(prediction, text, doc):
    """A prediction as labels: of the text, or of each word."""
    if "label" in prediction:
        assert prediction["score"] == max(prediction["scores"].values())
        return prediction["label"]
    if "tags" in prediction:
        assert prediction["words"] == [text[start:end] for start, end in doc.words]
        return prediction["tags"]
    tags = ["O"] * len(doc.words)
    for span in prediction["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        inside = [
            n for n, (a, b) in enumerate(doc.words) if span["start"] <= a and b <= span["end"]
        ]
        for n in inside:
            tags[n] = f"{'B' if n == inside[0] else 'I'}-{span['label']}"
    return tags


def test_chunks_change_nothing(run, monkeypatch):
    """Input of any size is read so many texts at a time; the order stays, the answers too."""
    content = "\n".join(f"The film {n} was great." for n in range(25))
    whole = rows(run(content).out)
    monkeypatch.setattr(module, "_CHUNK_TEXTS", 4)
    parts = rows(run(content).out)
    assert [row["text"] for row in parts] == content.splitlines()
    for row, other in zip(whole, parts, strict=True):
        assert row["predictions"]["mood"]["score"] == pytest.approx(
            other["predictions"]["mood"]["score"], abs=1e-4
        )


def test_texts_longer_than_a_window(run):
    """They are read whole: each word has its tag."""
    text = " ".join(["the film was great ."] * 40)
    tags = rows(run(text, "--task", "tags").out)[0]["predictions"]["tags"]["tags"]
    assert len(tags) == 200
    assert tags[:5] == tags[100:105]


def test_earlier_predictions_stay(run):
    """Those of other tasks; the same task's are new."""
    row = {"text": TEXTS[0], "predictions": {"other": 1, "mood": 2}}
    found = rows(run(json.dumps(row), "--task", "mood", name="in.jsonl").out)[0]["predictions"]
    assert found["other"] == 1
    assert found["mood"]["label"] == "good"


def test_a_field_of_that_name_that_is_no_object_is_not_lost(run):
    """Refused with its line: the results would replace it. Training data have no such field."""
    lines = [{"text": TEXTS[0], "predictions": given} for given in ([1], "good", None)]
    content = "\n".join(map(json.dumps, lines))
    found = run(content, "--task", "mood", name="in.jsonl", code=2)
    assert len(rows(found.out)) == 1
    for line in (1, 2):
        assert f'in.jsonl:{line}: field "predictions" must be an object' in found.err
    pseudo = run(content, "--pseudo-label", "mood", "--min-score", "0", name="in.jsonl")
    assert len(rows(pseudo.out)) == len(lines)


def test_bad_records_are_told_and_kept(run, tmp_path):
    """With file and line; the rest is annotated, and the exit code says that not all was."""
    errors = tmp_path / "errors.txt"
    content = b"The film was great.\n\x01 \n\xff\nThe room felt dire.\n"
    found = run(content, "--errors", errors, code=2)
    assert len(rows(found.out)) == 2
    file = tmp_path / "in.txt"
    assert f"{file}:2: has no word to annotate\n{file}:3: is not valid UTF-8" in found.err
    assert f"2 of 4 texts could not be read and were left out; they are in {errors}" in found.err
    assert errors.read_bytes() == b"\x01 \n\xff\n"
    assert len(rows(run(content, "--skip-errors").out)) == 2


def test_bad_rows_of_a_table_can_be_mended(run, tmp_path):
    """They are kept below their heading."""
    errors = tmp_path / "errors.csv"
    run("text,n\nfine,1\nbad\nworse\n", "--errors", errors, name="in.csv", code=2)
    assert errors.read_text() == "text,n\nbad\nworse\n"


def test_many_bad_records_do_not_flood(run):
    """Fifty are told, the others counted."""
    told = run("{\n" * 70, name="in.jsonl", code=2).err
    assert told.count("is not valid JSON") == 50
    assert "... and 20 more" in told


def test_standard_input(toy, capsys, monkeypatch):
    """Lines of text, unless a format is given."""

    class Stdin:
        buffer = io.BytesIO(b'{"text": "The film was great."}\n')

    monkeypatch.setattr(sys, "stdin", Stdin)
    arguments = ["predict", str(toy.bundle), "--input", "-", "--format", "jsonl", "--output", "-"]
    assert main([*arguments, "--task", "mood"]) == 0
    assert rows(capsys.readouterr().out)[0]["predictions"]["mood"]["label"] == "good"


def test_columns_of_words(run, tmp_path):
    """A column a task in the order asked for, a blank line behind each text."""
    out = tmp_path / "out.conll.gz"
    run("Ann met Bob in Rome.\n", "--task", "names", "tags", "--output", out)
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    assert lines[-1] == ""
    cells = [line.split("\t") for line in lines[:-1]]
    assert [row[0] for row in cells] == ["Ann", "met", "Bob", "in", "Rome", "."]
    assert cells[0][1] == "B-PER"
    assert cells[-1][1:] == ["O", "PUNCT"]
    told = run("x", "--output-format", "conll", code=2).err
    assert told.startswith("columns of words have no place for mood")


def test_words_of_a_tree_bank(run):
    """The file's own words are tagged; spans lie in the sentence's text."""
    tree = "# text = Ann met Eve.\n" + "".join(
        f"{n}\t{word}\t_\tX\t_\t_\t_\t_\t_\t_\n"
        for n, word in enumerate(["Ann", "met", "Eve", "."], 1)
    )
    row = rows(run(tree, name="in.conllu").out)[0]
    assert row["text"] == "Ann met Eve."
    assert row["upos"] == ["X"] * 4
    assert row["predictions"]["tags"]["words"] == ["Ann", "met", "Eve", "."]
    for span in row["predictions"]["names"]["spans"]:
        assert row["text"][span["start"] : span["end"]] == span["text"]


def test_pseudo_labels_of_texts(run, toy, tmp_path):
    """Those that are certain, in a file that fit takes."""
    content = "\n".join(row["text"] for row in rows((toy.data / "mood/dev.jsonl").read_text()))
    out = tmp_path / "pseudo/train.jsonl"
    out.parent.mkdir()
    every = rows(run(content, "--task", "mood").out)
    scores = sorted(row["predictions"]["mood"]["score"] for row in every)
    least = str(scores[len(scores) // 2])
    told = run(content, "--pseudo-label", "mood", "--min-score", least, "--output", out).err
    kept = rows(out.read_text())
    assert 0 < len(kept) < len(every)
    assert all(row["score"] >= float(least) - 1e-6 for row in kept)
    assert f"kept {len(kept)}" in told
    labels = {row["text"]: row["predictions"]["mood"]["label"] for row in every}
    assert all(labels[row["text"]] == row["label"] for row in kept)
    _check_config(toy, tmp_path, "mood", "jsonl", "pseudo/train.jsonl", len(kept))


@pytest.mark.parametrize("task", ["names", "tags"])
@pytest.mark.parametrize("form", ["conll", "jsonl"])
def test_pseudo_labels_of_words(run, toy, tmp_path, task, form):
    """A sentence is kept where its least certain word is certain enough; fit takes the file."""
    content = (toy.data / "names/dev.conll").read_text()
    out = tmp_path / f"train.{form}"
    with Predictor(toy.bundle, [task], 1) as predictor:
        sentences = [
            tuple(line.split("\t")[0] for line in block.splitlines())
            for block in content.strip().split("\n\n")
        ]
        found = predictor.annotate([predictor.read(words) for words in sentences])
        scores = [predictor.least_certain_word(item, task) for item in found]
    least = float(np.median(scores))
    run(content, "--pseudo-label", task, "--min-score", least, "--output", out, name="in.conll")
    expected = [words for words, score in zip(sentences, scores, strict=True) if score >= least]
    assert 0 < len(expected) < len(sentences)
    assert _words(out, form) == expected
    _check_config(toy, tmp_path, task, form, out.name, len(expected))


def _words(file, form):
    if form == "jsonl":
        return [tuple(row["words"]) for row in rows(file.read_text())]
    blocks = file.read_text().strip().split("\n\n")
    return [tuple(line.split("\t")[0] for line in block.splitlines()) for block in blocks]


def _check_config(toy, root, task, form, train, count):
    """The training side reads the file without an error."""
    from polyhead_training.data import load_inputs  # noqa: PLC0415

    source = f'[[sources]]\nname = "own"\nhead = "{task}"\nformat = "{form}"\ntrain = "{train}"\n'
    config = root / "student.toml"
    heads = [part for part in HEADS.split("[[heads]]") if f'"{task}"' in part]
    config.write_text(toy_config("[[heads]]" + heads[0], source))
    _, data = load_inputs(config, root)
    assert len(data["own"].train) == count


def test_the_least_certain_word_of_a_sentence(toy):
    """For spans it is the probability of the tag that the word was given, O too."""
    with Predictor(toy.bundle, ["names"], 1) as predictor:
        spec = predictor.specs["names"]
        found = predictor.annotate([predictor.read(("Ann", "met", "Carl", "in", "Oslo", "."))])[0]
        head = predictor._heads["names"]
        scores = head._probabilities(found.features.words)
        tags = labels_of(found.outputs["names"], spec, len(scores), ())
        chosen = [scores[n, output_ids(spec)[tag]] for n, tag in enumerate(tags)]
        assert set(tags) > {"O"}
        assert predictor.least_certain_word(found, "names") == pytest.approx(min(chosen), abs=1e-6)


def test_a_file_appears_when_it_is_whole(toy, tmp_path, monkeypatch, capsys):
    """What was done before an interruption is kept under another name."""

    class Interrupted(io.BytesIO):
        def readline(self, *_):
            if self.tell() > 20:
                raise KeyboardInterrupt
            return super().readline()

    class Stdin:
        buffer = Interrupted(b"The film was great.\n" * 3)

    monkeypatch.setattr(sys, "stdin", Stdin)
    monkeypatch.setattr(module, "_CHUNK_TEXTS", 1)
    out = tmp_path / "out.jsonl"
    arguments = ["predict", str(toy.bundle), "--input", "-", "--output", str(out)]
    assert main(arguments) == 130
    assert f"stopped; what was done is in {out}.partial" in capsys.readouterr().err
    assert not out.exists()
    assert len(rows((tmp_path / "out.jsonl.partial").read_text())) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--task", "mod"], "has no head mod; there are: mood, names, tags"),
        (["--output", "in.txt"], "is the input: write to another file"),
        (["--output", "e", "--errors", "e"], "cannot take the results and the errors"),
    ],
)
def test_what_cannot_be_done(run, tmp_path, monkeypatch, more, message):
    """One line; nothing is written."""
    monkeypatch.chdir(tmp_path)
    told = run("x\n", *more, code=2)
    assert message in told.err
    assert told.err.count("\n") == 1
    assert (tmp_path / "in.txt").read_text() == "x\n"


@pytest.mark.parametrize(
    "more",
    [
        ["--min-score", "0.5"],
        ["--min-score", "2", "--pseudo-label", "mood"],
        ["--pseudo-label", "mood", "--task", "mood"],
        ["--threads", "-1"],
        ["--input", "file.doc"],
    ],
)
def test_wrong_usage(toy, capsys, more):
    """Exit code 2, and the usage."""
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(toy.bundle), "--input", "x.txt", *more])
    assert caught.value.code == 2
    assert "usage: polyhead-train predict" in capsys.readouterr().err


def test_missing_files(run, toy, tmp_path, capsys):
    """The path and the reason, in one line."""
    assert main(["predict", str(toy.bundle), "--input", str(tmp_path / "no.txt")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/no.txt: No such file or directory\n"
    assert main(["predict", str(tmp_path), "--input", str(tmp_path / "no.txt")]) == 2
    assert "not a bundle" in capsys.readouterr().err


def test_a_reader_that_has_enough(toy, tmp_path):
    """It is no error when the pipe is closed."""
    file = tmp_path / "in.txt"
    file.write_text("The film was great.\n" * 200)
    command = [sys.executable, "-m", "polyhead_training.cli", "predict", str(toy.bundle)]
    with subprocess.Popen(
        [*command, "--input", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 0, told
    assert b"Traceback" not in told
    assert b"Exception" not in told
