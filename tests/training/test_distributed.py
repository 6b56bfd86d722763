"""Two processes train as one does, and go on after one of them was killed."""

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from distributed_worker import chosen_steps, gradients
from safetensors.torch import load_file
from toy_data import SOURCES, toy_config

from polyhead_training import cli
from polyhead_training.checkpoint import BEST, CHECKPOINT, HISTORY
from polyhead_training.distributed import ALONE, Portion, Team, _buckets, join_team
from polyhead_training.errors import StoppedError, TrainingError
from polyhead_training.fit import train
from polyhead_training.progress import Reporter
from polyhead_training.workshop import open_workshop

QUICK = SOURCES.replace("passes", "max_examples = 24\npasses")
DROPOUT = toy_config(sources=QUICK, validations=2, learning_rate=1e-3, head_learning_rate=1e-3)
PLAIN = DROPOUT.replace("dropout = 0.1", "dropout = 0.0")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@dataclass(frozen=True, slots=True)
class Pair:
    """What two processes made, and of what."""

    plain: Path
    dropout: Path
    data: Path
    encoder: Path
    made: Path


def start(*command):
    """Two processes of a program."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*TORCHRUN, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tiny_encoder, toy_data):
    """Gradients and runs of two processes."""
    root = tmp_path_factory.mktemp("pair")
    (root / "plain.toml").write_text(PLAIN)
    (root / "dropout.toml").write_text(DROPOUT)
    pair = Pair(root / "plain.toml", root / "dropout.toml", toy_data, tiny_encoder, root)
    worker = Path(__file__).with_name("distributed_worker.py")
    process = start(worker, pair.plain, pair.dropout, toy_data, tiny_encoder, root)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return pair


def history(folder):
    lines = (folder / HISTORY).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_batch_is_shared_out_by_length():
    """Every item to exactly one process, the same way on each, with about as many tokens."""
    lengths = [9, 4, 4, 1, 7, 2]
    parts = [Team(rank, 3).part(lengths) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == [0, 1, 2, 3, 4, 5]
    assert sorted(sum(lengths[i] for i in part) for part in parts) == [9, 9, 9]
    assert [len(Team(rank, 3).part([5])) for rank in range(3)] == [1, 0, 0]
    assert ALONE.part(lengths) == frozenset(range(6))


def test_a_single_process_needs_nobody():
    """Without torchrun nothing is sent, and everything is its own."""
    with join_team({}) as team:
        assert team is ALONE
        assert team.leads
        assert team.portion(7, 9, 50) == Portion(1.0, 1.0, 50)
        assert team.portion(0, 9, 50) == Portion(0.0, 1.0, 50)
        assert team.share("x") == "x"
        assert team.in_turn(lambda: 3) == 3
        with pytest.raises(TrainingError, match="mine"), team.agreed():
            raise TrainingError("mine")


def test_gradients_are_sent_in_few_large_parts(monkeypatch):
    """Each parameter once, in order; one that is too large goes alone."""
    monkeypatch.setattr("polyhead_training.distributed._BUCKET_VALUES", 10)
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (4, 5, 3, 20, 1)]
    sizes = [[p.numel() for p in bucket] for bucket in _buckets(parameters)]
    assert sizes == [[4, 5], [3], [20], [1]]


def test_two_processes_have_the_gradients_of_one(pair):
    """Of every head, with joined and augmented items, and where one process has nothing to do."""
    shop = open_workshop(pair.plain, pair.data, str(pair.encoder))
    steps = chosen_steps(shop)
    alone = gradients(shop, steps)
    for rank in range(2):
        found = load_file(pair.made / f"gradients{rank}.safetensors")
        assert found.keys() == alone.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, alone[name], atol=1e-5, rtol=1e-5, msg=name)
    assert len({name.split("/")[0] for name in alone}) == len(steps)


def test_two_processes_end_like_one(pair, tmp_path):
    """Without dropout: the same figures at each validation, and nearly the same weights."""
    shop = open_workshop(pair.plain, pair.data, str(pair.encoder))
    with Reporter() as reporter:
        train(shop, tmp_path, reporter)
    ours, theirs = history(tmp_path), history(pair.made / "plain")
    assert len(ours) == len(theirs) == 2
    for one, two in zip(ours, theirs, strict=True):
        assert one["figures"] == two["figures"]
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-3)
    weights = load_file(tmp_path / BEST)
    for name, value in load_file(pair.made / "plain" / BEST).items():
        if not name.endswith("key.bias"):  # its gradient is 0 but for rounding
            torch.testing.assert_close(value, weights[name], atol=1e-4, rtol=1e-3, msg=name)


def test_an_error_of_another_process_is_told_by_the_leader(pair):
    """All end, and one says why."""
    told = (pair.made / "note0").read_text(encoding="utf-8")
    assert told.startswith("TrainingError: ")
    assert "nowhere/mood/train.jsonl" in told
    assert (pair.made / "note1").read_text(encoding="utf-8").startswith("StoppedError")


def test_what_another_process_tells_is_not_told_again(capsys, monkeypatch):
    """The exit code is that of an error, with nothing printed."""

    def stopped(_options):
        raise StoppedError

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=stopped)
    monkeypatch.setattr(cli, "build_parser", lambda: parser)
    assert cli.main([]) == cli.USAGE_ERROR
    assert capsys.readouterr().err == ""


def kill_the_second(run):
    """Wait for a first checkpoint, then end the process of rank 1 at once."""
    launcher = run.pid
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    ranks = {environment(child).get("RANK"): int(child) for child in children}
    os.kill(ranks["1"], signal.SIGKILL)


def environment(process):
    pairs = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def test_a_run_goes_on_after_one_process_was_killed(pair, tmp_path):
    """The other ends too; the same command then ends like the run that was left in peace."""
    bundle, folder = tmp_path / "bundle", tmp_path / "bundle.run"
    command = ("-m", "polyhead_training", "fit", pair.dropout, "--data", pair.data)
    command = (*command, "--out", bundle, "--encoder", pair.encoder)
    process = start(*command)
    for line in process.stderr:
        if line.startswith("validation"):
            kill_the_second(process)
            break
    process.communicate()
    assert process.returncode != 0
    assert (folder / CHECKPOINT).exists()
    assert not bundle.exists()
    process = start(*command)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.count("serve it: polyhead-server serve") == 1
    assert errors.count("validation at step") <= 2
    ours, theirs = load_file(folder / BEST), load_file(pair.made / "dropout" / BEST)
    assert [name for name, value in ours.items() if not torch.equal(value, theirs[name])] == []
    strip = [{**entry, "seconds": 0} for entry in history(folder)]
    assert strip == [{**entry, "seconds": 0} for entry in history(pair.made / "dropout")]
