"""A run can be stopped, killed and taken up again, and ends as if nothing had happened."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from toy_data import SOURCES, toy_config

from polyhead_training.checkpoint import BEST, CHECKPOINT, HISTORY
from polyhead_training.errors import TrainingError
from polyhead_training.fit import discard, train
from polyhead_training.loop import RunPlace
from polyhead_training.run import Lessons, TrainingRun

NO_DEV = "\n".join(line for line in SOURCES.splitlines() if not line.startswith("dev"))
QUICK = SOURCES.replace("passes", "max_examples = 24\npasses")


class Log:
    """Notes what a run reports."""

    def __init__(self, network=None):
        self.steps = []
        self.validations = []
        self.weights = []
        self._network = network

    def step(self, done, total, loss, tokens):
        self.steps.append((done, total, loss, tokens))
        if self._network is not None:
            state = self._network.state_dict()
            self.weights.append({name: value.clone() for name, value in state.items()})

    def taught(self, source, done, total):
        """There are no teachers."""

    def validated(self, step, measures, score, *, best):
        self.validations.append((step, measures, score, best))


class Stopped(Exception):  # noqa: N818 - no error
    """Stands for a kill between two steps."""


class Stopper(Log):
    """Stops a run at a step."""

    def __init__(self, at):
        super().__init__()
        self._at = at

    def step(self, done, total, loss, tokens):
        super().step(done, total, loss, tokens)
        if done == self._at:
            raise Stopped


def start(arguments):
    """The real command, as a process."""
    command = [sys.executable, "-m", "polyhead_training.cli", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def at_next_validation(process, number: int):
    """Send a signal at the next validation; returns what was printed after it."""
    for line in process.stderr:
        if line.startswith("validation"):
            process.send_signal(number)
            break
    return process.communicate()[1]


def test_a_stopped_and_killed_run_ends_like_an_uninterrupted_one(toy, tmp_path):
    """Ctrl-C, the same command again, SIGKILL, and again: the weights are the same to the bit."""
    bundle, run = tmp_path / "bundle", tmp_path / "bundle.run"
    process = start(toy.fit(bundle))
    rest = at_next_validation(process, signal.SIGINT)
    assert process.returncode == 130
    assert rest.endswith("stopped; the same command goes on from the last checkpoint\n")
    assert "Traceback" not in rest
    process = start(toy.fit(bundle))
    at_next_validation(process, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (run / CHECKPOINT).exists()
    assert not bundle.exists()
    process = start(toy.fit(bundle))
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "validation at step" in errors
    assert "serve it" in output
    ours, theirs = load_file(run / BEST), load_file(toy.run / BEST)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    for name in ("mood", "names", "tags"):
        file = f"heads/{name}.safetensors"
        assert (bundle / file).read_bytes() == (toy.bundle / file).read_bytes()
    assert history(run) == history(toy.run)


def test_terminated(toy, tmp_path):
    """SIGTERM, as of a machine that is taken away, is told like Ctrl-C; nothing half made stays."""
    process = start(toy.fit(tmp_path / "bundle"))
    rest = at_next_validation(process, signal.SIGTERM)
    assert process.returncode == 143
    assert rest.endswith("stopped; the same command goes on from the last checkpoint\n")
    assert [found.name for found in tmp_path.iterdir()] == ["bundle.run"]


def history(run):
    """What a run's history says, but for the time it took."""
    entries = [json.loads(line) for line in (run / HISTORY).read_text().splitlines()]
    return [{key: value for key, value in e.items() if key != "seconds"} for e in entries]


