"""The commands of polyhead-train, as a person meets them."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file
from toy_data import HEADS, SOURCES, toy_config

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_training.checkpoint import BEST
from polyhead_training.cli import main

BROKEN = toy_config(learning_rate=7, shedule="linear").replace('"mood"\nformat', '"mod"\nformat', 1)


def told(capsys, arguments, code: int = 0):
    """What a command printed, and that it ended as it should."""
    capsys.readouterr()
    assert main([str(item) for item in arguments]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out if code == 0 else captured.err


@pytest.fixture
def bundle(toy, tmp_path):
    """A copy of the bundle, without its run beside it."""
    return shutil.copytree(toy.bundle, tmp_path / "copy")


@pytest.mark.parametrize("arguments", [[], ["fit"], ["evaluate"], ["check"]])
def test_help_of_each_command(capsys, arguments):
    """Every option is explained."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: polyhead-train")
    assert not arguments or "--data DIR" in printed


@pytest.mark.parametrize("arguments", [[], ["fit"], ["train"], ["fit", "a.toml", "--data", "d"]])
def test_wrong_usage(capsys, arguments):
    """Exit code 2, and the usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: polyhead-train" in capsys.readouterr().err


def test_help_does_not_wait_for_torch():
    """The command line is built before anything heavy is imported."""
    code = "import sys, polyhead_training.cli as c; c.build_parser(); exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_counts_the_examples(capsys, toy):
    """One row a source."""
    printed = told(capsys, ["check", toy.config, "--data", toy.data])
    row = next(line for line in printed.splitlines() if "reviews" in line)
    assert [cell.strip() for cell in row.split("│")[1:6]] == ["reviews", "mood", "120", "24", "24"]


def test_a_bundle_without_heads_is_told_before_training(capsys, toy, tiny_encoder, tmp_path):
    """`check` warns of it, since such a run can be trained and measured."""
    config = tmp_path / "none.toml"
    heads = HEADS.replace("export = false\n", "").replace("\n\n", "\nexport = false\n\n")
    config.write_text(toy_config(heads + "export = false\n"))
    data = ["--data", toy.data]
    assert "warning: every head has export = false" in told(capsys, ["check", config, *data])
    out = tmp_path / "bundle"
    fit = ["fit", config, *data, "--encoder", tiny_encoder, "--out", out]
    assert f"{config}: every head has export = false: give --no-export" in told(capsys, fit, code=2)
    assert not list(tmp_path.glob("bundle*"))


@pytest.mark.parametrize("command", ["check", "fit"])
def test_every_error_is_told_at_once_and_nothing_is_written(capsys, toy, tmp_path, command):
    """Those of the config and those of all data files, each with its line."""
    config = tmp_path / "broken.toml"
    config.write_text(BROKEN)
    data = shutil.copytree(toy.data, tmp_path / "data")
    (data / "names/dev.conll").write_text("Ann\tB-PER\nmet\tB-XYZ\n")
    (data / "poles/train.jsonl").write_text('{"text": "fine", "label": "good"}\nno json\n')
    (data / "tags/dev.conllu").unlink()
    out = tmp_path / "out/bundle"
    more = ["--out", out, "--encoder", toy.encoder] if command == "fit" else []
    errors = told(capsys, [command, config, "--data", data, *more], code=2)
    lines = BROKEN.splitlines()
    at = lines.index("learning_rate = 7") + 1
    assert f"{config}:{at}: learning_rate must be a number from 0 to 1, not 7" in errors
    assert 'unknown key "shedule" (did you mean "schedule"?)' in errors
    assert '"mod"' in errors
    assert f"{data}/names/dev.conll:2: " in errors
    assert f"{data}/poles/train.jsonl:2: " in errors
    assert "tags/dev.conllu cannot be read" in errors
    assert not (tmp_path / "out").exists()


def test_texts_without_a_word_are_errors_of_the_data(capsys, toy, tmp_path):
    """They are found before training, not in the middle of it."""
    data = shutil.copytree(toy.data, tmp_path / "data")
    with (data / "mood/train.jsonl").open("a") as file:
        file.write('{"text": "\\u0001 \\u2028", "label": "good"}\n')
    errors = told(capsys, ["check", toy.config, "--data", data], code=2)
    assert errors == f'{data}/mood/train.jsonl:121: field "text" is empty\n'


def test_a_config_that_is_not_there(capsys, tmp_path):
    """Its name is told."""
    errors = told(capsys, ["check", tmp_path / "no.toml", "--data", tmp_path], code=2)
    assert errors == f"{tmp_path}/no.toml:1: cannot be read: No such file or directory\n"


def test_an_encoder_that_is_not_there(capsys, toy, tmp_path):
    """A directory without files is told in one line."""
    (tmp_path / "empty").mkdir()
    arguments = toy.fit(tmp_path / "out/bundle", "--encoder", str(tmp_path / "empty"))
    errors = told(capsys, arguments, code=2)
    assert errors.count("\n") == 1
    assert "cannot be loaded" in errors
    assert "--encoder" in errors
    assert not (tmp_path / "out").exists()


def test_an_encoder_on_a_hub_that_cannot_be_reached(toy, tmp_path):
    """One line and no long wait."""
    arguments = toy.fit(tmp_path / "bundle")[:-2]
    result = subprocess.run(
        [sys.executable, "-m", "polyhead_training.cli", *arguments],
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1, result.stderr
    assert "the encoder 'somewhere/tiny' cannot be loaded" in result.stderr


def test_windows_longer_than_the_encoder_reads(capsys, toy, tmp_path):
    """Told before training, with both numbers."""
    config = tmp_path / "long.toml"
    config.write_text(toy_config(batch_tokens=96).replace("max_tokens = 32", "max_tokens = 64"))
    arguments = ["fit", config, "--data", toy.data, "--out", tmp_path / "b"]
    errors = told(capsys, [*arguments, "--encoder", toy.encoder], code=2)
    assert "max_tokens is 64, but the encoder reads windows of at most 32" in errors


def test_a_place_that_holds_something_else(capsys, toy, tmp_path):
    """Refused before training: a bundle takes the place of bundles only."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_text("x")
    errors = told(capsys, toy.fit(tmp_path / "photos"), code=2)
    assert "is no bundle" in errors
    assert not (tmp_path / "photos.run").exists()


def test_a_place_that_cannot_be_written(capsys, toy, tmp_path):
    """The path and the system's reason, in one line."""
    (tmp_path / "file").write_text("x")
    errors = told(capsys, toy.fit(tmp_path / "out", "--run", str(tmp_path / "file/run")), code=2)
    assert errors == f"{tmp_path}/file/run: Not a directory\n"


def test_a_run_of_another_config_and_fresh(capsys, toy, tmp_path):
    """Refused by name; --fresh starts anew, but not before the config is found good."""
    run = shutil.copytree(toy.run, tmp_path / "run")
    config = tmp_path / "other.toml"
    quick = SOURCES.replace("passes", "max_examples = 8\npasses")
    config.write_text(toy_config(sources=quick, validations=1, average=0))
    paths = ["fit", config, "--data", toy.data, "--out", tmp_path / "b", "--run", run]
    arguments = [*paths, "--encoder", toy.encoder]
    assert "run of another configuration" in told(capsys, arguments, code=2)
    config.write_text("name = 3")
    told(capsys, [*arguments, "--fresh"], code=2)
    assert (run / BEST).read_bytes() == (toy.run / BEST).read_bytes()
    config.write_text(toy_config(sources=quick, validations=1, average=0))
    printed = told(capsys, [*arguments, "--fresh"])
    assert f"serve it: polyhead-server serve --bundle {tmp_path}/b" in printed
    assert (run / BEST).read_bytes() != (toy.run / BEST).read_bytes()


def test_evaluate_shows_served_beside_torch(capsys, toy):
    """A row a figure, both measured now."""
    printed = told(capsys, ["evaluate", toy.bundle, "--data", toy.data])
    assert "served" in printed
    assert "torch" in printed
    assert "at export" not in printed
    row = next(line for line in printed.splitlines() if "entity_f1" in line and "test" in line)
    assert "+0.00" in row