def test_going_on_from_any_checkpoint_gives_the_same_weights(open_shop, tmp_path):
    """Optimiser, averages, dropout, order and augmentation all go on as they were."""
    text = toy_config(sources=QUICK)
    whole = train(open_shop(text), tmp_path / "whole", Log())
    for at in (1, 5):
        with pytest.raises(Stopped):
            train(open_shop(text), tmp_path / "parts", Stopper(at))
    log = Log()
    run = train(open_shop(text), tmp_path / "parts", log)
    assert log.steps[0][0] == 5  # the step that was stopped in had not been saved
    assert run.progress.step == whole.progress.step
    assert run.progress.loss == whole.progress.loss
    for name in (BEST, CHECKPOINT):
        ours, theirs = (load_file(tmp_path / part / name) for part in ("parts", "whole"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_averaged_weights_come_back_to_the_device_of_the_run(open_shop, tmp_path):
    """A checkpoint is read to the CPU; steps take the mean where the network is."""
    shop = open_shop(toy_config(sources=QUICK))

    def made(device):
        return TrainingRun(
            shop.config,
            shop.network,
            shop.assets.encoder(),
            lessons=Lessons([], []),
            validate=list,
            hardware=replace(shop.hardware, device=torch.device(device)),
            place=RunPlace(tmp_path, "mark"),
            watcher=Log(),
        )

    made("cpu")._save()
    run = made("meta")
    run.resume()
    assert run._average.keys() == shop.network.state_dict().keys()
    assert {value.device.type for value in run._average.values()} == {"meta"}


def test_a_finished_run_is_not_trained_again(open_shop, tmp_path):
    """The same command again takes no step and keeps the weights."""
    text = toy_config(sources=QUICK)
    train(open_shop(text), tmp_path / "run", Log())
    before = (tmp_path / "run" / BEST).read_bytes()
    log = Log()
    train(open_shop(text), tmp_path / "run", log)
    assert log.steps == []
    assert (tmp_path / "run" / BEST).read_bytes() == before


def test_a_run_of_another_config_is_refused(open_shop, tmp_path):
    """It is named, left as it is, and --fresh is offered; then the new run may begin."""
    run = tmp_path / "run"
    train(open_shop(toy_config(sources=QUICK)), run, Log())
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    other = toy_config(sources=QUICK, learning_rate=1e-3)
    with pytest.raises(TrainingError, match=r"run of another configuration.*--fresh") as caught:
        train(open_shop(other), run, Log())
    assert str(run) in str(caught.value)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
    (run / "notes.txt").write_text("mine")
    discard(run)
    assert [path.name for path in run.iterdir()] == ["notes.txt"]
    log = Log()
    train(open_shop(other), run, log)
    assert log.steps[0][0] == 1


def test_a_damaged_checkpoint_is_refused(open_shop, tmp_path):
    """Half a file is no place to go on from."""
    run = tmp_path / "run"
    train(open_shop(toy_config(sources=QUICK)), run, Log())
    content = (run / CHECKPOINT).read_bytes()
    (run / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match="is damaged"):
        train(open_shop(toy_config(sources=QUICK)), run, Log())


def test_validation_is_spread_over_training(open_shop, tmp_path):
    """As often as configured, the last at the end; each measures every dev part once."""
    log = Log()
    run = train(open_shop(toy_config(sources=QUICK, validations=4)), tmp_path / "run", log)
    total = log.steps[-1][1]
    assert [step for step, *_ in log.validations] == [-(-total * n // 4) for n in (1, 2, 3, 4)]
    _, measures, score, _ = log.validations[-1]
    assert {m.source for m in measures} == {"reviews", "visits", "trees", "side"}
    counted = [m.value for m in measures if m.source != "side"]  # which is not to select
    assert score == pytest.approx(sum(counted) / 3)
    assert [e["step"] for e in run.progress.history] == [step for step, *_ in log.validations]
    assert run.progress.best_score == max(score for _, _, score, _ in log.validations)


def test_training_stops_when_validation_stops_improving(open_shop, tmp_path):
    """With rates of next to nothing the figures stay, and patience runs out."""
    still = {"learning_rate": 0, "head_learning_rate": 1e-8, "average": 0}
    log = Log()
    text = toy_config(sources=QUICK, validations=6, patience=2, **still)
    run = train(open_shop(text), tmp_path / "run", log)
    assert [best for *_, best in log.validations] == [True, False, False]
    assert run.progress.step == log.validations[-1][0] < log.steps[-1][1]
    assert run.progress.best_step == log.validations[0][0]
    assert train(open_shop(text), tmp_path / "run", Log()).progress.step == run.progress.step


def test_without_validation_data_the_last_weights_are_kept(open_shop, tmp_path):
    """Nothing was measured, so nothing stops training early or prefers earlier weights."""
    text = toy_config(sources=NO_DEV, validations=3, patience=1, average=0)
    run = train(open_shop(text), tmp_path / "run", Log())
    assert run.progress.best_step == run.progress.step
    best = load_file(tmp_path / "run" / BEST)
    last = load_file(tmp_path / "run" / CHECKPOINT)
    assert all(torch.equal(value, last[f"weights/{name}"]) for name, value in best.items())


def test_averaged_weights_are_a_moving_mean_and_are_what_is_kept(open_shop, tmp_path):
    """The mean has a short memory at first, then the configured one."""
    shop = open_shop(toy_config(sources=NO_DEV, average=0.5, validations=1))
    mean = {name: value.clone() for name, value in shop.network.state_dict().items()}
    log = Log(shop.network)
    train(shop, tmp_path / "run", log)
    for number, weights in enumerate(log.weights):
        keep = min(0.5, (number + 1) / (number + 10))
        mean = {name: keep * mean[name] + (1 - keep) * weights[name] for name in mean}
    best = load_file(tmp_path / "run" / BEST)
    last = load_file(tmp_path / "run" / CHECKPOINT)
    for name, value in best.items():
        torch.testing.assert_close(value, mean[name], atol=1e-5, rtol=1e-4)
        assert torch.equal(value, last[f"average/{name}"])
    assert not torch.equal(best["heads.mood.out.weight"], last["weights/heads.mood.out.weight"])