def test_evaluate_prints_json(capsys, toy):
    """One object with the same figures."""
    content = json.loads(told(capsys, ["evaluate", toy.bundle, "--data", toy.data, "--json"]))
    assert (content["bundle"], content["torch_measured_now"]) == ("toy", True)
    assert content["left_out"] == []
    assert len(content["served"]) == len(content["torch"]) == 7
    assert {"head", "source", "split", "metric", "value", "count"} <= content["served"][0].keys()


def test_evaluate_needs_no_training_files(capsys, toy, bundle, tmp_path):
    """Nor the run: the torch figures are then those noted at export."""
    data = shutil.copytree(toy.data, tmp_path / "data")
    for file in data.rglob("train*"):
        file.unlink()
    (data / "poles").rmdir()
    content = json.loads(told(capsys, ["evaluate", bundle, "--data", data, "--json"]))
    assert content["torch_measured_now"] is False
    assert len(content["torch"]) == 7
    assert "at export" in " ".join(told(capsys, ["evaluate", bundle, "--data", data]).split())


def test_evaluate_names_missing_files(capsys, toy, tmp_path):
    """All of them, in terms of the bundle."""
    errors = told(capsys, ["evaluate", toy.bundle, "--data", tmp_path], code=2)
    assert errors.count("cannot be read") == 5
    assert all(line.startswith(f"{toy.bundle} (") for line in errors.splitlines())


def test_figures_of_other_texts_are_not_compared(capsys, toy, bundle):
    """Training examples were held out for dev: they are not read again, which is said."""
    manifest = open_bundle(bundle).manifest
    known = manifest.provenance
    known["config"] = known["config"].replace("passes = 4.0", "passes = 4.0\nhold_out = 10")
    for figure in known["torch_figures"]:
        figure["count"] += 10 * (figure["source"] == "reviews" and figure["split"] == "dev")
    seal_bundle(bundle, manifest)
    arguments = ["evaluate", bundle, "--data", toy.data]
    content = json.loads(told(capsys, [*arguments, "--json"]))
    served, torch = (
        {(figure["source"], figure["split"]) for figure in content[side]}
        for side in ("served", "torch")
    )
    assert served - torch == {("reviews", "dev")}
    note = "reviews dev: training examples that were held out (hold_out = 10)"
    assert content["left_out"] == [note]
    assert f"not measured: {note}\n" in told(capsys, arguments)


def test_evaluate_on_other_data(capsys, toy, tmp_path):
    """A config may name other files and fewer heads than the bundle has."""
    config = tmp_path / "other.toml"
    parts = SOURCES.split("[[sources]]")
    heads = HEADS.split("[[heads]]")
    config.write_text(toy_config("[[heads]]" + heads[1], "[[sources]]" + parts[1]))
    arguments = ["evaluate", toy.bundle, "--data", toy.data, "--config", config, "--json"]
    content = json.loads(told(capsys, arguments))
    assert {figure["source"] for figure in content["served"]} == {"reviews"}
    assert content["torch_measured_now"] is True


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (HEADS.replace('"plain"', '"flat"'), 'head "mood" has another kind or other labels'),
        (HEADS.replace('name = "', 'name = "my-'), "no dev or test data for a head of the bundle"),
    ],
)
def test_evaluate_with_a_config_that_does_not_fit(capsys, toy, tmp_path, heads, message):
    """Labels must be the bundle's, and some head too."""
    config = tmp_path / "other.toml"
    sources = SOURCES if "flat" in heads else SOURCES.replace('head = "', 'head = "my-')
    config.write_text(toy_config(heads, sources))
    data = shutil.copytree(toy.data, tmp_path / "data")
    for file in data.rglob("mood/*.jsonl"):
        text = file.read_text()
        file.write_text(text.replace('"plain"', '"flat"') if "flat" in heads else text)
    arguments = ["evaluate", toy.bundle, "--data", data, "--config", config]
    assert message in told(capsys, arguments, code=2)


def test_evaluate_knows_the_weights_of_another_run(capsys, toy, bundle):
    """Torch figures beside a bundle must be those of its own weights."""
    run = shutil.copytree(toy.run, bundle.with_name("copy.run"))
    weights = load_file(run / BEST)
    weights["heads.mood.out.bias"] += 1
    save_file(weights, run / BEST)
    arguments = ["evaluate", bundle, "--data", toy.data]
    assert json.loads(told(capsys, [*arguments, "--json"]))["torch_measured_now"] is False
    errors = told(capsys, [*arguments, "--run", run], code=2)
    assert "other weights than those that the bundle was made from" in errors
    assert "holds no weights" in told(capsys, [*arguments, "--run", toy.data], code=2)


def test_evaluate_refuses_what_is_no_bundle(capsys, toy, bundle):
    """With the server's own message."""
    assert "not a bundle" in told(capsys, ["evaluate", toy.data, "--data", toy.data], code=2)
    (bundle / "encoder.bin").write_bytes(b"")
    errors = told(capsys, ["evaluate", bundle, "--data", toy.data], code=2)
    assert "encoder.bin is damaged" in errors


def test_evaluate_of_a_bundle_that_does_not_know_its_config(capsys, toy, bundle):
    """A config has to be given, and then it works."""
    manifest = open_bundle(bundle).manifest
    del manifest.provenance["config"]
    seal_bundle(bundle, manifest)
    arguments = ["evaluate", bundle, "--data", toy.data]
    assert "give --config" in told(capsys, arguments, code=2)
    assert "entity_f1" in told(capsys, [*arguments, "--config", toy.config])


def test_damaged_weights_are_told(capsys, toy, bundle):
    """By every command that reads them; beside a bundle they are passed over."""
    run = shutil.copytree(toy.run, bundle.with_name("copy.run"))
    os.truncate(run / BEST, (run / BEST).stat().st_size - 100)
    evaluate = ["evaluate", bundle, "--data", toy.data, "--json"]
    assert json.loads(told(capsys, evaluate))["torch_measured_now"] is False
    assert "holds no weights" in told(capsys, [*evaluate, "--run", run], code=2)
    again = toy.fit(bundle)
    assert f"{run / BEST} is damaged" in told(capsys, again, code=2)
    taught = toy.fit(bundle.with_name("taught"), "--teacher", run)
    assert "holds no weights" in told(capsys, taught, code=2)


def test_other_dev_data_are_another_run(capsys, toy, tmp_path):
    """They choose the weights."""
    run = shutil.copytree(toy.run, tmp_path / "bundle.run")
    data = shutil.copytree(toy.data, tmp_path / "data")
    with (data / "mood/dev.jsonl").open("a") as file:
        file.write('{"text": "The film was good.", "label": "good"}\n')
    fit = [
        "fit",
        toy.config,
        "--data",
        data,
        "--encoder",
        toy.encoder,
        "--out",
        tmp_path / "bundle",
    ]
    assert f"{run} holds a run of another configuration, data" in told(capsys, fit, code=2)


def test_a_place_may_be_named_by_a_dot(capsys, toy, bundle, monkeypatch):
    """Where one stands in it."""
    monkeypatch.chdir(bundle)
    assert "entity_f1" in told(capsys, ["evaluate", ".", "--data", toy.data])
    page = ["report", "heads/..", "--data", toy.data, "--out", "../page.html"]
    assert "page.html" in told(capsys, page)
    with pytest.raises(SystemExit):
        main(["evaluate", "/", "--data", str(toy.data)])
    assert "/ has no name" in capsys.readouterr().err


def test_a_full_disk_is_told(capsys, toy, bundle, monkeypatch, tmp_path):
    """In one line, and nothing half made stays."""
    page = ["report", bundle, "--data", toy.data, "--out", "/dev/full"]
    assert told(capsys, page, code=2) == "No space left on device\n"

    def copytree(source, place):
        place.mkdir()
        raise shutil.Error([(str(source), str(place), "[Errno 28] No space left on device")])

    monkeypatch.setattr(shutil, "copytree", copytree)
    remove = ["remove-head", bundle, "--name", "mood", "--out", tmp_path / "fewer"]
    errors = told(capsys, remove, code=2)
    assert errors.endswith(
        f"cannot be copied to {tmp_path}/.fewer.polyhead-new: [Errno 28] No space left on device\n"
    )
    assert not list(tmp_path.glob("*fewer*"))
